"""Cache entries are reused for equal keys only."""

import errno
import inspect
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from copy import copy
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated

import numpy as np
import pytest
from conftest import ROOT, VocFolder, new_project, run_snakemake
from PIL import Image
from test_kill import digests
from typer.testing import CliRunner

from aepsl import host
from aepsl.cli import app, cached
from aepsl.cli.commands import NAMES
from aepsl.cli.signature import marked
from aepsl.console import log
from aepsl.data import index
from aepsl.stages._options import NotInKey, Reads, SelectsRecords, Writes
from aepsl.stores.cache import Cache, Key, reusing
from aepsl.stores.records import Record, Store
from aepsl.stores.reuse import _copied, _find, write_records
from aepsl.workflow.codedigest import code_digest


def files_in(folder, **contents):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in contents]


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache")


K1, K2 = Key("group", "k1"), Key("group", "k2")


def put(cache, key, paths):
    cache.put(key, paths, about={}, seconds=2.5)


# Entries


def test_stored_files_are_restored_byte_for_byte(cache, tmp_path):
    paths = files_in(tmp_path / "a", model=b"weights", curve=b"1,2")
    put(cache, K1, paths)
    there = [tmp_path / "b" / path.name for path in paths]
    assert cache.get(K1, there).seconds == 2.5
    assert [path.read_bytes() for path in there] == [b"weights", b"1,2"]
    assert cache.get(K2, there) is None


def test_a_restored_copy_is_independent_of_the_entry(cache, tmp_path):
    paths = files_in(tmp_path / "a", model=b"weights")
    put(cache, K1, paths)
    paths[0].write_bytes(b"broken!")  # in place, as a fault of the disk would
    assert cache.get(K1, paths)
    assert paths[0].read_bytes() == b"weights"


@pytest.mark.parametrize("name", ["model", "curve", "entry.json"])
def test_a_modified_entry_is_never_reused(cache, tmp_path, name):
    paths = files_in(tmp_path / "a", model=b"weights", curve=b"1,2")
    put(cache, K1, paths)
    (kept_file,) = (tmp_path / "cache").rglob(name)
    content = bytearray(kept_file.read_bytes())
    content[len(content) // 2] ^= 1
    kept_file.write_bytes(content)
    there = [tmp_path / "b" / path.name for path in paths]
    assert cache.get(K1, there) is None
    assert not any(path.exists() for path in there)
    assert not kept_file.exists()
    put(cache, K1, paths)
    assert cache.get(K1, there) is not None


def test_a_file_that_is_gone_is_never_half_a_result(cache, tmp_path):
    paths = files_in(tmp_path / "a", model=b"weights", curve=b"1,2")
    put(cache, K1, paths)
    next((tmp_path / "cache").rglob("curve")).unlink()
    there = [tmp_path / "b" / path.name for path in paths]
    assert cache.get(K1, there) is None
    assert list((tmp_path / "b").iterdir()) == []


@pytest.mark.parametrize("lost", ["curve", "entry.json"])
def test_an_incomplete_entry_is_stored_again(cache, tmp_path, lost):
    paths = files_in(tmp_path / "a", model=b"weights", curve=b"1,2")
    put(cache, K1, paths)
    next((tmp_path / "cache").rglob(lost)).unlink()
    put(cache, K1, paths)
    assert cache.get(K1, paths)


def test_old_incomplete_entries_are_removed(cache, tmp_path):
    paths = files_in(tmp_path / "a", model=b"weights")
    put(cache, K1, paths)
    old, young = (tmp_path / "cache" / f"k2.tmp.host.{n}" for n in (1, 2))
    for folder in (old, young):
        files_in(folder, model=b"half")
    os.utime(old, (0, 0))
    put(cache, Key("group", "k3"), paths)
    assert not old.exists()
    assert young.exists()


def test_an_unreadable_entry_does_not_fail_the_job(cache, tmp_path, monkeypatch, caplog):
    paths = files_in(tmp_path / "a", model=b"weights")
    put(cache, K1, paths)
    kept_file = next((tmp_path / "cache").rglob("model"))
    kept_file.unlink()
    kept_file.mkdir()  # reading it fails for everybody, root too
    monkeypatch.setattr(log, "propagate", True)
    assert cache.get(K1, paths) is None
    assert "Is a directory" in caplog.text
    put(cache, K1, paths)
    assert cache.get(K1, paths)


def test_the_least_recently_used_entry_is_removed_first(tmp_path):
    cache = Cache(tmp_path / "cache", limit=4000e-9)  # GB: three entries
    paths = files_in(tmp_path / "a", model=b"x" * 1000)
    for number, key in enumerate(["k1", "k2", "k3"]):
        put(cache, Key("group", key), paths)
        about = next((tmp_path / "cache").glob(f"*/{key}/entry.json"))
        os.utime(about, (number, number))
    assert cache.get(K1, paths)  # the oldest is asked for
    put(cache, Key("group", "k4"), paths)
    there = [k for k in ("k1", "k2", "k3", "k4") if cache.get(Key("group", k), paths)]
    assert there == ["k1", "k3", "k4"]
    sizes = [p.stat().st_size for p in (tmp_path / "cache").glob("*/*/*")]
    assert sum(sizes) <= 4000


def test_an_unwritable_cache_does_not_fail_the_job(tmp_path, caplog):
    (tmp_path / "cache").write_text("a file stands there")
    cache = Cache(tmp_path / "cache")
    paths = files_in(tmp_path / "a", model=b"weights")
    put(cache, K1, paths)
    assert cache.get(K1, paths) is None
    assert cache.files("group", "*") == []
    assert paths[0].read_bytes() == b"weights"


READ_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")


@READ_ONLY
def test_a_read_only_cache_is_read(cache, tmp_path, monkeypatch, caplog):
    paths = files_in(tmp_path / "a", model=b"weights")
    put(cache, K1, paths)
    put(cache, K2, files_in(tmp_path / "a", curve=b"1,2"))
    next((tmp_path / "cache").rglob("curve")).write_bytes(b"1,3")
    folder = str(tmp_path / "cache")
    mount = ["mount", "--bind", "-o", "ro", folder, folder]
    if subprocess.run(mount, check=False).returncode:
        pytest.skip("this machine does not let a test mount a file system")
    try:
        monkeypatch.setattr(log, "propagate", True)
        assert cache.get(K1, [tmp_path / "b" / "model"])
        assert cache.files("group", "model")
        assert caplog.text == ""
        put(cache, Key("group", "k3"), paths)
        assert "Not stored in the cache" in caplog.text
        assert cache.get(K2, [tmp_path / "b" / "curve"]) is None
        assert "curve: was modified after it was written" in caplog.text
    finally:
        subprocess.run(["umount", folder], check=True)
    assert (tmp_path / "b" / "model").read_bytes() == b"weights"
    assert not (tmp_path / "b" / "curve").exists()


def test_an_interrupted_put_leaves_no_entry(cache, tmp_path, monkeypatch):
    paths = files_in(tmp_path / "a", model=b"weights", curve=b"1,2")
    copyfile = shutil.copyfile

    def interrupted(source, target):
        if source.name == "curve":
            raise KeyboardInterrupt
        return copyfile(source, target)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(shutil, "copyfile", interrupted)
        put(cache, K1, paths)
    assert list((tmp_path / "cache").iterdir()) == []
    assert cache.get(K1, paths) is None


def test_a_full_disk_of_the_cache_does_not_fail_the_job(cache, tmp_path, monkeypatch, caplog):
    paths = files_in(tmp_path / "a", model=b"weights")

    def full(source, target):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(log, "propagate", True)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfile", full)
        put(cache, K1, paths)
    assert "No space left on device" in caplog.text
    assert list((tmp_path / "cache").iterdir()) == []
    put(cache, K1, paths)
    assert cache.get(K1, paths)


def test_an_empty_group_goes_with_its_last_entry(tmp_path):
    paths = files_in(tmp_path / "a", model=b"x" * 1000)
    put(Cache(tmp_path / "cache"), Key("old", "k1"), paths)
    os.utime(tmp_path / "cache" / "old" / "k1" / "entry.json", (1, 1))
    put(Cache(tmp_path / "cache", limit=1500e-9), Key("new", "k1"), paths)
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["new"]


def test_the_files_of_a_group_the_latest_first(cache, tmp_path):
    for number, key in enumerate([K2, Key("other", "k4"), K1]):
        put(cache, key, files_in(tmp_path / "a", **{"0.json": b"{}", "0.h5": b"x"}))
        os.utime(tmp_path.joinpath("cache", *key, "entry.json"), (number, number))
    found = cache.files("group", "*.json")
    assert [path.relative_to(tmp_path / "cache").as_posix() for path in found] == [
        "group/k1/0.json",
        "group/k2/0.json",
    ]
    assert cache.files("nobody", "*.json") == []


def put_and_get(folder, place, number, turns, results):
    cache, wrong = Cache(folder, limit=20e-6), 0
    for turn in range(turns):
        key = Key("group", f"k{(turn * (number + 1)) % 7}")
        content = key.entry.encode() * 1000
        (path,) = files_in(place / f"p{number}", model=content)
        put(cache, key, [path])
        path.unlink()
        if cache.get(key, [path]) and path.read_bytes() != content:
            wrong += 1
        cache.files("group", "*")
    results.put(wrong)


@pytest.mark.parametrize(
    ("processes", "turns"),
    [
        pytest.param(2, 40, marks=pytest.mark.slow),
        pytest.param(4, 60, marks=pytest.mark.long),
    ],
)
def test_many_processes_use_one_cache(tmp_path, processes, turns):
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    each = [
        context.Process(target=put_and_get, args=(tmp_path / "cache", tmp_path, n, turns, results))
        for n in range(processes)
    ]
    for process in each:
        process.start()
    assert [results.get(timeout=120) for _ in each] == [0] * processes
    for process in each:
        process.join()
        assert process.exitcode == 0
    left = [p for p in (tmp_path / "cache").rglob("*.tmp.*")]
    assert left == []


def put_for_ever(folder, place):
    (path,) = files_in(place, model=os.urandom(3_000_000))
    while True:
        put(Cache(folder), K1, [path])
        put(Cache(folder, limit=0), K2, [path])  # makes room, of both


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(0.02, marks=pytest.mark.slow),
        *(pytest.param(m, marks=pytest.mark.long) for m in (0.0, 0.01, 0.03)),
    ],
)
def test_a_killed_process_leaves_no_half_entry(tmp_path, moment):
    context = multiprocessing.get_context("spawn")
    folder, paths = tmp_path / "cache", files_in(tmp_path / "a", model=b"weights")
    process = context.Process(target=put_for_ever, args=(folder, tmp_path / "p"))
    process.start()
    while not folder.exists():
        time.sleep(0.01)
    time.sleep(moment)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    if folder.joinpath(*K1).exists():
        assert Cache(folder).get(K1, paths)
    for left in folder.glob("*.tmp.*"):
        os.utime(left, (0, 0))  # a day later
    put(Cache(folder), K1, paths)
    assert [path.name for path in folder.iterdir()] == ["group"]


# Keys


def stages():
    for name in NAMES:
        yield pytest.param(getattr(import_module(f"aepsl.stages.{name}"), name), id=name)


NOT_IN_KEY = {"root", "workers", "work", "labels_csv", "corrections", "benchmarks"}
"""By hand: what cannot change a result, or whose content is among the settings."""

PROCESSES = {"assemble_labels", "generate_scenes", "index_images", "refine_predictions", "report"}
"""Stages whose threads are processes, each of which works on an image alone."""


@pytest.mark.parametrize("stage", list(stages()))
def test_every_option_except_paths_is_part_of_the_key(stage):
    plain = inspect.signature(stage).parameters
    apart = set(marked(stage, NotInKey))
    if stage.__name__ in PROCESSES:
        apart -= {"threads"}
    assert apart <= NOT_IN_KEY
    files = {n for n, about in plain.items() if "Path" in str(about.annotation)}
    if "cache" in rule_of(stage.__name__):
        assert files <= set(marked(stage, Reads)) | set(marked(stage, Writes)) | NOT_IN_KEY
    assert set(marked(stage, SelectsRecords)) <= {"shard", "shards", "limit", "config", "role"}


def rule_of(name):
    """Return the resources of a rule, as its file has them."""
    text = "".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    body = re.split(rf"^(?:rule|checkpoint) {name}:", text, flags=re.M)[1]
    resources = re.search(r"\*\*resources(.*)", body)[1]
    return resources.replace(".network(", "cache").replace(".training(", "cache")


OPTIONS = {
    "--config": "{}",
    "--dataset": "images.json",
    "--root": ".",
    "--regions": "r.json",
    "--cams": "",
    "--saliency": "s.json",
    "--shard": "0",
    "--shards": "2",
    "--output": "out/0.h5",
    "--code": "of the stage",
    "--cache": "cache",
}


@pytest.fixture
def assemble(tmp_path, monkeypatch):
    """Return a function that assembles labels, in name only, and says whether it was work."""
    from aepsl.stages import assemble_labels

    monkeypatch.chdir(tmp_path)
    for name in ("images.json", "r.json", "s.json"):
        Path(name).write_text(name)
    done = []

    def work(config, *, output, shard, shards, **rest):
        done.append(1)
        output.parent.mkdir(exist_ok=True)
        for path in (output, output.with_suffix(".json")):
            path.write_text(f"{config} {shard} of {shards} number {len(done)}")

    work.__signature__ = inspect.signature(assemble_labels.assemble_labels, eval_str=True)
    work.__name__ = "assemble_labels"
    monkeypatch.setattr(assemble_labels, "assemble_labels", work)

    def call(**changed):
        before, code = len(done), code_digest("aepsl.stages.assemble_labels")
        changed = {"code": code} | changed
        options = OPTIONS | {f"--{name.replace('_', '-')}": v for name, v in changed.items()}
        arguments = [part for pair in options.items() for part in pair]
        result = CliRunner().invoke(app, ["assemble-labels", *arguments])
        assert result.exit_code == 0, (result.output, result.exception)
        return len(done) > before

    propagate = log.propagate
    yield call
    log.handlers.clear()
    log.propagate = propagate


def test_the_same_job_is_done_once(assemble):
    assert assemble()
    first = Path("out/0.h5").read_bytes()
    shutil.rmtree("out")
    assert not assemble()
    assert Path("out/0.h5").read_bytes() == first


def cut(path):
    path.write_bytes(path.read_bytes()[:-3])


def made_a_folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("name", ["0.h5", "0.json", "entry.json"])
@pytest.mark.parametrize("damage", [cut, Path.unlink, made_a_folder])
def test_a_damaged_entry_is_recomputed_and_repaired(assemble, name, damage):
    assert assemble()
    shutil.rmtree("out")
    (path,) = Path("cache").glob(f"*/*/{name}")
    damage(path)
    assert assemble()
    assert "number 2" in Path("out/0.h5").read_text()
    shutil.rmtree("out")
    assert not assemble()
    assert "number 2" in Path("out/0.h5").read_text()


@pytest.mark.parametrize(
    "change",
    [
        {"shard": "1"},
        {"shards": "3"},
        {"config": '{"labels.background_threshold": 0.1}'},
        {"output": "out/1.h5"},
        {"saliency": ""},
    ],
    ids=str,
)
def test_another_job_is_other_work(assemble, change):
    assert assemble()
    assert assemble(**change)
    assert not assemble(**change)


def test_content_of_inputs_is_part_of_the_key_and_paths_are_not(assemble):
    assert assemble()
    Path("elsewhere").mkdir()
    shutil.copy("r.json", "elsewhere/other.json")
    assert not assemble(regions="elsewhere/other.json")
    Path("r.json").write_text("mined anew")
    assert assemble()


def test_another_library_is_other_work(assemble, monkeypatch):
    assert assemble()
    monkeypatch.setattr(host, "version", lambda name: "99")
    assert assemble()


def test_other_code_is_other_work(assemble, monkeypatch):
    assert assemble()
    monkeypatch.setattr(cached, "_current_code_digest", lambda command: "c1")
    assert assemble(code="c1")
    assert not assemble(code="c1")


def test_code_that_changed_after_planning_is_neither_reused_nor_stored(assemble, monkeypatch):
    assert assemble()
    assert assemble(code="c1")
    assert assemble(code="c1")
    digests = iter(["c2", "c3"])  # changed while it ran
    with monkeypatch.context() as patch:
        patch.setattr(cached, "_current_code_digest", lambda command: next(digests))
        assert assemble(code="c2")
    monkeypatch.setattr(cached, "_current_code_digest", lambda command: "c2")
    assert assemble(code="c2")
    assert not assemble(code="c2")


@pytest.mark.parametrize(
    ("device", "gpus", "sees", "is_put"),
    [
        ("auto", ["0"], False, False),
        ("auto", [], True, False),
        ("auto", ["0"], True, True),
        ("auto", [], False, True),
        ("cpu", ["0"], True, True),
        ("cuda:1", ["0"], True, True),
    ],
)
def test_results_of_another_device_are_not_stored(
    tmp_path, monkeypatch, device, gpus, sees, is_put
):
    torch = SimpleNamespace(cuda=SimpleNamespace(is_available=lambda: sees))
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setattr(cached, "usable_gpus", lambda: gpus)
    monkeypatch.setattr(cached, "_current_code_digest", lambda command: "c1")

    def command(output: Annotated[Path, Writes()], device: str = "auto"):
        output.write_text("made")

    run = cached.cached(command)
    run(output=tmp_path / "x", device=device, code="c1", cache=tmp_path / "cache", cache_gb=None)
    assert len(list((tmp_path / "cache").glob("*/*/x"))) == is_put


def test_without_a_code_digest_or_a_folder_nothing_is_stored(assemble):
    assert assemble(code="")
    assert assemble(code="")
    assert not Path("cache").exists()


def test_two_shards_never_share_an_entry(assemble):
    for shard in range(5):
        assert assemble(shard=str(shard), shards="5")  # the same name, the same settings
    for shard in range(5):
        assert not assemble(shard=str(shard), shards="5")
        assert f"{shard} of 5" in Path("out/0.h5").read_text()


# Records


@pytest.fixture
def shard(tmp_path):
    """Return a function that writes a shard from (id, source) with arrays of all shapes."""

    def write(name, wanted, earlier=()):
        made = []

        def make(items):
            for item in items:
                made.append(item.id)
                rng = np.random.default_rng(int(item.source))
                arrays = {
                    "map": rng.normal(size=rng.integers(1, 60, 2)).astype(np.float16),
                    "none": np.zeros((0, 4), np.uint8),
                }
                yield Record(arrays, {"classes": [1, 2], "v": 0.5, "name": "é"})

        class Item:
            def __init__(self, image_id, source):
                self.id, self.source = image_id, str(source)

        items = [Item(*pair) for pair in wanted]
        path = tmp_path / f"{name}.h5"
        with reusing(earlier):
            write_records(
                path,
                items,
                sources=[item.source for item in items],
                make=make,
                kind="maps",
                facts={"class_names": ["a"]},
                shard=0,
                shards=1,
            )
        return path, made

    return write


def test_reused_records_give_the_bytes_of_computed_ones(shard, tmp_path):
    old, _ = shard("old", [("a", 1), ("b", 2), ("c", 3)])
    wanted = [("x", 9), ("c", 3), ("a", 1), ("y", 8), ("b2", 2)]
    copied, made = shard("new", wanted, [old.with_suffix(".json")])
    assert made == ["x", "y"]
    content = copied.read_bytes()
    fresh, made = shard("new", wanted)
    assert made == ["x", "c", "a", "y", "b2"]
    assert fresh.read_bytes() == content
    store = Store([fresh.with_suffix(".json")], kind="maps")
    assert store["c"].arrays["none"].shape == (0, 4)


def test_records_of_a_broken_shard_are_recomputed(shard):
    old, _ = shard("old", [("a", 1), ("b", 2)])
    content = bytearray(old.read_bytes())
    content[-100] ^= 1
    old.write_bytes(content)
    _, made = shard("new", [("a", 1)], [old.with_suffix(".json")])
    assert made == ["a"]


def test_records_that_are_removed_during_reading_are_recomputed(shard):
    old, _ = shard("old", [("a", 1), ("b", 2)])
    with reusing([old.with_suffix(".json")]):
        found = _find(["1", "2"])
    old.unlink()  # evicted, to make room: it is held open
    (store, first), (_, second) = found["1"], found["2"]
    assert _copied(store, first) and _copied(store, second)
    assert _copied(copy(store), second) is None  # which is not open


def test_only_shards_that_help_are_opened(shard, monkeypatch):
    shards = [shard(f"s{n}", [(f"i{n}", n)])[0].with_suffix(".json") for n in range(5)]
    opened = []
    monkeypatch.setattr(Store, "open_all", lambda self: opened.append(1))
    with reusing(shards):
        assert len(_find(["3", "4"])) == 2
    assert len(opened) == 2


def test_records_are_copied_in_the_block_only(shard):
    old, _ = shard("old", [("a", 1)])
    with pytest.raises(ZeroDivisionError), reusing([old.with_suffix(".json")]):
        raise ZeroDivisionError
    assert _find(["1"]) == {}


def test_a_records_digest_depends_on_its_content(shard, tmp_path):
    one, _ = shard("one", [("a", 1), ("b", 2)])
    two, _ = shard("two", [("z", 5), ("b2", 2)])
    first = Store([one.with_suffix(".json")], kind="maps")
    second = Store([two.with_suffix(".json")], kind="maps")
    assert first.digest("b") == second.digest("b2")
    assert len({first.digest("a"), first.digest("b"), second.digest("z")}) == 3


def test_the_index_decodes_only_new_photographs(tmp_path, monkeypatch):
    data = VocFolder(tmp_path / "photographs", ids="abcd")
    decoded = []
    read_image = index.read_image

    def reading(path, **options):
        decoded.append(path.stem)
        return read_image(path, **options)

    monkeypatch.setattr(index, "read_image", reading)

    def indexed(name, ids):
        decoded.clear()
        data.write_split("train", ids)
        with reusing(sorted(tmp_path.glob("*.jsonl"), reverse=True)):
            data.index(tmp_path / name)
        return (tmp_path / name).read_bytes(), sorted(decoded)

    assert indexed("1.jsonl", "ab")[1] == ["a", "b"]
    manifest, new = indexed("2.jsonl", "abc")
    assert new == ["c"]
    data.image("a").write_bytes(data.image("d").read_bytes())
    assert indexed("3.jsonl", "abc")[1] == ["a"]
    for path in tmp_path.glob("*.jsonl"):
        path.unlink()
    data = VocFolder(tmp_path / "again", ids="abcd")
    assert indexed("1.jsonl", "abc") == (manifest, ["a", "b", "c"])
    (tmp_path / "1.jsonl").write_bytes(manifest[:-5])
    assert indexed("2.jsonl", "ab")[1] == ["a", "b"]


# Whole runs


def runs_of(folder):
    """Return what each job of a project's run did: its rule, and whether it was taken."""
    logs = sorted((folder / "results/mini/logs").rglob("*.log"))
    return {
        log.relative_to(folder / "results/mini/logs").as_posix(): "reused from the cache"
        in log.read_text()
        for log in logs
    }


KEPT_BY_LABELS = {
    "index_images",
    "detect_saliency",
    "train_classifier",
    "extract_cams",
    "erase_regions",
    "assemble_labels",
}
KEPT = KEPT_BY_LABELS | {
    "score",
    "train_segmentation",
    "predict",
    "predict_shown",
    "refine_predictions",
}


def check_taken(folder, kept=frozenset(KEPT)):
    taken = {name.split("/")[0] for name, was in runs_of(folder).items() if was}
    done = {name.split("/")[0] for name, was in runs_of(folder).items() if not was}
    assert taken == kept
    assert not done & kept


@pytest.mark.parametrize(
    "whole",
    [
        pytest.param(False, id="labels", marks=pytest.mark.slow),
        pytest.param(True, id="all", marks=pytest.mark.long),
    ],
)
def test_a_second_checkout_reuses_the_results_of_the_first(finished_miniature, tmp_path, whole):
    new_project(tmp_path)
    shutil.copy(finished_miniature / "mini.yaml", tmp_path)
    cache = finished_miniature.with_name("cache")
    arguments = ["--configfile", "mini.yaml", "--config", f'runtime={{"cache": "{cache}"}}']
    arguments += [] if whole else ["--until", "assemble_labels"]
    run_snakemake(tmp_path, *arguments)
    made, expected = digests(tmp_path), digests(finished_miniature)
    assert made == (expected if whole else {name: expected[name] for name in made})
    check_taken(tmp_path, KEPT if whole else KEPT_BY_LABELS)
    assert not any(runs_of(finished_miniature).values())
    about = [p.read_text() for p in cache.glob("*/*/entry.json")]
    assert not any(str(finished_miniature) in entry for entry in about)


@pytest.mark.long
def test_a_second_checkout_reuses_every_shard(tmp_path):
    alone, first, second = (tmp_path / name for name in ("alone", "first", "second"))
    text = (ROOT / "tests" / "mini.yaml").read_text().partition("variants:")[0]
    for folder in (alone, first, second):
        folder.mkdir()
        cache = "null" if folder == alone else tmp_path / "cache"
        runtime = f"runtime: {{ cache: {cache}, shards: 3 }}"
        (new_project(folder) / "mini.yaml").write_text(
            text.replace("runtime: { cache: null }", runtime)
        )
        run_snakemake(folder, "--configfile", "mini.yaml")
    assert digests(first) == digests(second) == digests(alone)
    assert not any(runs_of(first).values())
    check_taken(second)


@pytest.fixture
def photographs(tmp_path):
    """Return a project with photographs of its own."""
    (tmp_path / "project").mkdir()
    folder = new_project(tmp_path / "project")
    data = VocFolder(folder / "my data", ids="abcdefgh")
    data.write_split("train", "abcdef")
    data.write_split("val", "gh")
    data.write_labels([(n, ["cat", "dog"][k % 2]) for k, n in enumerate("abcdefgh")])
    return folder, data


PHOTOGRAPHS = """\
run: mini
data: { adapter: voc, root: my data, labels: csv, labels_csv: my data/labels.csv,
        class_names: [cat, dog] }
networks: { width: 0.0625 }
mining: { steps: 1, train: { epochs: 1, batch_size: 2, crop: 33 } }
saliency: { superpixels: 20 }
segmentation: { train: { epochs: 1, batch_size: 2, crop: 33 } }
runtime: { cache: results/.my cache }
"""


def add_photographs(data):
    rng = np.random.default_rng(5)
    for name in "xyz":
        Image.fromarray(rng.integers(0, 255, (40, 48, 3), dtype=np.uint8)).save(data.image(name))
        Image.fromarray(np.zeros((40, 48), np.uint8)).save(data.mask(name))
    rows = [(n, ["cat", "dog"][k % 2]) for k, n in enumerate("abcdefghxyz")]
    data.write_labels(rows)


@pytest.mark.slow
def test_only_added_training_photographs_are_computed(photographs):
    """Index and saliency of the old ones are not computed again."""
    folder, data = photographs
    (folder / "mini.yaml").write_text(PHOTOGRAPHS)
    saliency = ("--configfile", "mini.yaml", "--until", "detect_saliency")
    run_snakemake(folder, *saliency)
    add_photographs(data)
    data.write_split("train", "yabczdef")
    run_snakemake(folder, *saliency)
    log = folder / "results/mini/logs/detect_saliency/main-0.log"
    assert "6 of 8 records are copied from the cache" in log.read_text()
    cached = digests(folder)
    shutil.rmtree(folder / "results")
    run_snakemake(folder, *saliency)
    fresh = digests(folder)
    same = [n for n in fresh if n.startswith(("mini/saliency/", "mini/train_images/"))]
    assert len(same) == 3
    assert [cached[n] for n in same] == [fresh[n] for n in same]


@pytest.mark.long
def test_only_added_photographs_are_predicted(photographs):
    """Predictions and CRF of the old ones are not computed again."""
    folder, data = photographs
    (folder / "mini.yaml").write_text(PHOTOGRAPHS)
    run_snakemake(folder, "--configfile", "mini.yaml")
    add_photographs(data)
    data.write_split("val", "xgh")
    run_snakemake(folder, "--configfile", "mini.yaml")
    for rule in ("predict", "refine_predictions"):
        log = folder / "results/mini/logs" / rule / "main-0.log"
        assert "2 of 3 records are copied from the cache" in log.read_text()
