"""Names from outside in CSV and Markdown."""

import csv
import io
import re

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aepsl.report.escape import csv_cell, markdown_text


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("cat", "cat"),
        ("t-shirt", "t-shirt"),
        ("a, -b", "a, -b"),
        ("it's", "it's"),
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(1)", "'@SUM(1)"),
        ("\t=1", "'\t'=1"),
        ("\r=1", "'\r'=1"),
        ("cat;=1+1", "cat;'=1+1"),  # a spreadsheet may take the semicolon for the separator
        ("cat,=1+1", "cat,'=1+1"),
        ('cat;"=1+1"', 'cat;"\'=1+1"'),
        ("'=1+1", "''=1+1"),  # not the cell of =1+1
        (-1, -1),
        (0.5, 0.5),
        (None, None),
    ],
)
def test_cells_literal(name, cell):
    assert csv_cell(name) == cell


NAMES = st.text(alphabet="=+-@;,'\"\t\na", max_size=8)


@given(NAMES)
def test_no_cell_is_a_formula_whatever_the_separator(name):
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(["x", csv_cell(name), "y"])
    for separator in ",;\t":
        text.seek(0)
        for row in csv.reader(text, delimiter=separator):
            assert not [cell for cell in row if cell.startswith(("=", "+", "-", "@"))]


@given(NAMES)
def test_a_name_can_be_had_back_from_its_cell(name):
    assert re.sub(r"""(^|[;,"\t\r\n])'(?='*[=+\-@\t\r])""", r"\1", csv_cell(name)) == name


def test_heads_are_readable_in_a_table():
    names = ["=1+1", "'=1+1", "-cat", "dog"]
    text = io.StringIO()
    csv.writer(text).writerow(map(csv_cell, names))
    text.seek(0)
    assert list(pd.read_csv(text)) == ["'=1+1", "''=1+1", "'-cat", "dog"]


def test_markdown_literal():
    assert markdown_text("a|b\n<script>") == "a\\|b &lt;script&gt;"
