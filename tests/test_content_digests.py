"""Which digests a replaced, touched or moved file changes."""

import json
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from aepsl.errors import AepslError
from aepsl.workflow import digest_cache, plan
from aepsl.workflow.plan import Plan
from aepsl.workflow.stages import STAGES, ResultIndex

NAMES = {
    "index_images": "{role}_images",
    "index_truth": "{role}_truth",
    "detect_saliency": "saliency",
    "train_classifier": "classifier",
    "train_segmentation": "segmentation",
}


@pytest.fixture
def project(tmp_path, monkeypatch, voc_folder):
    """Return a function that gives each stage's slice for the photographs as they are now."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "maps").mkdir()
    for name in "abc":
        (tmp_path / "maps" / f"{name}.png").write_text(name)
    np.savez(tmp_path / "weights.npz", weights=np.zeros(3))
    (tmp_path / "net.onnx").write_text("network")

    def config(**data):
        return {
            "data": {
                "adapter": "voc",
                "root": str(voc_folder.root),
                "labels": "csv",
                "labels_csv": str(voc_folder.labels),
                "class_names": ["cat", "dog"],
                **data,
            },
            "networks": {"weights": "weights.npz", "width": 1 / 16},
            "saliency": {"method": "precomputed", "folder": "maps"},
            "variants": {
                "detector": {"saliency": {"method": "network", "network": {"file": "net.onnx"}}}
            },
        }

    def slices(**data):
        run = Plan(config(**data))
        return {
            (NAMES.get(stage, stage).format(role=role), name): run.variants.settings(
                stage, name, ResultIndex(role=role, step=1, round=1, target="labels")
            )
            for stage in STAGES
            for role in ("train", "eval")
            for name in ("main", "detector")
        }

    slices.config = config
    return slices


def changed(before, after):
    return {stage for stage, name in before if before[stage, name] != after[stage, name]}


def append(path, text=" "):
    with path.open("a") as file:
        file.write(text)


CHANGES = {
    "a photograph to learn from": (lambda v: append(v.image("a")), {"train_images"}),
    "a photograph to predict": (lambda v: append(v.image("c")), {"eval_images"}),
    "a mask to learn from": (lambda v: append(v.mask("b")), {"train_truth"}),
    "a mask to score with": (lambda v: append(v.mask("c")), {"eval_truth"}),
    "a mask is gone": (lambda v: v.mask("c").unlink(), {"eval_truth"}),
    "a label to learn from": (
        lambda v: v.write_labels([("a", "dog"), ("b", "cat"), ("c", "cat")]),
        {"train_images"},
    ),
    "a label of a photograph to predict": (
        lambda v: v.write_labels([("a", "cat"), ("b", "cat"), ("c", "dog")]),
        {"eval_images"},
    ),
    "another photograph in the split": (
        lambda v: v.write_split("train", ["a", "b", "c"]),
        {"train_images", "train_truth", "saliency"},
    ),
    "the weights": (
        lambda v: append(Path("weights.npz")),
        {"classifier", "segmentation"},
    ),
    "a saliency map": (lambda v: append(Path("maps/b.png")), {"saliency"}),
    "a saliency map of another split": (lambda v: append(Path("maps/c.png")), set()),
    "the detector": (lambda v: append(Path("net.onnx")), {"saliency"}),
    "a photograph outside the splits": (
        lambda v: v.image("z").write_bytes(v.image("a").read_bytes()),
        set(),
    ),
}


@pytest.mark.parametrize("case", CHANGES)
def test_which_digests_a_changed_file_changes(project, voc_folder, case):
    change, stages = CHANGES[case]
    before = project()
    change(voc_folder)
    assert changed(before, project()) == stages


def test_touched_files_change_nothing(project, voc_folder, tmp_path):
    before = project()
    for path in tmp_path.rglob("*"):
        if path.is_file():
            os.utime(path)
    assert project() == before


def test_a_copy_elsewhere_changes_nothing(project, voc_folder, tmp_path):
    before = project()
    copy = tmp_path / "elsewhere"
    shutil.copytree(voc_folder.root, copy)
    moved = {"root": str(copy), "labels_csv": str(copy / "labels.csv")}
    assert project(**moved) == before


def test_xml_labels_are_part_of_it(project, voc_folder):
    folder = voc_folder.root / "Annotations"
    folder.mkdir()
    for name in "abc":
        (folder / f"{name}.xml").write_text("<a/>")
    before = project(labels="xml")
    append(folder / "b.xml")
    assert changed(before, project(labels="xml")) == {"train_images"}


def test_a_file_is_read_once(project, voc_folder, monkeypatch):
    before = project()
    monkeypatch.setattr(digest_cache, "digest_of", lambda path: pytest.fail(f"read {path} again"))
    assert project() == before


@pytest.mark.parametrize("lost", ["", "{", "[]", '{"x": 1}'])
def test_a_lost_digest_cache_is_rebuilt(project, lost):
    before = project()
    plan.DIGEST_CACHE_FILE.write_text(lost)
    assert project() == before
    assert "photographs" in json.loads(plan.DIGEST_CACHE_FILE.read_text()).__repr__()


def test_absent_files_are_named_before_anything_runs(project, voc_folder):
    config = project.config()
    Plan(config).check_files()
    shutil.rmtree(voc_folder.root)
    Path("weights.npz").unlink()
    Path("net.onnx").unlink()
    with pytest.raises(AepslError) as refused:
        Plan(config).check_files()
    text = str(refused.value)
    for name, key in [
        ("photographs", "data.root"),
        ("labels.csv", "data.labels_csv"),
        ("weights.npz", "networks.weights"),
        ("net.onnx", "saliency.network.file"),
    ]:
        assert f"{name}: the file or folder does not exist\n    Hint: set {key}" in text
    assert "maps" not in text


def test_invalid_data_is_reported_by_the_index_only(project, voc_folder):
    voc_folder.write_split("train", [])
    voc_folder.labels.write_text("no header\n")
    (voc_folder.root / "ImageSets/Segmentation/val.txt").write_bytes(b"\xff\xfe\x00")
    assert project()


@pytest.fixture
def computed(tmp_path):
    """Return a function that asks for a value, and says how often it was computed so far."""
    times = []

    def get(path):
        again = digest_cache.DigestCache(tmp_path / "memory.json")
        again.get(("?", str(path)), watch=lambda: [path], compute=lambda: str(times.append(1)))
        return len(times)

    return get


def test_a_value_is_computed_again_when_a_folder_has_changed(computed, tmp_path):
    folder = tmp_path / "masks"
    assert [computed(folder), computed(folder)] == [1, 1]  # what is absent is remembered, too
    folder.mkdir()
    assert [computed(folder), computed(folder)] == [2, 2]
    (folder / "b").write_text("b")
    (folder / "a").write_text("aa")
    assert [computed(folder), computed(folder)] == [3, 3]
    (folder / "a").replace(folder / "c")
    assert [computed(folder), computed(folder)] == [4, 4]
    os.utime(folder / "c", ns=(0, 0))
    assert [computed(folder), computed(folder)] == [5, 5]
    (folder / "d").symlink_to("nowhere")
    assert [computed(folder), computed(folder)] == [6, 6]
    (folder / "c").write_text("other")  # noticed beside a link that leads nowhere
    assert [computed(folder), computed(folder)] == [7, 7]


def replace_unnoticed(path):
    """Replace a file by another of the same size and modification time, as rsync and cp -p can."""
    before = path.stat()
    content = path.read_bytes()
    time.sleep(0.02)  # the clock of a file system is that coarse
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)


@pytest.mark.parametrize("place", ["masks", "masks/a"])
def test_a_replaced_file_is_noticed_though_size_and_time_are_kept(computed, tmp_path, place):
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "a").write_text("aa")
    assert computed(tmp_path / place) == 1
    replace_unnoticed(tmp_path / "masks" / "a")
    assert computed(tmp_path / place) == 2


def test_a_photograph_that_keeps_size_and_time_is_noticed_when_planned(project, voc_folder):
    before = project()
    replace_unnoticed(voc_folder.image("a"))
    assert changed(before, project()) == {"train_images"}


SPECIAL = {
    "a named pipe": os.mkfifo,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a folder": Path.mkdir,
}


@pytest.mark.parametrize("kind", SPECIAL)
def test_a_path_that_is_not_a_file_does_not_stop_the_planning(project, voc_folder, kind):
    """The index reports it, together with everything else that is wrong with the data."""
    for path in (voc_folder.image("a"), voc_folder.mask("a"), voc_folder.labels):
        path.unlink()
        SPECIAL[kind](path)
    assert project()


@pytest.mark.parametrize("kind", SPECIAL)
def test_a_configured_path_that_is_not_a_file_is_refused(project, voc_folder, kind):
    for path in (voc_folder.labels, Path("weights.npz"), Path("net.onnx")):
        path.unlink()
        SPECIAL[kind](path)
    shutil.rmtree("maps")
    Path("maps").touch()
    with pytest.raises(AepslError) as refused:
        Plan(project.config()).check_files()
    text = str(refused.value)
    for name, key in [
        ("labels.csv", "data.labels_csv"),
        ("weights.npz", "networks.weights"),
        ("net.onnx", "saliency.network.file"),
    ]:
        assert f"{name}: is {kind}, not a file\n    Hint: set {key} to a file" in text
    assert "maps: is a file, not a folder\n    Hint: set saliency.folder to a folder" in text
