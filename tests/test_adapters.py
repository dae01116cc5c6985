"""Rules of every dataset adapter; a new one needs an example here, a small dataset of its kind."""

import json
import shutil
from pathlib import Path

import pytest
from conftest import VocFolder, settings_of
from PIL import Image

from aepsl.config.data import Data
from aepsl.config.sections import parse
from aepsl.data.adapters import ADAPTERS, described, open_dataset
from aepsl.errors import AepslError
from aepsl.stages.generate_scenes import generate_scenes
from aepsl.stages.index_images import index_images
from aepsl.stages.index_truth import index_truth
from aepsl.stores.manifests import read_images, read_truth
from aepsl.workflow.checks import unreadable_paths
from aepsl.workflow.content_digests import ContentDigests
from aepsl.workflow.plan import Plan


def generated(folder):
    """Return the configuration of three scenes, and the folder that holds them."""
    data = {"adapter": "scenes", "scenes": {"train_images": 2, "val_images": 1, "size": 65}}
    config = settings_of("generate_scenes", {"data": data})
    generate_scenes(config, output=folder / "scenes" / "scenes.json", threads=1)
    return data, folder / "scenes"


def in_vocs_layout(folder):
    """Return the configuration of three photographs, and the folder that holds them."""
    photographs = VocFolder(folder / "photographs")
    data = {
        "adapter": "voc",
        "root": str(photographs.root),
        "class_names": ["cat", "dog"],
        "labels": "csv",
        "labels_csv": str(photographs.labels),
    }
    return data, photographs.root


def three_photographs(folder, places):
    """Write three photographs with their masks; return the adapter's common settings."""
    for number, place in enumerate(places):
        for path, image in (
            (folder / place, Image.new("RGB", (9 + number, 7), (number, 2, 3))),
            (
                folder / "masks" / Path(place).with_suffix(".png"),
                Image.new("L", (9 + number, 7), 1),
            ),
        ):
            path.parent.mkdir(parents=True, exist_ok=True)
            image.save(path)
    return {"root": str(folder), "mask_folder": "masks", "class_names": ["Straßenbahn", "my dog"]}


def folder_a_class(folder):
    places = ("train/my dog/1.png", "train/Straßenbahn/2 ü.png", "val/my dog/3.png")
    root = folder / "photographs"
    return {"adapter": "folder"} | three_photographs(root, places), root


def table(folder):
    root = folder / "photographs"
    data = three_photographs(root, ("a/1.png", "b/2 ü.png", "3.png"))
    rows = "Bild;labels;split\na/1.png;my dog;train\n2 ü;my dog, Straßenbahn;train\n3;my dog;val\n"
    (root / "labels.csv").write_text(rows, encoding="cp1252")
    return {"adapter": "csv", "image_column": "Bild"} | data, root


def coco(folder):
    root = folder / "photographs"
    data = three_photographs(root, ("train/1.png", "train/2 ü.png", "valid/3.png"))
    names = [{"id": 7, "name": "my dog"}, {"id": 9, "name": "Straßenbahn"}]
    for split, photographs in {"train": ("1.png", "2 ü.png"), "valid": ("3.png",)}.items():
        images = [{"id": 3 * n, "file_name": name} for n, name in enumerate(photographs)]
        boxes = [{"image_id": 3 * n, "category_id": 7 + 2 * n} for n in range(len(photographs))]
        content = {"images": images, "annotations": boxes * 2, "categories": names}
        (root / split / "_annotations.coco.json").write_text(json.dumps(content))
    return {"adapter": "coco", "annotations": "{split}/_annotations.coco.json"} | data, root


def huggingface(folder):
    root = folder / "photographs"
    data = three_photographs(root, ("train/1.png", "train/2 ü.png", "test/3.png"))
    rows = [
        {"file_name": "1.png", "label": "my dog"},
        {"file_name": "2 ü.png", "label": ["my dog"]},
    ]
    (root / "train/metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (root / "test/metadata.csv").write_text("file_name,label\n3.png,my dog\n")
    return {"adapter": "huggingface"} | data, root


EXAMPLES = {
    "scenes": generated,
    "voc": in_vocs_layout,
    "folder": folder_a_class,
    "csv": table,
    "coco": coco,
    "huggingface": huggingface,
}

everyone = pytest.mark.parametrize("name", ADAPTERS)
those_with_files = pytest.mark.parametrize(
    "name", [name for name, adapter in ADAPTERS.items() if adapter.made_by is None]
)
roles = pytest.mark.parametrize("role", ["train", "eval"])


@pytest.fixture
def example(name, tmp_path):
    """Return an adapter's configuration of its example, and the example's folder."""
    assert name in EXAMPLES, f"make a small dataset for {name} here"
    return EXAMPLES[name](tmp_path)


def csv_of(data):
    """Return the file of labels of an example, if it has one."""
    return Path(data["labels_csv"]) if "labels_csv" in data else None


def opened(data, root):
    """Return the dataset of an example."""
    return open_dataset(parse(Data, data, where="data"), root=root, labels_csv=csv_of(data))


@everyone
@roles
def test_every_image_has_a_photograph_labels_and_a_mask(example, role):
    data, root = example
    dataset = opened(data, root)
    ids = dataset.ids(dataset.split(role))
    assert ids
    assert len(set(ids)) == len(ids)
    photographs, labels = dataset.photographs(), dataset.labels()
    for image_id in ids:
        assert photographs[image_id].is_relative_to(root)
        assert set(labels.of(image_id)) <= set(dataset.class_names)
        with Image.open(photographs[image_id]) as image, Image.open(dataset.mask(image_id)) as mask:
            assert image.size == mask.size
    assert not labels.problems


@everyone
def test_its_keys_are_settings(example):
    dataset = opened(*example)
    splits = {key for role in ("train", "eval") for key in dataset.split_keys(role)}
    paths = {key.removeprefix("data.") for key in dataset.paths()}
    assert {*dataset.image_keys, *dataset.truth_keys, *splits, *paths} <= set(Data.model_fields)
    assert {"classes", "limit_per_class"} <= set(dataset.image_keys)
    assert "classes" in dataset.truth_keys
    # A path decides nothing; what is there does.
    assert not paths & {*dataset.image_keys, *dataset.truth_keys}


@everyone
@roles
def test_its_keys_are_all_that_its_index_reads(example, role, tmp_path):
    """A stage gets the settings of its keys only, and refuses to read another."""
    data, root = example
    where = {"root": root, "output": tmp_path / "images.jsonl"}
    index_images(
        settings_of("index_images", {"data": data}, role=role),
        role=role,
        labels_csv=csv_of(data),
        **where,
    )
    index_truth(
        settings_of("index_truth", {"data": data}, role=role),
        dataset=tmp_path / "images.jsonl",
        root=root,
        output=tmp_path / "truth.jsonl",
    )
    dataset = opened(data, root)
    listed = [image.id for image in read_images(tmp_path / "images.jsonl").images]
    assert listed == dataset.ids(dataset.split(role))
    assert len(read_truth(tmp_path / "truth.jsonl").masks) == len(listed)


def contents(data):
    """Return the digests of the photographs and of the masks of both splits."""
    digests, dataset = ContentDigests(), described(parse(Data, data, where="data"))
    found = {}
    for role in ("train", "eval"):
        for kind, files in (
            ("images", dataset.images_content(role)),
            ("truth", dataset.truth_content(role)),
        ):
            found[kind, role] = files and digests.digest(files)
    return found


@everyone
def test_what_a_rule_generates_has_no_content_and_the_rest_has(example, name):
    made = ADAPTERS[name].made_by is not None
    assert [digest is None for digest in contents(example[0]).values()] == [made] * 4


@those_with_files
def test_its_content_is_what_its_files_hold(example, tmp_path):
    data, root = example
    before, dataset = contents(data), opened(data, root)
    moved = tmp_path / "moved"
    shutil.copytree(root, moved)
    assert contents({**data, "root": str(moved)}) == before
    (shown,) = dataset.ids(dataset.split("eval"))
    Image.new("RGB", (9, 9)).save(dataset.photographs()[shown])
    changed = contents(data)
    assert {key for key in before if before[key] != changed[key]} == {("images", "eval")}
    Image.new("L", (9, 9)).save(dataset.mask(shown))
    again = contents(data)
    assert {key for key in before if again[key] != changed[key]} == {("truth", "eval")}


@those_with_files
def test_a_dataset_that_cannot_be_read_is_planned(example):
    """Planning raises nothing of its own: the index reports what is wrong with the files."""
    data, root = example
    for path in sorted(root.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    assert None not in contents(data).values()
    with pytest.raises(AepslError):
        opened(data, root).photographs()


@everyone
def test_a_path_that_is_not_there_is_a_problem_of_its_key(example):
    data, _ = example
    keys = [key.removeprefix("data.") for key in described(parse(Data, data, where="")).paths()]
    assert not list(unreadable_paths(Plan({"data": data}).config))
    for key in keys:
        broken = {**data, key: f"{data[key]}-nowhere"}
        (problem,) = unreadable_paths(Plan({"data": broken}).config)
        assert problem.hint == f"set data.{key} to its path"


def test_the_content_follows_the_list_that_is_used(tmp_path):
    """A list of ours counts until the dataset has one of the same name."""
    photographs = VocFolder(tmp_path / "photographs")
    data = {"adapter": "voc", "root": str(photographs.root), "labels": "masks"}
    data |= {"train_split": "train_five", "eval_split": "val"}
    before = contents(data)
    photographs.write_split("train_five", ["a", "b"])
    after = contents(data)
    changed = {key for key in before if before[key] != after[key]}
    assert changed == {("images", "train"), ("truth", "train")}
