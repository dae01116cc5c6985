"""A trained network in use: Python interface, `aepsl segment`, ONNX, the folder for the hub."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import in_process
import numpy as np
import pytest
import torch
import yaml
from conftest import ROOT, settings_of, shared_folder
from documents import blocks
from PIL import Image

import aepsl
from aepsl.config.sections import StageSettings
from aepsl.config.segmentation import Crf, Prediction
from aepsl.deployment.export import export
from aepsl.deployment.onnx import write_onnx
from aepsl.deployment.predictor import Segmentation
from aepsl.deployment.provenance import Provenance, provenance
from aepsl.deployment.segment import output_names, photographs, segment
from aepsl.deployment.sources import Source, find_network
from aepsl.errors import AepslError
from aepsl.host import has_crf
from aepsl.networks.models import DEFAULT_CONVENTION, NetworkShape, SegmentationNetwork
from aepsl.report.card import render_card
from aepsl.report.pictures import overlay_mask
from aepsl.stages.predict import predict
from aepsl.stages.relabel import relabel
from aepsl.stages.train_segmentation import _drawn_masks
from aepsl.stores.models import save_model
from aepsl.stores.records import Record, Store, writing_shard

NAMES = ["bird", "dining table", "Kätzchen"]
VIEWS = {"scales": (0.5,), "flip": True}


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    """Return an untrained network that finds each class somewhere."""
    torch.manual_seed(4)
    shape = NetworkShape(width=1 / 16, fc6_dilation=1)
    network = SegmentationNetwork(classes=3, shape=shape)
    with torch.no_grad():
        network.segment.weight *= 300
        network.classify.weight *= 100
    path = tmp_path_factory.mktemp("network") / "model.safetensors"
    settings = {"mining.loss": "squared", "networks": {"weights": "random"}, "seed": 7}
    facts = {"class_names": NAMES, "config": json.dumps(settings), "shape": vars(shape)}
    facts["input"] = DEFAULT_CONVENTION._asdict()
    save_model(path, network.state_dict(), facts)
    return path


def photograph(height=60, width=75, seed=0):
    rng = np.random.default_rng(seed)
    rough = rng.integers(0, 256, (5, 6, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(rough).resize((width, height), Image.Resampling.BICUBIC))


@pytest.fixture(scope="module")
def onnx_file(model_file, tmp_path_factory, worker_id):
    """Return the network as an ONNX file; one worker exports it, which takes seconds."""
    source = Source(model_file, Prediction(**VIEWS), Crf())

    def make(folder):
        write_onnx(folder / "network.onnx", source, facts={"seed": "7"})

    return shared_folder(tmp_path_factory, worker_id, "onnx", make) / "network.onnx"


@pytest.fixture(scope="module")
def views_folder(model_file, tmp_path_factory):
    """Return an exported folder of the network that predicts with several views."""
    folder = tmp_path_factory.mktemp("views") / "hub"
    export(model_file, folder, format="huggingface", variant=None, license="mit")
    settings = json.loads((folder / "config.json").read_text())
    settings["prediction"] |= VIEWS
    (folder / "config.json").write_text(json.dumps(settings))
    return folder


# The Python interface


def test_a_photograph_may_be_an_array_an_image_or_a_file(model_file, tmp_path):
    network, pixels = aepsl.load(model_file), photograph()
    found = network(pixels)
    assert found.mask.shape == (60, 75)
    assert len(np.unique(found.mask)) > 1  # else the tests below would compare nothing
    assert found.class_names == tuple(NAMES) == network.class_names
    assert sum(found.scores.values()) == pytest.approx(1)  # v is a softmax: squared loss
    Image.fromarray(pixels).save(tmp_path / "a.png")
    for same in (Image.fromarray(pixels), tmp_path / "a.png", str(tmp_path / "a.png")):
        np.testing.assert_array_equal(network(same).mask, found.mask)
    np.testing.assert_array_equal(np.asarray(found.image), found.mask)
    assert found.image.getpalette()[3:6] == [128, 0, 0]


def test_confidence_is_the_probability_of_the_class_of_each_pixel(model_file):
    network, pixels = aepsl.load(model_file), photograph()
    _, probabilities, _ = network._network([pixels])
    found = network(pixels)
    for y, x in [(0, 0), (20, 33), (59, 74)]:
        assert found.confidence[y, x] == probabilities[0, found.mask[y, x], y, x]


def test_areas_literal():
    mask = np.array([[0, 2], [2, 2]], np.uint8)
    confidence = np.array([[0.5, 0.25], [0.5, 0.75]], np.float32)
    found = Segmentation(mask, confidence, {"cat": 0.2, "dog": 0.8})
    assert found.areas() == [("background", 1, 0.25, 0.5), ("dog", 3, 0.75, 0.5)]


def test_a_batch_is_its_photographs(model_file):
    network = aepsl.load(model_file)
    photographs = [photograph(seed=seed) for seed in range(3)]
    for pixels, found in zip(photographs, network.batch(photographs), strict=True):
        alone = network(pixels)
        assert (alone.mask != found.mask).mean() < 1e-3  # another order of additions
        np.testing.assert_allclose(alone.confidence, found.confidence, atol=1e-3)
        assert found.scores == pytest.approx(alone.scores, abs=1e-4)
    assert network.batch([]) == []


def test_what_is_no_photograph_is_refused(model_file, tmp_path):
    network = aepsl.load(model_file)
    for array in (photograph() / 255, photograph()[..., 0], np.zeros((4, 4, 4), np.uint8)):
        with pytest.raises(AepslError, match="an array of"):
            network(array)
    with pytest.raises(AepslError, match="2 sizes"):
        network.batch([photograph(), photograph(50)])
    with pytest.raises(AepslError, match="does not exist"):
        network(tmp_path / "absent.jpg")


def test_the_stage_predict_gives_the_same_masks(model_file, views_folder, voc_folder, tmp_path):
    manifest = tmp_path / "images.jsonl"
    voc_folder.index(manifest)
    settings = {"prediction.scales": [0.5], "prediction.flip": True}
    settings |= {"prediction.threshold": 0.1, "crf.enabled": False}
    predict(StageSettings(settings), manifest, voc_folder.root, model_file, tmp_path / "0.h5")
    store = Store([tmp_path / "0.json"], kind="predictions")
    network = aepsl.load(views_folder)
    for image_id in store.ids():
        ours = network(voc_folder.image(image_id)).mask
        np.testing.assert_array_equal(ours, store[image_id].arrays["mask"])


# Where a network is found


def test_a_run_is_loaded_with_the_settings_that_it_predicts_with(finished_miniature):
    run = finished_miniature / "results" / "mini"
    predicted = Store([run / "predictions" / "main" / "0.json"], kind="predictions")
    network = aepsl.load(run)
    for image_id in predicted.ids():
        photo = next((run / "scenes").rglob(f"JPEGImages/{image_id}.*"))
        np.testing.assert_array_equal(network(photo).mask, predicted[image_id].arrays["mask"])
    main, other = find_network(run), find_network(run, variant="truth")
    assert main.model == run / "segmentation" / "main" / "round0" / "model.safetensors"
    assert other.model == run / "segmentation" / "truth" / "round0" / "model.safetensors"
    assert find_network(other.model) == other


def test_a_missing_or_ambiguous_network_is_told(finished_miniature, tmp_path, model_file):
    run = finished_miniature / "results" / "mini"
    with pytest.raises(AepslError, match="did you mean truth"):
        find_network(run, variant="thruth")
    with pytest.raises(AepslError, match="no such network"):
        find_network(tmp_path / "absent")
    with pytest.raises(AepslError, match="no trained network is in this folder"):
        find_network(tmp_path)
    (tmp_path / "run" / "segmentation").mkdir(parents=True)
    with pytest.raises(AepslError, match="no predictions yet"):
        find_network(tmp_path / "run")
    shutil.copytree(run / "predictions" / "truth", tmp_path / "run" / "predictions" / "a")
    with pytest.raises(AepslError, match="no longer there"):
        find_network(tmp_path / "run")
    shutil.copytree(run / "predictions" / "truth", tmp_path / "run" / "predictions" / "b")
    with pytest.raises(AepslError, match=r"several networks\n.*a, b"):
        find_network(tmp_path / "run")
    for name in ("broken.onnx", "broken.safetensors"):
        (tmp_path / name).write_bytes(b"no network")
        with pytest.raises(AepslError, match=name):
            aepsl.load(tmp_path / name)
    with pytest.raises(AepslError, match=r"absent\.onnx"):
        aepsl.load(tmp_path / "absent.onnx")


@pytest.mark.skipif(not has_crf(), reason="pydensecrf is not installed")
def test_the_crf_gives_the_masks_of_the_run(finished_miniature):
    run = finished_miniature / "results" / "mini"
    refined = Store([run / "crf" / "main" / "0.json"], kind="predictions")
    network = aepsl.load(run, crf=True)
    for image_id in list(refined.ids())[:2]:
        photo = next((run / "scenes").rglob(f"JPEGImages/{image_id}.*"))
        np.testing.assert_array_equal(network(photo).mask, refined[image_id].arrays["mask"])


# Exports


@pytest.mark.slow
@pytest.mark.parametrize("size", [(60, 75), (97, 131), (8, 9), (1, 1)])
def test_onnx_runtime_gives_the_same_masks(onnx_file, views_folder, size):
    ours, theirs = aepsl.load(views_folder), aepsl.load(onnx_file)
    assert theirs.class_names == ours.class_names
    photographs = [photograph(*size, seed=seed) for seed in range(2)]
    for a, b in zip(ours.batch(photographs), theirs.batch(photographs), strict=True):
        np.testing.assert_allclose(a.confidence, b.confidence, atol=5e-3)
        assert b.scores == pytest.approx(a.scores, abs=1e-4)
        assert (a.mask != b.mask).mean() <= 0.002  # where two classes are all but equally probable


@pytest.mark.slow
def test_an_onnx_file_holds_no_path_and_free_sizes(onnx_file, model_file):
    import onnx

    model = onnx.load(onnx_file)
    onnx.checker.check_model(model, full_check=True)
    shapes = {
        value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    assert shapes == {
        "images": ["n", 3, "height", "width"],
        "mask": ["n", "height", "width"],
        "probabilities": ["n", 4, "height", "width"],
        "scores": ["n", 3],
    }
    about = {entry.key: entry.value for entry in model.metadata_props}
    assert about == {
        "class_names": json.dumps(NAMES, ensure_ascii=False),
        "threshold": "0.1",
        "seed": "7",
    }
    assert b".py" not in onnx_file.read_bytes()  # the exporter notes where each node comes from


def test_a_folder_for_the_hub(finished_miniature, tmp_path):
    run = finished_miniature / "results" / "mini"
    in_process.aepsl(
        tmp_path, "export", "--network", run, "--format", "huggingface", "-o", tmp_path / "hub",
        "--license", "cc-by-4.0",
    )  # fmt: skip
    assert {path.name for path in (tmp_path / "hub").iterdir()} == {
        "README.md",
        "config.json",
        "model.safetensors",
    }
    front, _, card = (tmp_path / "hub" / "README.md").read_text().partition("\n---\n")
    assert yaml.safe_load(front)["license"] == "cc-by-4.0"
    row = json.loads((run / "scores.json").read_text())
    row = next(r for r in row if (r["variant"], r["target"]) == ("main", "predictions"))
    low, high = (f"{100 * value:.1f}" for value in row["miou_interval"])
    assert (
        f"| predictions | val | 6 | 0 | {100 * row['miou']:.1f} | 95 %: {low} to {high} |" in card
    )
    assert "It learnt from image labels alone: nobody\ndrew a mask to train it. The method" in card
    assert "10 photographs with image labels (split `train`), seed 0" in card
    assert "came from saliency: computed from each photograph alone, without training" in card
    photo = next((run / "scenes").rglob("JPEGImages/*"))
    np.testing.assert_array_equal(
        aepsl.load(tmp_path / "hub")(photo).mask, aepsl.load(run)(photo).mask
    )
    with pytest.raises(AepslError, match="exists"):
        export(run, tmp_path / "hub", format="huggingface", variant=None, license="mit")


def card(**changes):
    """Return the card of a network outside of a run, on one line, with changes to its origin."""
    about = Provenance(
        class_names=("cat",), shape={"backbone": "vgg16"}, convention={}, run=None, variant="main",
        settings={"networks": {"weights": "random"}, "seed": 0}, trained_on=None, scores=(),
        drawn_masks=None, detector="",
    )  # fmt: skip
    return " ".join(render_card(replace(about, **changes), license="mit").split())


@pytest.mark.parametrize(
    ("drawn", "sentence"),
    [
        ("none", " It learnt from image labels alone: nobody drew a mask to train it."),
        ("some", " It learnt from image labels, and people corrected some of its masks by hand."),
        ("all", " It learnt from true masks: the upper bound of the method."),
        (None, ""),
    ],
)
def test_the_card_says_who_drew_the_masks(drawn, sentence):
    assert f"which of 1 class it shows, if any.{sentence} The method is" in card(drawn_masks=drawn)


def test_the_card_says_the_confidence_of_each_interval():
    row = {"title": "predictions", "split": "val", "images": 6, "seed": 0, "miou": 0.5}
    rows = [row | {"miou_interval": (0.4, 0.61), "confidence": c} for c in (0.9, 0.995)]
    text = card(scores=rows)
    assert "| 50.0 | 90 %: 40.0 to 61.0 |" in text
    assert "| 50.0 | 99.5 %: 40.0 to 61.0 |" in text


def test_a_network_knows_who_drew_its_masks(finished_miniature):
    run = finished_miniature / "results" / "mini"
    drawn = {v: provenance(find_network(run, variant=v)).drawn_masks for v in ("main", "truth")}
    assert drawn == {"main": "none", "truth": "all"}


@pytest.mark.parametrize(
    ("facts", "records", "drawn"),
    [
        ({}, [{}, {"corrected": True}], "some"),
        ({}, [{}, {}], "none"),
        ({"source": "truth"}, [{}, {}], "all"),
    ],
)
def test_the_drawn_masks_of_a_label_store(tmp_path, facts, records, drawn):
    with writing_shard(tmp_path / "0.h5", kind="labels", facts=facts) as writer:
        for number, about in enumerate(records):
            writer.add(str(number), Record({"mask": np.zeros((2, 2), np.uint8)}, about))
    assert _drawn_masks(Store([tmp_path / "0.json"], kind="labels")) == drawn


def test_masks_of_a_network_that_learnt_from_true_masks_count_as_true(finished_miniature, tmp_path):
    run = finished_miniature / "results" / "mini"
    for variant, source in (("main", None), ("truth", "truth")):
        relabel(
            settings_of("relabel", {"segmentation": {"relabel_rounds": 1}}, round=1),
            dataset=run / "train_images" / "main" / "manifest.jsonl",
            root=run / "scenes" / "main",
            model=find_network(run, variant=variant).model,
            corrected=[],
            output=tmp_path / variant / "0.h5",
        )
        store = Store([tmp_path / variant / "0.json"], kind="labels")
        assert store.facts().get("source") == source


def test_a_foreign_config_is_refused(views_folder, tmp_path):
    shutil.copytree(views_folder, tmp_path / "hub")
    (tmp_path / "hub" / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(AepslError, match="not of an exported network"):
        aepsl.load(tmp_path / "hub")


# aepsl segment


def test_segment_writes_masks_overlays_and_areas(model_file, tmp_path):
    folder = tmp_path / "Fotos im Mai"
    (folder / "more").mkdir(parents=True)
    pictures = {"a.png": 60, "b.png": 60, "more/Öl.png": 50, "zu.png": 60}
    for seed, (name, height) in enumerate(pictures.items()):
        Image.fromarray(photograph(height, seed=seed)).save(folder / name)
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    extra = tmp_path / "list.txt"
    extra.write_text(f"{folder / 'a.png'}\n\n{folder / 'zu.png'}\n", encoding="utf-8")
    result = in_process.aepsl(
        tmp_path, "segment", folder, "--list", extra, "-n", model_file, "-o", tmp_path / "out",
        "--batch-size", 2,
    )  # fmt: skip
    assert result.returncode == 1
    assert "broken.jpg" in result.stderr
    out = tmp_path / "out"
    assert {p.name for p in (out / "masks").iterdir()} == {"a.png", "b.png", "Öl.png", "zu.png"}
    network = aepsl.load(model_file)
    with (out / "areas.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for name in pictures:
        found = network(folder / name)
        with Image.open(out / "masks" / name.split("/")[-1]) as mask:
            assert mask.mode == "P"
            assert (np.asarray(mask) != found.mask).mean() < 1e-3
        mine = [row for row in rows if row["photograph"] == str(folder / name)]
        assert [row["class"] for row in mine] == [area.name for area in found.areas()]
        assert sum(int(row["pixels"]) for row in mine) == found.mask.size
        shown = {row["class"]: float(row["score"]) for row in mine if row["score"]}
        assert shown == pytest.approx({n: found.scores[n] for n in shown}, abs=1e-3)
        assert len(shown) == len(mine) - ("background" in (row["class"] for row in mine))
        with Image.open(out / "overlays" / f"{name.split('/')[-1][:-4]}.jpg") as overlay:
            assert overlay.size == found.mask.shape[::-1]


def test_nothing_to_segment_is_told(model_file, tmp_path):
    (tmp_path / "empty").mkdir()
    for path, message in [("absent", "no such photograph"), ("empty", "no photograph in this")]:
        result = in_process.aepsl(tmp_path, "segment", path, "-n", model_file, "-o", "out")
        assert result.returncode == 1
        assert message in result.stderr


def test_names_of_results_are_unique(tmp_path):
    assert output_names([tmp_path / "a.jpg", tmp_path / "B.png"]) == ["a", "B"]
    assert output_names([tmp_path / "a/x.jpg", tmp_path / "b/X.jpg"]) == ["a__x", "b__X"]
    assert output_names([tmp_path / "x.jpg", tmp_path / "x.png"]) == ["x.jpg", "x.png"]
    assert output_names([]) == []
    with pytest.raises(AepslError, match=r"a__b\.jpg: has the same name as .*a/b\.jpg"):
        output_names([tmp_path / "a/b.jpg", tmp_path / "a__b.jpg", tmp_path / "c/b.jpg"])


def test_earlier_results_are_no_photographs_and_none_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "found/masks/a.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photograph()).save(tmp_path / name)
    found = photographs([tmp_path, Path("a.png")], without=tmp_path / "found")
    assert found == [tmp_path / "a.png"]  # named twice, returned once
    with pytest.raises(AepslError, match="none is given"):
        photographs([], without=tmp_path / "found")


def test_the_areas_of_what_was_done_stay_if_it_is_stopped(model_file, tmp_path, monkeypatch):
    for name in "ab":
        Image.fromarray(photograph()).save(tmp_path / f"{name}.png")
    network = aepsl.load(model_file)
    done, calls = network.batch, []

    def stopped_at_b(pixels):
        calls.append(pixels)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return done(pixels)

    monkeypatch.setattr(network, "batch", stopped_at_b)
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    with pytest.raises(KeyboardInterrupt):
        segment(network, paths, tmp_path / "out", batch_size=1)
    rows = (tmp_path / "out" / "areas.csv").read_text().splitlines()[1:]
    assert rows
    assert all("a.png" in row for row in rows)


def test_a_model_of_an_earlier_round_has_the_settings_of_its_variant(
    finished_miniature, model_file, tmp_path
):
    run = tmp_path / "results" / "mini"
    shutil.copytree(finished_miniature / "results" / "mini" / "predictions", run / "predictions")
    earlier = run / "segmentation" / "truth" / "round3" / "model.safetensors"
    earlier.parent.mkdir(parents=True)
    shutil.copy(model_file, earlier)
    found = find_network(earlier)
    assert (found.variant, found.run) == ("truth", run)
    with pytest.raises(AepslError, match="no such network"):
        find_network(earlier.with_name("absent.safetensors"))


def test_overlay_literal():
    palette = np.array([[0, 0, 0], [200, 0, 0]], np.uint8)
    image = np.full((5, 7, 3), 100, np.uint8)
    mask = np.zeros((5, 7), np.uint8)
    mask[1:4, 1:4] = 1
    shown = overlay_mask(image, mask, palette)
    red = shown[..., 0]
    # the class half transparent, its outline opaque on both sides of the edge, background as it was
    assert red.tolist() == [
        [200, 200, 200, 200, 200, 100, 100],
        [200, 200, 200, 200, 200, 100, 100],
        [200, 200, 150, 200, 200, 100, 100],
        [200, 200, 200, 200, 200, 100, 100],
        [200, 200, 200, 200, 200, 100, 100],
    ]


# The documents


@pytest.mark.slow
def test_the_python_in_the_documents_runs(finished_miniature, onnx_file, tmp_path, monkeypatch):
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "scenes").symlink_to(finished_miniature / "results" / "mini")
    (tmp_path / "scenes.onnx").symlink_to(onnx_file)
    Image.fromarray(photograph()).save(tmp_path / "photograph.jpg")
    monkeypatch.chdir(tmp_path)
    found = blocks(ROOT / "docs" / "python.md", "python")
    assert found
    for code in found:
        names = {}
        exec(compile(code, "docs/python.md", "exec"), names)
        mask = names["mask"][0] if "mask" in names else names["found"].mask
        assert mask.shape == (60, 75)
