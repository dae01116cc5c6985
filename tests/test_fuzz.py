"""Readers either return a result or raise an AepslError, for any input.

Each reader gets valid files with changes, and valid digests around other content: by default the
same few in each run; `make fuzz` draws new ones for long, and keeps in `tests/found` what fails.
Every file there is read again in each run, by the reader that its folder names.
"""

import contextlib
import json
import os
import resource
import shutil
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from conftest import ROOT, VocFolder
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aepsl.config.data import Data
from aepsl.config.files import read_configuration
from aepsl.config.presets import expanded, merged
from aepsl.config.root import Config
from aepsl.config.sections import parse
from aepsl.data.content import single_file
from aepsl.data.images import read_grey, read_image, read_mask
from aepsl.data.voc import labels_from_csv, labels_from_xml, read_split
from aepsl.errors import AepslError
from aepsl.stages._options import parse_stage_settings
from aepsl.stores.atomic import read_manifest_json, write_manifest_json
from aepsl.stores.cache import Cache, Key, reusing
from aepsl.stores.checkpoint import CheckpointFolder
from aepsl.stores.checksums import read_checksums, write_checksums
from aepsl.stores.jsonl import read_jsonl, write_jsonl
from aepsl.stores.manifests import read_images, read_truth
from aepsl.stores.models import load_model, read_weights_file, save_model
from aepsl.stores.records import Record, Store, writing_shard
from aepsl.stores.reuse import _find
from aepsl.workflow.content_digests import ContentDigests
from aepsl.workflow.digest_cache import DigestCache
from aepsl.workflow.plan import Plan

LONG = settings(
    max_examples=int(os.environ.get("AEPSL_FUZZ", "10")),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

FOUND = ROOT / "tests" / "found"

TOKENS = [
    b"",
    b"\0",
    b"\n",
    b"\r",
    b'"',
    b",",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"../x",
    b"/etc",
    b"-1",
]
TOKENS += [
    b"nan",
    b"1e999",
    b"9" * 400,
    b"{",
    b"[",
    b"null",
    b"<a>",
    b"&lt;",
    b"A" * 5000,
    b"\xc3\x28",
]
TOKENS += [b"\\", b" ", b"\t", b"true", b"\xe2\x80\xa8", b"\x1a", b"<!DOCTYPE a>", b"[" * 3000]

EDITS = st.lists(
    st.tuples(
        st.floats(0, 1, exclude_max=True),
        st.sampled_from(["insert", "replace", "delete", "cut", "repeat"]),
        st.one_of(st.sampled_from(TOKENS), st.binary(min_size=1, max_size=8)),
        st.integers(1, 40),
    ),
    min_size=1,
    max_size=6,
)


def edited(content, edits):
    """Return ``content`` with random changes at random places."""
    for place, what, token, length in edits:
        at = int(place * (len(content) + 1))
        head, tail = content[:at], content[at:]
        match what:
            case "insert":
                content = head + token + tail
            case "replace":
                content = head + token + tail[len(token) :]
            case "delete":
                content = head + tail[length:]
            case "cut":
                content = head
            case "repeat":
                content = head + tail[:length] * 3 + tail
    return content


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(["../x", "", "/", "auto", "none", "a\nb", "=1+1", "<script>", "x" * 5000]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


def nodes(value, path=()):
    """Yield the path of each node of nested mappings and lists."""
    yield path
    pairs = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, inner in pairs:
        yield from nodes(inner, (*path, key))


def put(value, path, new):
    """Return ``value`` with ``new`` at ``path``."""
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = put(copy[path[0]], path[1:], new)
    return copy


CHANGES = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), VALUES), min_size=1, max_size=2)


def changed(value, changes):
    """Return ``value`` with random nodes replaced."""
    for place, new in changes:
        every = list(nodes(value))[1:]
        if every:
            value = put(value, every[int(place * len(every))], new)
    return value


@pytest.fixture(scope="module", autouse=True)
def little_memory():
    """Let what swells raise a MemoryError instead of taking the machine down."""
    before = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (6 * 2**30, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_DATA, before)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Return one valid file of each kind that is read, by name."""
    folder = tmp_path_factory.mktemp("valid")
    data = VocFolder(folder / "data")
    data.index(folder / "images.json")
    data.index_truth(folder / "images.json", folder / "truth.json")
    (folder / "data/Annotations").mkdir()
    (folder / "data/Annotations/a.xml").write_text(
        "<annotation><object><name>cat</name></object></annotation>"
    )
    with writing_shard(folder / "0.h5", kind="cams", facts={"class_names": ["cat"]}) as writer:
        record = Record({"cam": np.ones((1, 3, 4), np.float16)}, {"classes": [0]})
        writer.add("a", record, source="s")
        writer.add("é b", record, source="t")
    save_model(folder / "model.safetensors", {"w": torch.ones(3, 2)}, {"about": 1})
    np.savez(folder / "weights.npz", w=np.ones((3, 2), np.float32))
    torch.save({"w": torch.ones(3, 2)}, folder / "weights.pth")
    write_checksums(folder / "sums.sha256", [folder / "images.json"])
    ContentDigests(DigestCache(folder / "contents.json")).digest(
        single_file(str(folder / "images.json"))
    )
    store = Cache(folder / "cache")
    store.put(KEY, [folder / "images.json"], about={}, seconds=0)
    (folder / "mini.yaml").write_text((ROOT / "tests/mini.yaml").read_text())
    return folder


KEY = Key("g", "k1")
DEFAULT = expanded(yaml.safe_load((ROOT / "config.yaml").read_text()))
MINI = merged(DEFAULT, yaml.safe_load((ROOT / "tests/mini.yaml").read_text()))
ALL = merged(Config.model_validate(MINI).model_dump(mode="json"), {"variants": MINI["variants"]})


def planned(path):
    """Plan a run with a configuration."""
    with contextlib.chdir(path.parent):
        plan = Plan(json.loads(path.read_text()))
        plan.check_files()
        return [read(SimpleNamespace()) for read in plan.inputs("report").values()]


def parsed(path):
    """Read and parse a configuration."""
    parse(Config, merged(DEFAULT, read_configuration([path]).values), where="config")


def stage_settings(path):
    """Read the settings that a stage is given on its command line."""
    parse_stage_settings(path.read_text()).section("data", Data)


def reused(path):
    """Read a store, and look up records to reuse in it."""
    with contextlib.suppress(AepslError):
        Store([path], kind="cams")["a"]
    with reusing([path]):
        _find(["s", "t"])


READERS = {
    "data/labels.csv": lambda p: [
        labels_from_csv(p, known_images=["a", "b", "c"]).of(i) for i in ("a", "nobody")
    ],
    "data/ImageSets/Segmentation/train.txt": lambda p: read_split(p.parents[2], "train"),
    "data/Annotations/a.xml": lambda p: labels_from_xml(p.parents[1]).of("a"),
    "data/JPEGImages/a.png": lambda p: (read_image(p), read_grey(p)),
    "data/SegmentationClass/a.png": read_mask,
    "images.json": read_images,
    "truth.json": read_truth,
    "0.json": reused,
    "0.h5": lambda p: Store([p.with_suffix(".json")], kind="cams")["a"],
    "model.safetensors": load_model,
    "weights.npz": read_weights_file,
    "weights.pth": read_weights_file,
    "sums.sha256": read_checksums,
    "contents.json": lambda p: ContentDigests(DigestCache(p)).digest(single_file(str(p))),
    "cache/g/k1/entry.json": lambda p: Cache(p.parents[2]).get(KEY, [p.parents[3] / "images.json"]),
    "mini.yaml": parsed,
}
CONFIGURATIONS = {"config.json": planned, "stage.json": stage_settings}


def copied(files, tmp_path, name):
    """Return the path of a file in a fresh copy of the valid files."""
    shutil.rmtree(tmp_path / "copy", ignore_errors=True)
    shutil.copytree(files, tmp_path / "copy")
    return tmp_path / "copy" / name


def understood_or_refused(name, path):
    """Read a file; keep one that fails with anything but an AepslError that says all."""
    read = (READERS | CONFIGURATIONS)[name]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                read(path)
            except AepslError as error:
                assert all(p.where and p.what and p.hint for p in error.problems)
    except Exception:
        kept = FOUND / name / "new"  # the smallest one is the last
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, kept)
        raise


@pytest.mark.parametrize(
    "found", [p.relative_to(FOUND).as_posix() for p in sorted(FOUND.rglob("*")) if p.is_file()]
)
def test_what_was_found_stays_mended(files, tmp_path, found):
    name = found.rpartition("/")[0]
    path = copied(files, tmp_path, name)
    path.write_bytes((FOUND / found).read_bytes())
    understood_or_refused(name, path)


@pytest.mark.parametrize("name", READERS)
@LONG
@given(edits=EDITS)
def test_a_changed_file(files, tmp_path, name, edits):
    path = copied(files, tmp_path, name)
    path.write_bytes(edited(path.read_bytes(), edits))
    understood_or_refused(name, path)


TABLES = ["images.json", "truth.json"]
LYING = [*TABLES, "0.json", "cache/g/k1/entry.json"]


@pytest.mark.parametrize("name", LYING)
@LONG
@given(changes=CHANGES)
def test_a_manifest_with_a_valid_digest_and_invalid_content(files, tmp_path, name, changes):
    path = copied(files, tmp_path, name)
    if name in TABLES:
        head, entries = read_jsonl(path)
        write_jsonl(path, changed(head, changes), entries)
    else:
        write_manifest_json(path, changed(read_manifest_json(path), changes))
    understood_or_refused(name, path)


@pytest.mark.parametrize("name", TABLES)
@LONG
@given(changes=CHANGES)
def test_an_entry_of_a_manifest_that_lies(files, tmp_path, name, changes):
    path = copied(files, tmp_path, name)
    head, entries = read_jsonl(path)
    lie = json.dumps(changed(json.loads(entries[0]), changes)).encode()
    write_jsonl(path, head, [lie, *(entry.strip() for entry in entries[1:])])
    understood_or_refused(name, path)


@pytest.mark.parametrize("name", LYING)
@LONG
@given(content=VALUES)
def test_a_manifest_of_anything(files, tmp_path, name, content):
    path = copied(files, tmp_path, name)
    path.write_text(json.dumps(content))
    understood_or_refused(name, path)


@pytest.mark.parametrize("config", [ALL, MINI], ids=["all", "mini"])
@LONG
@given(changes=CHANGES)
def test_a_changed_configuration(tmp_path, config, changes):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(changed(config, changes)))
    understood_or_refused("config.json", path)


@LONG
@given(text=st.one_of(VALUES.map(json.dumps), st.text(max_size=30)))
def test_stage_settings_of_anything(tmp_path, text):
    path = tmp_path / "stage.json"
    path.write_bytes(text.encode(errors="replace"))
    understood_or_refused("stage.json", path)


@LONG
@given(edits=EDITS)
def test_a_modified_checkpoint_starts_from_scratch(tmp_path, edits):
    folder = tmp_path / "work"
    shutil.rmtree(folder, ignore_errors=True)
    work = CheckpointFolder(folder, key="k")
    work.save({"w": torch.ones(2)}, {"step": 1})
    whole = work.checkpoint.read_bytes()
    broken = edited(whole, edits)
    work.checkpoint.write_bytes(broken)
    found = work.load()
    assert broken == whole or found is None
