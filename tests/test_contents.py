"""What a replaced, touched or moved file changes: the digests that Snakemake compares."""

import json
import os
import shutil
from pathlib import Path

import pytest

from aepsl.errors import AepslError
from aepsl.workflow import memory, results
from aepsl.workflow.run import Workflow
from aepsl.workflow.stages import STAGES


@pytest.fixture
def project(tmp_path, monkeypatch, voc_folder):
    """Return a function that gives each stage's slice for the photographs as they are now."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "maps").mkdir()
    for name in "abc":
        (tmp_path / "maps" / f"{name}.png").write_text(name)
    (tmp_path / "weights.npz").write_text("weights")
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
            "networks": {"weights": "weights.npz"},
            "saliency": {"method": "precomputed", "folder": "maps"},
            "variants": {
                "detector": {"saliency": {"method": "network", "network": {"file": "net.onnx"}}}
            },
        }

    def slices(**data):
        run = Workflow(config(**data))
        return {
            (stage, name): run.variants.slice_of(stage, name)
            for stage in STAGES
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
def test_what_a_changed_file_changes(project, voc_folder, case):
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
    monkeypatch.setattr(memory, "digest_of", lambda path: pytest.fail(f"read {path} again"))
    assert project() == before


@pytest.mark.parametrize("lost", ["", "{", "[]", '{"x": 1}'])
def test_a_lost_memory_is_made_again(project, lost):
    before = project()
    results.MEMORY.write_text(lost)
    assert project() == before
    assert "photographs" in json.loads(results.MEMORY.read_text()).__repr__()


def test_absent_files_are_named_before_anything_runs(project, voc_folder):
    config = project.config()
    Workflow(config).check_files()
    shutil.rmtree(voc_folder.root)
    Path("weights.npz").unlink()
    Path("net.onnx").unlink()
    with pytest.raises(AepslError) as refused:
        Workflow(config).check_files()
    text = str(refused.value)
    for name, key in [
        ("photographs", "data.root"),
        ("labels.csv", "data.labels_csv"),
        ("weights.npz", "networks.weights"),
        ("net.onnx", "saliency.network.file"),
    ]:
        assert f"{name}: is not there\n    Hint: set {key}" in text
    assert "maps" not in text


def test_what_is_wrong_with_the_data_is_left_to_the_index(project, voc_folder):
    voc_folder.write_split("train", [])
    voc_folder.labels.write_text("no header\n")
    (voc_folder.root / "ImageSets/Segmentation/val.txt").write_bytes(b"\xff\xfe\x00")
    assert project()


def test_a_question_is_asked_again_when_something_looks_otherwise(tmp_path):
    folder, asked = tmp_path / "masks", []

    def ask():
        again = memory.Memory(tmp_path / "memory.json")
        again.answer("?", files=[], folders=[folder], find_out=lambda: str(asked.append(1)))
        return len(asked)

    assert [ask(), ask()] == [1, 1]  # a folder that is not there looks like itself, too
    folder.mkdir()
    assert [ask(), ask()] == [2, 2]
    (folder / "b").write_text("b")
    (folder / "a").write_text("aa")
    assert [ask(), ask()] == [3, 3]
    (folder / "a").replace(folder / "c")
    assert [ask(), ask()] == [4, 4]
    os.utime(folder / "c", ns=(0, 0))
    assert [ask(), ask()] == [5, 5]
