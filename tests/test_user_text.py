"""Each reader of text that a user hands in names the file and the problem, whatever the text."""

import codecs
import json

import in_process
import pytest
from PIL import Image

from aepsl.config.files import read_configuration
from aepsl.data.coco import read_annotations
from aepsl.data.readers import READERS as LAYOUTS
from aepsl.data.readers import Layout
from aepsl.data.recognise import recognise
from aepsl.data.voc import labels_from_csv, labels_from_xml, read_split
from aepsl.errors import AepslError
from aepsl.exchange.labelmap import read_labelmap
from aepsl.stages._options import parse_stage_settings
from aepsl.stores.atomic import read_manifest_json
from aepsl.stores.checksums import read_checksums
from aepsl.stores.jsonl import read_jsonl
from aepsl.text import read_columns, read_foreign_text
from aepsl.workflow.runs import EVENTS, recorded


def labels_of_a(source):
    """Return what was read of photograph a; raise the problems that were collected."""
    labels = source.of("a") if hasattr(source, "of") else source.items
    if source.problems:
        raise AepslError(source.problems)
    return labels


def a_photograph(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (2, 2)).save(path)


READERS = {
    "labels.csv": lambda path: labels_of_a(labels_from_csv(path, known_images=["a"])),
    "table.csv": lambda path: labels_of_a(LAYOUTS["csv"](path.parent, Layout())),
    "metadata.jsonl": lambda path: labels_of_a(LAYOUTS["huggingface"](path.parent, Layout())),
    "coco.json": read_annotations,
    "Annotations/a.xml": lambda path: labels_of_a(labels_from_xml(path.parents[1])),
    "ImageSets/Segmentation/train.txt": lambda path: read_split(path.parents[2], "train"),
    "labelmap.txt": read_labelmap,
    "mine.yaml": lambda path: read_configuration([path]).values,
    "--config": lambda path: read_configuration([], [f"seed={path.read_text()}"]).values,
    "--config of a stage": lambda path: parse_stage_settings(path.read_text()),
    "manifest.json": read_manifest_json,
    "manifest.jsonl": read_jsonl,
    "curve.csv": read_columns,
    "job.sha256": read_checksums,
}

DEEP = "nested too deeply"
HUGE = "Exceeds the limit (4300 digits"
HALF = "surrogates not allowed"
NUMBER = "9" * 5000
BOMB = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
LATIN = "é".encode("latin-1")
ENTITY = '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'

MALFORMED = [
    *(
        ("labels.csv", f"image,labels\na,{'[' * n}", "labels.csv:2: not JSON")
        for n in (1000, 10**5)
    ),
    ("labels.csv", "image,labels\na," + "[" * 200_000, "labels.csv:2: not CSV (field larger"),
    ("labels.csv", 'image,labels\na,"cat', "labels.csv:2: not CSV (unexpected end of data)"),
    ("labels.csv", "image,labels\na,[cat] dog]", "labels.csv:2: not JSON (Expecting value"),
    ("labels.csv", "image,labels\na\0,cat", r"labels.csv:2: image a\x00 does not exist"),
    ("labels.csv", b"image,labels\na,K" + LATIN, "labels.csv: not UTF-8"),
    ("labels.csv", b"PK\x03\x04\0\xff\xfe", "labels.csv: not UTF-8"),
    ("table.csv", "image,labels\na,[[[cat", "table.csv:2: not JSON"),
    ("table.csv", "image,labels\n" + "a," * 3 + "a", "table.csv:2: the row has more cells"),
    ("table.csv", 'image,labels\na,"cat', "table.csv:2: not CSV (unexpected end of data)"),
    ("table.csv", "image,labels\na\0.png,cat", "table.csv:2: a\0.png: no such photograph"),
    ("metadata.jsonl", "[" * 10**5, f"metadata.jsonl:1: not JSON ({DEEP})"),
    ("metadata.jsonl", '\n[["file_name", "a"]]', "metadata.jsonl:2: not an object of JSON"),
    ("metadata.jsonl", '{"file_name": "\\ud800"}', "metadata.jsonl:1: not JSON ('utf-8' codec"),
    ("coco.json", "{", "coco.json: not JSON (Expecting property name"),
    ("coco.json", "[" * 1000, f"coco.json: not JSON ({DEEP})"),
    ("coco.json", NUMBER, f"coco.json: not JSON ({HUGE})"),
    ("coco.json", '{"images": ["\\ud83d\\ude00 \\udfff"]}', HALF),
    ("coco.json", '{"images": 1, "categories": [[]]}', "coco.json: not COCO's layout"),
    ("coco.json", "\0", "coco.json: not JSON"),
    ("Annotations/a.xml", "<annotation>", "a.xml: not XML (no element found: line 1"),
    ("Annotations/a.xml", "<a>" * 10**5, "a.xml: not XML (no element found"),
    ("Annotations/a.xml", "<a>\0</a>", "a.xml: not XML (not well-formed"),
    ("Annotations/a.xml", b"<a>\xff</a>", "a.xml: not XML (not well-formed"),
    (
        "Annotations/a.xml",
        '<?xml version="1.0" encoding="x"?><a/>',
        "(LookupError: unknown encoding",
    ),
    ("Annotations/a.xml", ENTITY, "a.xml: not XML (its document type"),
    ("Annotations/a.xml", ENTITY.encode("utf-16"), "a.xml: not XML (its document type"),
    ("ImageSets/Segmentation/train.txt", b"a\n\xff", "train.txt: not UTF-8"),
    ("labelmap.txt", "cat:red:", "labelmap.txt:1: not a label and its colour"),
    ("labelmap.txt", f"cat:{NUMBER},0,0", "labelmap.txt:1: not a label and its colour"),
    ("mine.yaml", "a: [", "mine.yaml: not YAML (expected the node content"),
    ("mine.yaml", "- a", "mine.yaml: is not a configuration"),
    ("mine.yaml", "a: 1\na: 2\n", "mine.yaml:2: the key a occurs twice"),
    ("mine.yaml", "a: " + "[" * 10**5, f"mine.yaml: not YAML ({DEEP})"),
    ("mine.yaml", "a:\n" + "- " * 1000, f"mine.yaml: not YAML ({DEEP})"),
    ("mine.yaml", f"a: {NUMBER}", f"mine.yaml: not YAML ({HUGE})"),
    ("mine.yaml", "a: 2001-13-01", "mine.yaml: not YAML (month must be in 1..12)"),
    ("mine.yaml", "a: !!bool x", "mine.yaml: not YAML (KeyError: 'x')"),
    ("mine.yaml", "a: !!python/name:os.system", "mine.yaml: not YAML (could not determine"),
    ("mine.yaml", "a: \0", "mine.yaml: not YAML (unacceptable character #x0000"),
    ("mine.yaml", 'a: "\\ud800"', HALF),
    ("mine.yaml", b"a: " + LATIN, "mine.yaml: not UTF-8"),
    ("mine.yaml", BOMB, "mine.yaml: not YAML (its aliases repeat it too often)"),
    ("mine.yaml", "a: &a [*a]", "mine.yaml: not YAML (its aliases repeat it too often)"),
    ("--config", "[", "--config seed: not YAML (expected the node content"),
    ("--config", "[" * 10**5, f"--config seed: not YAML ({DEEP})"),
    ("--config of a stage", "{", "--config: not JSON (Expecting property name"),
    ("--config of a stage", "[]", "--config: not a JSON object"),
    ("--config of a stage", "[" * 10**5, f"--config: not JSON ({DEEP})"),
    ("manifest.json", "[" * 1000, f"manifest.json: not JSON ({DEEP})"),
    ("manifest.json", '{"self_sha256": 1}', "manifest.json: was modified"),
    ("manifest.jsonl", b"\xff\n", "manifest.jsonl: not JSON ('utf-8' codec can't decode"),
    ("manifest.jsonl", "[" * 10**5 + "\n", f"manifest.jsonl: not JSON ({DEEP})"),
    ("curve.csv", "loss\nlow\n", "curve.csv: not a table of numbers (could not convert"),
    ("curve.csv", b"loss\n\xff\n", "curve.csv: not UTF-8"),
    ("job.sha256", "abc\n", "job.sha256: not a list of checksums (the line 'abc')"),
]


@pytest.mark.parametrize(
    ("reader", "text", "message"), MALFORMED, ids=[f"{row[0]}: {row[2][:60]}" for row in MALFORMED]
)
def test_malformed_text_is_an_error_with_its_file(tmp_path, reader, text, message):
    path = tmp_path / reader
    path.parent.mkdir(parents=True, exist_ok=True)
    a_photograph(tmp_path / "a.png")
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(AepslError) as caught:
        source = READERS[reader](path)
        raise AssertionError(source)
    assert message in str(caught.value)
    assert all(problem.hint for problem in caught.value.problems)


@pytest.mark.parametrize("reader", READERS)
def test_a_file_that_is_absent_is_named(tmp_path, reader):
    path = tmp_path / reader
    if "config" not in reader and path.suffix not in (".xml", ".jsonl") and reader != "table.csv":
        with pytest.raises(AepslError, match=f"{path.name}: the file does not exist"):
            READERS[reader](path)


ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "cp1252"]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_encodings_of_other_programs(tmp_path, encoding):
    (tmp_path / "x").write_text("Straße, Kätzchen", encoding=encoding)
    assert read_foreign_text(tmp_path / "x") == "Straße, Kätzchen"


def test_a_configuration_may_begin_with_a_mark(tmp_path):
    (tmp_path / "x.yaml").write_bytes(codecs.BOM_UTF8 + b"a: &a { x: 1 }\nb: { <<: *a, y: 2 }\n")
    values = read_configuration([tmp_path / "x.yaml"]).values
    assert values["b"] == {"x": 1, "y": 2}


def test_half_written_events_are_left_out(tmp_path):
    (tmp_path / "logs").mkdir()
    ended = json.dumps({"event": "ended", "time": 3.0})
    (tmp_path / EVENTS).write_text(f"{ended}\n" + "[" * 10**5 + '\n{"event": "er')
    assert recorded(tmp_path).ended == 3.0


def test_a_broken_mask_is_named_by_init(tmp_path):
    a_photograph(tmp_path / "cat/a.png")
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks/a.png").write_text("x")
    with pytest.raises(AepslError, match=r"masks/a\.png: not a readable image format"):
        recognise(tmp_path)


def test_a_list_of_photographs_that_is_no_text(tmp_path):
    (tmp_path / "list.txt").write_bytes(b"a.png\n\xff\n")
    result = in_process.aepsl(tmp_path, "segment", "-n", "x", "-o", "y", "--list", "list.txt")
    assert result.returncode == 1
    assert "--list: not UTF-8" in result.stderr
