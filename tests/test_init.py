"""What ``aepsl init`` finds in a folder, and the configuration that it writes."""

import json

import pytest
import yaml
from PIL import Image
from test_readers import photograph
from typer.testing import CliRunner

from aepsl.cli import app
from aepsl.cli.init import configuration, initialise
from aepsl.config.presets import expanded
from aepsl.data.adapters import described
from aepsl.data.recognise import recognise
from aepsl.errors import AepslError
from aepsl.workflow.plan import Plan


def folders(root):
    for n in range(4):
        photograph(root / f"Straßenbahn/{n}.png", (n, 0, 0))
        photograph(root / f"my dog/{n}.png", (n, 1, 0))


def nothing_on_some(root):
    photograph(root / "crack/1.png")
    photograph(root / "background/2.png")


def masks(root):
    folders(root)
    (root / "masks").mkdir()
    Image.new("L", (4, 3)).save(root / "masks/1.png")


def pictures_called_masks(root):
    photograph(root / "masks/1.png")
    photograph(root / "hats/1.png", (0, 0, 1))


def table(root):
    photograph(root / "a.png")
    (root / "my labels.csv").write_text("image;labels\na;cat\n")


def tables(root):
    for split in ("train", "valid"):
        photograph(root / split / "a.png")
        (root / split / "_classes.csv").write_text("filename, cat, dog\na.png, 1, 1\n")


def coco(root):
    for split in ("train", "val"):
        photograph(root / f"{split}2017" / f"{split}.png")
        content = {
            "images": [{"id": 1, "file_name": f"{split}.png"}],
            "annotations": [{"image_id": 1, "category_id": 1}],
            "categories": [{"id": 1, "name": "cat"}],
        }
        (root / "annotations").mkdir(exist_ok=True)
        (root / f"annotations/instances_{split}2017.json").write_text(json.dumps(content))
    (root / "info.json").write_text("{}")


def huggingface(root):
    photograph(root / "training/a.png")
    (root / "training/metadata.csv").write_text("file_name,label\na.png,cat\n")


def voc(root):
    for name in ("a", "b"):
        photograph(root / "JPEGImages" / f"{name}.png")
        (root / "SegmentationClass").mkdir(exist_ok=True)
        Image.new("L", (4, 3), 8 if name == "a" else 12).save(
            root / f"SegmentationClass/{name}.png"
        )
    (root / "ImageSets/Segmentation").mkdir(parents=True)
    (root / "ImageSets/Segmentation/train.txt").write_text("a\n")
    (root / "ImageSets/Segmentation/val.txt").write_text("b\n")


FOUND = {
    voc: {"adapter": "voc", "labels": "masks", "mask_folder": "SegmentationClass"},
    folders: {"adapter": "folder"},
    nothing_on_some: {"adapter": "folder"},
    masks: {"adapter": "folder", "mask_folder": "masks"},
    pictures_called_masks: {"adapter": "folder"},
    table: {"adapter": "csv", "annotations": "my labels.csv"},
    tables: {"adapter": "csv", "annotations": "{split}/_classes.csv", "eval_split": "valid"},
    coco: {"adapter": "coco", "annotations": "annotations/instances_{split}2017.json"},
    huggingface: {"adapter": "huggingface", "train_split": "training"},
}
NO_NETWORK = AepslError.of("/home/me/u2netp.onnx", "no route to host", "put it there")


def fails(name):
    raise NO_NETWORK


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    """No saliency network can be downloaded, whatever the machine."""
    monkeypatch.setattr("aepsl.cli.init.fetch_network", fails)


def written(folder, *, saliency_network=False):
    """Return the configuration of a folder."""
    found = recognise(folder)
    text = configuration(found, folder=folder, run="mine", saliency_network=saliency_network)
    return yaml.safe_load(text)


layouts = pytest.mark.parametrize("make", FOUND, ids=lambda make: make.__name__)


@layouts
def test_a_layout_is_recognised(tmp_path, make):
    make(tmp_path)
    assert recognise(tmp_path).settings == FOUND[make]


@pytest.mark.parametrize("installed", [True, False])
def test_the_configuration_is_the_best_that_runs_here(tmp_path, monkeypatch, installed):
    folders(tmp_path)
    monkeypatch.setattr("aepsl.host.find_spec", lambda name: object() if installed else None)
    config = Plan(written(tmp_path)).config
    assert config.networks.backbone == "timm/tf_efficientnet_lite2"
    assert config.labels.method == "blend"
    assert config.saliency.method == "robust_background"
    assert config.crf.method == ("dense" if installed else "local")


def test_a_saliency_network_that_can_be_had_is_used(tmp_path, monkeypatch):
    folders(tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    asked = []
    monkeypatch.setattr("aepsl.cli.init.fetch_network", asked.append)
    monkeypatch.setattr("aepsl.cli.init.has_onnx_runtime", lambda: True)
    result = CliRunner().invoke(app, ["init", "photos"])
    assert "without a network" not in result.output
    assert asked == ["u2netp"]
    values = yaml.safe_load((tmp_path / "photos.yaml").read_text())
    assert values == written(tmp_path / "photos", saliency_network=True) | {
        "run": "photos",
        "data": values["data"],
    }
    assert expanded(values)["saliency"]["method"] == "network"


@pytest.mark.parametrize(
    ("runtime", "why"),
    [
        (
            True,
            "/home/me/u2netp.onnx: no route to host. To use the network, put it there, and remove"
            " saliency from the file.",
        ),
        (False, 'ONNX Runtime is not installed. To use the network, pip install "aepsl[onnx]"'),
    ],
)
def test_without_a_saliency_network_another_one_is_written_and_told(
    tmp_path, monkeypatch, runtime, why
):
    folders(tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("aepsl.cli.init.has_onnx_runtime", lambda: runtime)
    result = CliRunner().invoke(app, ["init", "photos"])
    assert result.exit_code == 0
    assert "Saliency, from which background is learnt, will be computed without" in result.output
    assert why in result.output
    values = yaml.safe_load((tmp_path / "photos.yaml").read_text())
    assert values["saliency"] == {"method": "robust_background"}


@layouts
def test_the_configuration_is_short_and_describes_the_same_photographs(tmp_path, make, monkeypatch):
    root = tmp_path / "my photographs"
    make(root)
    monkeypatch.chdir(tmp_path)
    initialise(root, output=None)
    text = (tmp_path / "my-photographs.yaml").read_text()
    assert len(text.splitlines()) <= 15
    plan = Plan(yaml.safe_load(text))
    dataset = described(plan.config.data)
    assert plan.config.run == "my-photographs"
    assert dataset.photographs() == {
        image_id: item.path for image_id, item in recognise(root).catalogue.items.items()
    }
    assert dataset.ids(dataset.split("train"))


@pytest.mark.parametrize(("longer", "scale"), [(300, 1), (500, 0.75), (4000, 0.094)])
def test_photographs_of_any_size_are_seen_in_one_size(tmp_path, longer, scale):
    for number, side in enumerate((longer, longer, 8)):  # the usual size counts
        (tmp_path / "crack").mkdir(exist_ok=True)
        Image.new("L", (side, 8)).save(tmp_path / "crack" / f"{number}.png")
    (tmp_path / "crack" / "3.png").write_bytes(b"broken")
    assert Plan(written(tmp_path)).config.networks.scale == scale


def test_the_configuration_learns_one_class_and_empty_photographs(tmp_path):
    nothing_on_some(tmp_path)
    assert Plan(written(tmp_path)).config.mining.loss == "sigmoid"


def test_the_command_says_what_it_found_and_writes_nothing_twice(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    masks(tmp_path / "photos")
    (tmp_path / "photos/notes.txt").write_text("x")
    photograph(tmp_path / "photos/new.png")
    result = CliRunner().invoke(app, ["init", "photos"])
    assert result.exit_code == 0
    said = " ".join(result.output.split())
    assert "9 photographs in one folder per class, 2 classes" in said
    assert "Straßenbahn" in said
    assert "(no label: predicted only)" in said
    assert "Their values must be 0 background, 1 Straßenbahn, 2 my dog" in said
    assert "aepsl run photos.yaml" in said
    before = (tmp_path / "photos.yaml").read_text()
    with pytest.raises(AepslError, match=r"photos\.yaml: already exists"):
        initialise(tmp_path / "photos", output=None)
    assert (tmp_path / "photos.yaml").read_text() == before


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "there is no photograph in it"),
        (["a.png", "b.png"], "no photograph in it has a label"),
        (["a.png", "x.csv", "y.csv"], "several files may hold the labels: x.csv, y.csv"),
    ],
)
def test_a_folder_from_which_nothing_can_be_learnt(tmp_path, files, message):
    for name in files:
        photograph(tmp_path / name) if name.endswith("png") else (tmp_path / name).touch()
    with pytest.raises(AepslError, match=message):
        recognise(tmp_path)
    with pytest.raises(AepslError, match="no such folder"):
        recognise(tmp_path / "nowhere")
