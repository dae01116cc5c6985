"""The examples in docstrings; only modules with one are imported."""

import doctest
from importlib import import_module

import pytest
from conftest import ROOT

WITH_EXAMPLES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in ROOT.glob("aepsl/**/*.py")
    if ">>>" in path.read_text()
)


def test_there_are_examples():
    assert "aepsl.data.images" in WITH_EXAMPLES


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_the_examples_of_a_module(name):
    result = doctest.testmod(import_module(name), optionflags=doctest.ELLIPSIS)
    assert result.attempted
    assert not result.failed
