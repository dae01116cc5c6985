"""Finished work is taken where it is the same work, and nowhere else."""

import inspect
import multiprocessing
import os
import shutil
import signal
import time
from copy import copy
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, VocFolder, new_project, run_snakemake
from PIL import Image
from test_kill import digests
from typer.testing import CliRunner

from aepsl import machine
from aepsl.cli import app, kept
from aepsl.cli.markers import Aside, Reads, Share, Writes, marked
from aepsl.console import log
from aepsl.stores.cache import Cache
from aepsl.stores.records import Record, Store, writing_shard
from aepsl.stores.reuse import Earlier, _taken, add_all
from aepsl.workflow.codedigest import code_digest


def files_in(folder, **contents):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in contents]


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache")


# The folder


def test_what_was_kept_is_fetched_byte_for_byte(cache, tmp_path):
    paths = files_in(tmp_path / "a", model=b"weights", curve=b"1,2")
    cache.keep("k1", paths, seconds=2.5)
    there = [tmp_path / "b" / path.name for path in paths]
    assert cache.fetch("k1", there).seconds == 2.5
    assert [path.read_bytes() for path in there] == [b"weights", b"1,2"]
    assert cache.fetch("k2", there) is None


def test_a_copy_shares_nothing_with_what_was_kept(cache, tmp_path):
    paths = files_in(tmp_path / "a", model=b"weights")
    cache.keep("k1", paths)
    paths[0].write_bytes(b"broken!")  # in place, as a fault of the disk would
    assert cache.fetch("k1", paths)
    assert paths[0].read_bytes() == b"weights"


@pytest.mark.parametrize("name", ["model", "curve", "entry.json"])
def test_a_flipped_byte_is_never_handed_out(cache, tmp_path, name):
    paths = files_in(tmp_path / "a", model=b"weights", curve=b"1,2")
    cache.keep("k1", paths)
    (kept_file,) = (tmp_path / "cache").rglob(name)
    content = bytearray(kept_file.read_bytes())
    content[len(content) // 2] ^= 1
    kept_file.write_bytes(content)
    there = [tmp_path / "b" / path.name for path in paths]
    assert cache.fetch("k1", there) is None
    assert not any(path.exists() for path in there)
    assert not kept_file.exists()
    cache.keep("k1", paths)
    assert cache.fetch("k1", there) is not None


def test_a_file_that_is_gone_is_never_half_a_result(cache, tmp_path):
    paths = files_in(tmp_path / "a", model=b"weights", curve=b"1,2")
    cache.keep("k1", paths)
    next((tmp_path / "cache").rglob("curve")).unlink()
    there = [tmp_path / "b" / path.name for path in paths]
    assert cache.fetch("k1", there) is None
    assert list((tmp_path / "b").iterdir()) == []


@pytest.mark.parametrize("lost", ["curve", "entry.json"])
def test_an_entry_that_lost_a_file_is_kept_anew(cache, tmp_path, lost):
    paths = files_in(tmp_path / "a", model=b"weights", curve=b"1,2")
    cache.keep("k1", paths)
    next((tmp_path / "cache").rglob(lost)).unlink()
    cache.keep("k1", paths)
    assert cache.fetch("k1", paths)


def test_what_was_half_kept_long_ago_is_swept(cache, tmp_path):
    paths = files_in(tmp_path / "a", model=b"weights")
    cache.keep("k1", paths)
    old, young = (tmp_path / "cache" / "k1" / f"k2.tmp.host.{n}" for n in (1, 2))
    for folder in (old, young):
        files_in(folder, model=b"half")
    os.utime(old, (0, 0))
    cache.keep("k3", paths)
    assert not old.exists()
    assert young.exists()


def test_an_entry_that_cannot_be_read_is_no_fault_of_the_work(cache, tmp_path, monkeypatch, caplog):
    paths = files_in(tmp_path / "a", model=b"weights")
    cache.keep("k1", paths)
    kept_file = next((tmp_path / "cache").rglob("model"))
    kept_file.unlink()
    kept_file.mkdir()  # reading it fails for everybody, root too
    monkeypatch.setattr(log, "propagate", True)
    assert cache.fetch("k1", paths) is None
    assert "cannot be read" in caplog.text
    cache.keep("k1", paths)
    assert cache.fetch("k1", paths)


def test_what_nobody_asked_for_goes_first(tmp_path):
    cache = Cache(tmp_path / "cache", limit=4000e-9)  # GB: three entries
    paths = files_in(tmp_path / "a", model=b"x" * 1000)
    for number, key in enumerate(["k1", "k2", "k3"]):
        cache.keep(key, paths, family="f")
        about = next((tmp_path / "cache").glob(f"*/{key}/entry.json"))
        os.utime(about, (number, number))
    assert cache.fetch("k1", paths)  # the oldest is asked for
    cache.keep("k4", paths, family="f")
    there = [key for key in ("k1", "k2", "k3", "k4") if cache.fetch(key, paths)]
    assert there == ["k1", "k3", "k4"]
    sizes = [p.stat().st_size for p in (tmp_path / "cache").glob("??/*/*")]
    assert sum(sizes) <= 4000


def test_a_folder_that_cannot_be_written_is_no_fault_of_the_work(tmp_path, caplog):
    (tmp_path / "cache").write_text("a file stands there")
    cache = Cache(tmp_path / "cache")
    paths = files_in(tmp_path / "a", model=b"weights")
    cache.keep("k1", paths, family="f")
    assert cache.fetch("k1", paths) is None
    assert cache.kin("f") == []
    assert paths[0].read_bytes() == b"weights"


def keep_and_fetch(folder, place, number, results):
    cache, wrong = Cache(folder, limit=20e-6), 0
    for turn in range(60):
        key = f"k{(turn * (number + 1)) % 7}"
        content = key.encode() * 1000
        (path,) = files_in(place / f"p{number}", model=content)
        cache.keep(key, [path], family="f")
        path.unlink()
        if cache.fetch(key, [path]) and path.read_bytes() != content:
            wrong += 1
        cache.kin("f")
    results.put(wrong)


def test_many_processes_share_it(tmp_path):
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    each = [
        context.Process(target=keep_and_fetch, args=(tmp_path / "cache", tmp_path, n, results))
        for n in range(4)
    ]
    for process in each:
        process.start()
    assert [results.get(timeout=120) for _ in each] == [0] * 4
    for process in each:
        process.join()
        assert process.exitcode == 0
    left = [p for p in (tmp_path / "cache").rglob("*.tmp.*")]
    assert left == []


def keep_for_ever(folder, place):
    (path,) = files_in(place, model=os.urandom(3_000_000))
    while True:
        Cache(folder).keep("k1", [path])
        Cache(folder, limit=0).keep("k2", [path])  # makes room, of both


def test_a_killed_process_leaves_no_half_entry(tmp_path):
    context = multiprocessing.get_context("spawn")
    paths = files_in(tmp_path / "a", model=b"weights")
    for moment in (0.0, 0.01, 0.02, 0.03):
        process = context.Process(target=keep_for_ever, args=(tmp_path / "cache", tmp_path / "p"))
        process.start()
        while not (tmp_path / "cache" / "k1").exists():
            time.sleep(0.01)
        time.sleep(moment)
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        entry = tmp_path / "cache" / "k1" / "k1"
        if entry.exists():
            assert Cache(tmp_path / "cache").fetch("k1", paths)
        Cache(tmp_path / "cache").keep("k1", paths)
        assert [p.name for p in (tmp_path / "cache" / "k1").iterdir()] == ["k1"]
        shutil.rmtree(tmp_path / "cache")


# What a job is known by


def commands():
    for info in app.registered_commands:
        options = inspect.signature(info.callback).parameters
        if "cache" in options:
            yield pytest.param(info.callback, id=info.callback.__name__)


ASIDE = {"root", "workers", "work", "labels_csv"}
"""By hand: what is no part of a result."""


@pytest.mark.parametrize("command", list(commands()))
def test_every_option_counts_but_places(command):
    plain = set(inspect.signature(command).parameters)
    plain -= {"log", "checksums", "code", "cache", "cache_gb"}
    aside = set(marked(command, Aside))
    if command.__name__ in ("index_images", "refine_predictions"):
        aside -= {"threads"}  # processes: each image is worked on alone
    assert aside <= ASIDE
    files = {n for n in plain if "Path" in str(inspect.signature(command).parameters[n].annotation)}
    assert files <= set(marked(command, Reads)) | set(marked(command, Writes)) | ASIDE
    assert set(marked(command, Share)) <= {"shard", "shards", "limit", "config", "part"}


OPTIONS = {
    "--config": "{}",
    "--dataset": "images.json",
    "--regions": "r.json",
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

    monkeypatch.setattr(assemble_labels, "run", work)

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


def test_what_a_file_holds_counts_and_where_it_lies_does_not(assemble):
    assert assemble()
    Path("elsewhere").mkdir()
    shutil.copy("r.json", "elsewhere/other.json")
    assert not assemble(regions="elsewhere/other.json")
    Path("r.json").write_text("mined anew")
    assert assemble()


def test_another_library_is_other_work(assemble, monkeypatch):
    assert assemble()
    monkeypatch.setattr(machine, "version", lambda name: "99")
    assert assemble()


def test_other_code_is_other_work(assemble, monkeypatch):
    assert assemble()
    monkeypatch.setattr(kept, "_code_of", lambda command: "c1")
    assert assemble(code="c1")
    assert not assemble(code="c1")


def test_code_that_is_not_what_was_planned_is_neither_taken_nor_kept(assemble, monkeypatch):
    assert assemble()
    assert assemble(code="c1")
    assert assemble(code="c1")
    digests = iter(["c2", "c3"])  # changed while it ran
    with monkeypatch.context() as patch:
        patch.setattr(kept, "_code_of", lambda command: next(digests))
        assert assemble(code="c2")
    monkeypatch.setattr(kept, "_code_of", lambda command: "c2")
    assert assemble(code="c2")
    assert not assemble(code="c2")


def test_without_a_code_or_a_folder_nothing_is_kept(assemble):
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
        with writing_shard(path, kind="maps", facts={"class_names": ["a"]}) as writer:
            sources = [item.source for item in items]
            add_all(writer, items, sources, earlier=Earlier(earlier), make=make)
        return path, made

    return write


def test_copied_records_make_the_bytes_of_made_ones(shard, tmp_path):
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


def test_records_of_a_broken_shard_are_made_again(shard):
    old, _ = shard("old", [("a", 1), ("b", 2)])
    content = bytearray(old.read_bytes())
    content[-100] ^= 1
    old.write_bytes(content)
    _, made = shard("new", [("a", 1)], [old.with_suffix(".json")])
    assert made == ["a"]


def test_records_that_are_removed_while_they_are_read_are_made_again(shard):
    old, _ = shard("old", [("a", 1), ("b", 2)])
    (there := Earlier([old.with_suffix(".json")])).find(["1"])  # opens it once
    found = there.find(["1", "2"])
    old.unlink()  # evicted, to make room: it is held open
    assert found["1"][0].packed("a") and found["2"][0].packed("b")
    assert _taken((copy(found["2"][0]), "b")) is None  # which is not open


def test_only_shards_that_help_are_opened(shard, monkeypatch):
    shards = [shard(f"s{n}", [(f"i{n}", n)])[0].with_suffix(".json") for n in range(5)]
    opened = []
    monkeypatch.setattr(Store, "hold", lambda self: opened.append(1))
    assert len(Earlier(shards).find(["3", "4"])) == 2
    assert len(opened) == 2


def test_a_records_digest_is_of_what_it_holds(shard, tmp_path):
    one, _ = shard("one", [("a", 1), ("b", 2)])
    two, _ = shard("two", [("z", 5), ("b2", 2)])
    first = Store([one.with_suffix(".json")], kind="maps")
    second = Store([two.with_suffix(".json")], kind="maps")
    assert first.digest("b") == second.digest("b2")
    assert len({first.digest("a"), first.digest("b"), second.digest("z")}) == 3


# Whole runs


def runs_of(folder):
    """Return what each job of a project's run did: its rule, and whether it was taken."""
    logs = sorted((folder / "results/mini/logs").rglob("*.log"))
    return {
        log.relative_to(folder / "results/mini/logs").as_posix(): "taken from the cache"
        in log.read_text()
        for log in logs
    }


KEPT = {"detect_saliency", "train_classifier", "extract_cams", "erase_regions", "score"}
KEPT |= {"assemble_labels", "train_segmentation", "predict", "predict_shown", "refine_predictions"}


def check_taken(folder):
    taken = {name.split("/")[0] for name, was in runs_of(folder).items() if was}
    done = {name.split("/")[0] for name, was in runs_of(folder).items() if not was}
    assert taken == KEPT
    assert not done & KEPT


def test_a_second_checkout_takes_what_the_first_has_made(finished_miniature, tmp_path):
    new_project(tmp_path)
    shutil.copy(finished_miniature / "mini.yaml", tmp_path)
    cache = finished_miniature.with_name("cache")
    run_snakemake(
        tmp_path, "--configfile", "mini.yaml", "--config", f'runtime={{"cache": "{cache}"}}'
    )
    assert digests(tmp_path) == digests(finished_miniature)
    check_taken(tmp_path)
    assert not any(runs_of(finished_miniature).values())
    about = [p.read_text() for p in cache.glob("??/*/entry.json")]
    assert not any(str(finished_miniature) in entry for entry in about)


@pytest.mark.slow
def test_a_second_checkout_takes_every_shard(tmp_path):
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


def test_added_photographs_cost_what_they_are(photographs):
    """Saliency, index, predictions and CRF of the old ones are not made again."""
    folder, data = photographs
    (folder / "mini.yaml").write_text(
        """\
run: mini
data: { adapter: voc, root: my data, labels: csv, labels_csv: my data/labels.csv,
        class_names: [cat, dog] }
networks: { width: 0.0625 }
mining: { steps: 1, train: { epochs: 1, batch_size: 2, crop: 33 } }
saliency: { superpixels: 20 }
segmentation: { train: { epochs: 1, batch_size: 2, crop: 33 } }
runtime: { cache: results/.my cache }
"""
    )
    run_snakemake(folder, "--configfile", "mini.yaml")
    rng = np.random.default_rng(5)
    for name in "xyz":
        Image.fromarray(rng.integers(0, 255, (40, 48, 3), dtype=np.uint8)).save(data.image(name))
        Image.fromarray(np.zeros((40, 48), np.uint8)).save(data.mask(name))
    rows = [(n, ["cat", "dog"][k % 2]) for k, n in enumerate("abcdefghxyz")]
    data.write_labels(rows)
    data.write_split("val", "xgh")
    run_snakemake(folder, "--configfile", "mini.yaml")
    logs = folder / "results/mini/logs"
    assert "2 of 3 records are there already" in (logs / "predict/main-0.log").read_text()
    assert "2 of 3 records" in (logs / "refine_predictions/main-0.log").read_text()
    data.write_split("train", "yabczdef")
    run_snakemake(folder, "--configfile", "mini.yaml", "--until", "detect_saliency")
    assert "6 of 8 records" in (logs / "detect_saliency/main-0.log").read_text()
    cached = digests(folder)
    shutil.rmtree(folder / "results")
    run_snakemake(folder, "--configfile", "mini.yaml", "--until", "detect_saliency")
    fresh = digests(folder)
    same = [n for n in fresh if n.startswith(("mini/saliency/", "mini/train_images/"))]
    assert len(same) == 3
    assert [cached[n] for n in same] == [fresh[n] for n in same]
