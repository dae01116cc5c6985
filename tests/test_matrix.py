"""What each key of the configuration, module of the package, and file of the data makes run again.

A new key or module without a row fails. Two finished miniatures stand for all runs: `scenes`, the
embedded default, and `photographs`, which has every stage that a run can have.
"""

import ast
import csv
import shutil

import numpy as np
import pytest
import yaml
from conftest import ROOT, VocFolder, new_project, run_snakemake
from dry_run import plan
from test_config import knobs
from test_saliency_network import write_network

from aepsl.config.run import Config
from aepsl.networks.heads import Classifier, NetworkShape
from aepsl.workflow.stages import value_of
from aepsl.workflow.variants import merged

READS = {
    "generate_scenes": set(),
    "start_mining": set(),
    "index_images": {"generate_scenes"},
    "index_truth": {"index_images"},
    "detect_saliency": {"index_images"},
    "train_classifier": {"index_images", "erase_regions", "start_mining"},
    "judge_training": {"index_images", "train_classifier"},
    "extract_cams": {"index_images", "train_classifier", "erase_regions", "start_mining"},
    "calibrate_delta": {"extract_cams"},
    "erase_regions": {"index_images", "extract_cams", "calibrate_delta", "start_mining"},
    "assemble_labels": {"index_images", "erase_regions", "detect_saliency"},
    "copy_true_labels": {"index_images", "index_truth"},
    "train_segmentation": {"index_images", "assemble_labels", "copy_true_labels", "relabel"},
    "relabel": {"index_images", "train_segmentation"},
    "predict": {"index_images", "train_segmentation"},
    "predict_shown": {"index_images", "train_segmentation"},
    "refine_predictions": {"index_images", "predict"},
    "score": {"index_truth", "erase_regions", "assemble_labels", "relabel", "predict"}
    | {"refine_predictions"},
    "summarise": {"score"},
    "report": {"index_images", "index_truth", "summarise", "extract_cams", "erase_regions"}
    | {"train_classifier", "detect_saliency", "assemble_labels", "train_segmentation"}
    | {"predict_shown"},
}
"""Which rules read the results of which, by hand."""

ABSENT = {
    "scenes": {"judge_training", "calibrate_delta", "relabel"},
    "photographs": {"generate_scenes", "judge_training", "copy_true_labels"},
}
"""What the two miniatures do not have."""


def and_after(*rules, of):
    """Return the rules and all that follows from their results."""
    found = set(rules)
    while True:
        more = {rule for rule, reads in READS.items() if reads & found} - ABSENT[of] - found
        if not more:
            return found
        found |= more


LABELS = {n: ["<script>", "=1+1", "<script> =1+1"][k % 3] for k, n in enumerate("abcdefgh")}

FULL = """\
run: photographs
data:
  adapter: voc
  root: data
  labels: csv
  labels_csv: data/labels.csv
  class_names: ["<script>", "=1+1"] # no name may do anything
networks: { width: 0.0625, weights: weights.npz, weights_input: caffe_rgb }
mining:
  steps: 2
  area: 0.1
  cam_scales: [1, 0.5]
  cam_flip: true
  train: { epochs: 1, batch_size: 2, crop: 33 }
saliency: { method: network, network: { file: net.onnx, size: 8 } }
labels: { class_thresholds: { "=1+1": 0.1 } }
segmentation:
  psl_after: 0
  relabel_rounds: 1
  relabel_crf: true
  train: { epochs: 1, batch_size: 2, crop: 33 }
prediction: { scales: [1, 0.5] }
crf: { iterations: 1 }
report: { images: 1 }
evaluation: { resamples: 20 }
runtime: { cache: null }
"""


@pytest.fixture(scope="module")
def projects(finished_miniature, tmp_path_factory):
    """Return the two finished miniatures."""
    scenes = tmp_path_factory.mktemp("matrix") / "scenes"
    shutil.copytree(finished_miniature, scenes)
    photographs = new_project(tmp_path_factory.mktemp("photographs"))
    data = VocFolder(photographs / "data", ids="abcdefgh")
    data.write_split("train", "abcdef")
    data.write_split("val", "gh")
    data.write_split("fewer", "abcd")
    data.write_labels(LABELS.items())
    for folder in ("JPEGImages", "SegmentationClass"):
        shutil.copytree(data.root / folder, photographs / "copy" / folder)
    shutil.copytree(data.root / "ImageSets", photographs / "copy" / "ImageSets")
    shutil.copytree(data.root / "SegmentationClass", data.root / "SameMasks")
    for name in ("labels.csv", "same.csv"):
        shutil.copy(data.labels, photographs / "copy" / name)
    network = Classifier(classes=1, shape=NetworkShape(width=0.0625, batch_norm=True))
    layers = network.backbone.layers.state_dict()
    np.savez(photographs / "weights.npz", **{n: tensor.numpy() for n, tensor in layers.items()})
    write_network(photographs / "net.onnx")
    shutil.copy(photographs / "net.onnx", photographs / "same.onnx")
    (photographs / "mini.yaml").write_text(FULL)
    run_snakemake(photographs, "--configfile", "mini.yaml")
    return {"scenes": scenes, "photographs": photographs}


EVERYTHING = {
    "scenes": and_after("generate_scenes", "start_mining", of="scenes"),
    "photographs": and_after("index_images", "start_mining", of="photographs"),
}
NOTHING = {"scenes": set(), "photographs": set()}


def both(*rules):
    """Return what follows from these rules in both miniatures, where they have them."""
    return {of: and_after(*set(rules) - ABSENT[of], of=of) for of in ABSENT}


def only(of, *rules):
    """Return what follows in one miniature; in the other the key is idle."""
    return NOTHING | {of: and_after(*rules, of=of)}


CLASSIFIER, SEGMENTATION = both("train_classifier"), both("train_segmentation")
TRAINED = both("train_classifier", "train_segmentation")
SCENES = only("scenes", "generate_scenes")
INDEXED = only("photographs", "index_images")
PREDICTED = both("predict", "predict_shown", "relabel")
REFUSED = None

KEYS = {
    "run": ("other", EVERYTHING),
    "seed": (7, TRAINED),
    "data.adapter": ("voc", {"scenes": REFUSED, "photographs": set()}),
    "data.root": ("copy", NOTHING),  # what lies there is the same
    "data.train_split": ("fewer", INDEXED),
    "data.eval_split": (
        "fewer",
        NOTHING
        | {
            "photographs": {"index_images", "index_truth", "predict"}
            | {"refine_predictions", "score", "summarise", "report"}
        },
    ),
    "data.mask_folder": (
        "SameMasks",
        only("photographs", "index_truth"),
    ),
    "data.labels": ("xml", INDEXED),
    "data.labels_csv": ("copy/same.csv", NOTHING),
    "data.class_names": (["=1+1", "<script>"], only("photographs", "index_images", "index_truth")),
    "data.classes": (["=1+1"], only("photographs", "index_images", "index_truth")),
    "data.limit_per_class": (2, both("index_images")),
    "data.scenes.train_images": (11, SCENES),
    "data.scenes.val_images": (7, SCENES),
    "data.scenes.size": (73, SCENES),
    "data.scenes.two_objects": (0.25, SCENES),
    "data.scenes.hue_spread": (5.0, SCENES),
    "data.scenes.stray_hue": (0.1, SCENES),
    "data.scenes.distractors": (1, SCENES),
    "data.scenes.clutter": (5, SCENES),
    "data.scenes.seed": (2, SCENES),
    "networks.backbone": ({"backbone": "resnet50", "width": 1}, TRAINED),
    "networks.stride": (16, TRAINED),
    "networks.weights": ("IMAGENET1K_V1", TRAINED),
    "networks.weights_input": ("caffe_bgr", TRAINED),
    "networks.width": (0.125, TRAINED),
    "networks.fc6_dilation": (2, TRAINED),
    "networks.batch_norm": (False, TRAINED),
    "networks.dropout": (0.3, TRAINED),
    "networks.frozen_blocks": (1, TRAINED),
    "mining.steps": (
        3,
        both("train_classifier"),
    ),
    "mining.max_steps": (5, NOTHING),
    "mining.success.loss": (0.5, NOTHING),
    "mining.success.recall": (0.4, NOTHING),
    "mining.head": ("none", CLASSIFIER),
    "mining.erase_rule": ("top_fraction", both("erase_regions", "calibrate_delta")),
    "mining.delta": (0.4, only("scenes", "erase_regions", "train_classifier")),
    "mining.area": (
        0.2,
        {
            "scenes": and_after("erase_regions", "train_classifier", of="scenes")
            | {"calibrate_delta"},
            "photographs": and_after("calibrate_delta", "train_classifier", of="photographs"),
        },
    ),
    "mining.cam_scales": ([1, 2], both("extract_cams")),
    "mining.cam_flip": (
        True,
        only("scenes", "extract_cams"),
    ),
    "mining.cam_merge": ("normalised_mean", only("photographs", "extract_cams")),
    "mining.train.epochs": (2, CLASSIFIER),
    "mining.train.batch_size": (3, CLASSIFIER),
    "mining.train.crop": (41, CLASSIFIER),
    "mining.train.scale_min": (0.7, CLASSIFIER),
    "mining.train.scale_max": (1.3, CLASSIFIER),
    "mining.train.flip": (False, CLASSIFIER),
    "mining.train.learning_rate": (0.003, CLASSIFIER),
    "mining.train.new_layers_factor": (5, CLASSIFIER),
    "mining.train.momentum": (0.8, CLASSIFIER),
    "mining.train.weight_decay": (0.001, CLASSIFIER),
    "mining.train.precision": ("float32", CLASSIFIER),
    "mining.train.decay_every": (3, CLASSIFIER),
    "mining.train.decay_factor": (0.5, CLASSIFIER),
    "saliency.method": (
        "none",
        {of: and_after("assemble_labels", of=of) for of in ABSENT},
    ),
    "saliency.folder": ("maps", NOTHING),
    "saliency.superpixels": (50, only("scenes", "detect_saliency")),
    "saliency.network.file": ("same.onnx", NOTHING),
    "saliency.network.size": (24, only("photographs", "detect_saliency")),
    "saliency.network.mean": ([1, 2, 3], only("photographs", "detect_saliency")),
    "saliency.network.scale": ([1, 2, 3], only("photographs", "detect_saliency")),
    "saliency.network.bgr": (True, only("photographs", "detect_saliency")),
    "saliency.network.input": ("image", only("photographs", "detect_saliency")),
    "saliency.network.output": ("map", only("photographs", "detect_saliency")),
    "saliency.network.answer": ("logit", only("photographs", "detect_saliency")),
    "labels.source": (
        "truth",
        {
            "scenes": and_after("train_segmentation", of="scenes"),  # a variant has copied them
            "photographs": {"copy_true_labels"} | and_after("train_segmentation", of="photographs"),
        },
    ),
    "labels.background_threshold": (0.1, both("assemble_labels")),
    "labels.class_thresholds": (
        {"red": 0.2},
        {"scenes": and_after("assemble_labels", of="scenes"), "photographs": REFUSED},
    ),
    "segmentation.head": ("aspp", SEGMENTATION),
    "segmentation.psl": ("labels", SEGMENTATION),
    "segmentation.psl_after": (1, SEGMENTATION),
    "segmentation.relabel_rounds": (
        2,
        {of: {"relabel"} | and_after("train_segmentation", of=of) for of in ABSENT},
    ),
    "segmentation.relabel_by": ("labels", only("photographs", "relabel")),
    "segmentation.relabel_crf": (False, only("photographs", "relabel")),
    "segmentation.train.epochs": (2, SEGMENTATION),
    "segmentation.train.batch_size": (3, SEGMENTATION),
    "segmentation.train.crop": (41, SEGMENTATION),
    "segmentation.train.scale_min": (0.7, SEGMENTATION),
    "segmentation.train.scale_max": (1.3, SEGMENTATION),
    "segmentation.train.flip": (False, SEGMENTATION),
    "segmentation.train.learning_rate": (0.003, SEGMENTATION),
    "segmentation.train.new_layers_factor": (5, SEGMENTATION),
    "segmentation.train.momentum": (0.8, SEGMENTATION),
    "segmentation.train.weight_decay": (0.001, SEGMENTATION),
    "segmentation.train.precision": ("float32", SEGMENTATION),
    "segmentation.train.poly_power": (0.8, SEGMENTATION),
    "prediction.scales": ([1, 2], PREDICTED),
    "prediction.flip": (True, PREDICTED),
    "prediction.threshold": (0.2, PREDICTED),
    "prediction.palette_png": (True, {"scenes": {"export_masks"}, "photographs": {"export_masks"}}),
    "crf.enabled": (
        False,
        {of: {"predict", "predict_shown", "score", "summarise", "report"} for of in ABSENT},
    ),
    "crf.iterations": (2, both("refine_predictions", "relabel")),
    "crf.bilateral_weight": (5, both("refine_predictions", "relabel")),
    "crf.bilateral_xy": (60, both("refine_predictions", "relabel")),
    "crf.bilateral_rgb": (6, both("refine_predictions", "relabel")),
    "crf.gaussian_weight": (4, both("refine_predictions", "relabel")),
    "crf.gaussian_xy": (4, both("refine_predictions", "relabel")),
    "report.images": (3, both("predict_shown")),
    "evaluation.boundary_tolerance": (0.01, both("score")),
    "evaluation.resamples": (30, both("score")),
    "evaluation.confidence": (0.9, both("score")),
    "evaluation.voc_competition": ("comp5", NOTHING),
    "runtime.shards": (2, both("detect_saliency", "extract_cams", "copy_true_labels")),
    "runtime.threads": (1, NOTHING),
    "runtime.training_gpus": (2, NOTHING),
    "runtime.processes": (1, NOTHING),
    "runtime.workers": (2, NOTHING),
    "runtime.device": ("cpu", NOTHING),
    "runtime.cache": ("elsewhere", NOTHING),
    "runtime.cache_gb": (1, NOTHING),
    "ablations.seeds": ([4], NOTHING),
    "ablations.tables": ({}, NOTHING),
    "ablations.loss_curves": (None, NOTHING),
    "variants": ({"more": {"seed": 9}}, {of: TRAINED[of] - {"predict_shown"} for of in ABSENT}),
}


SECTIONS = ("networks.backbone",)
"""Keys whose row changes another key of their section, too."""

SWAPS = {
    ("crf.bilateral_weight", "crf.gaussian_weight"): both("refine_predictions", "relabel"),
    ("mining.train.momentum", "mining.train.learning_rate"): CLASSIFIER,
    ("segmentation.train.weight_decay", "segmentation.train.poly_power"): SEGMENTATION,
    ("mining.train.learning_rate", "segmentation.train.learning_rate"): TRAINED,
    ("data.scenes.distractors", "data.scenes.clutter"): SCENES,
    ("evaluation.confidence", "evaluation.boundary_tolerance"): both("score"),
}
"""Pairs of keys that change places: Snakemake alone would not see it."""


def nested(dotted):
    """Return the nested mapping of dotted keys."""
    result = {}
    for key, value in dotted.items():
        place = result
        *path, last = key.split(".")
        for part in path:
            place = place.setdefault(part, {})
        place[last] = value
    return result


def planned(folder, dotted):
    (folder / "change.yaml").write_text(yaml.safe_dump(nested(dotted)))
    return plan(folder, "--configfile", "mini.yaml", "change.yaml")


def test_every_key_has_a_row():
    assert set(KEYS) == {name for name, _ in knobs(Config)}


@pytest.mark.parametrize("of", list(ABSENT))
def test_nothing_changed(projects, of):
    done = planned(projects[of], {"run": {"scenes": "mini"}.get(of, of)})
    assert done == {}
    assert "Nothing to be done" in done.text


@pytest.mark.parametrize("of", list(ABSENT))
@pytest.mark.parametrize("key", KEYS)
def test_what_a_key_reruns(projects, of, key):
    value, expected = KEYS[key]
    # A mapping gives a key's section, where the key alone would be refused.
    name = key.rpartition(".")[0] if isinstance(value, dict) and key in SECTIONS else key
    done = planned(projects[of], {name: value})
    if expected[of] is REFUSED:
        assert done.status != 0
        assert "Hint:" in done.text
        return
    assert done.status == 0, done.text
    assert done.rules == expected[of]


@pytest.mark.parametrize("of", list(ABSENT))
@pytest.mark.parametrize("keys", SWAPS, ids=" and ".join)
def test_what_a_swap_of_two_values_reruns(projects, of, keys):
    texts = [(ROOT / "config.yaml").read_text(), (projects[of] / "mini.yaml").read_text()]
    config = Config.model_validate(merged(*map(yaml.safe_load, texts)))
    values = [value_of(config, key) for key in keys]
    assert values[0] != values[1]
    done = planned(projects[of], dict(zip(keys, reversed(values), strict=True)))
    assert done.status == 0, done.text
    assert done.rules == SWAPS[keys][of]


OF_EVALUATION = {"index_images", "index_truth", "predict", "refine_predictions"}
OF_EVALUATION |= {"score", "summarise", "report"}

PHOTOGRAPHS = and_after("index_images", of="photographs")
TRUTH_ONLY = and_after("index_truth", of="photographs")


def appended(path):
    path.write_bytes(path.read_bytes() + b" ")


def relabelled(data, image_id):
    data.write_labels((LABELS | {image_id: "=1+1 <script>"}).items())


FILES = {
    "a photograph to learn from": (lambda d: appended(d.image("a")), PHOTOGRAPHS),
    "a photograph to predict": (lambda d: appended(d.image("g")), OF_EVALUATION),
    "a photograph of neither": (lambda d: shutil.copy(d.image("a"), d.image("z")), set()),
    "a mask to compare labels with": (lambda d: appended(d.mask("a")), TRUTH_ONLY),
    "a mask to compare predictions with": (lambda d: appended(d.mask("h")), TRUTH_ONLY),
    "a mask that is gone": (lambda d: d.mask("h").unlink(), TRUTH_ONLY),
    "a label line to learn from": (lambda d: relabelled(d, "b"), PHOTOGRAPHS),
    "a label line of a photograph to predict": (lambda d: relabelled(d, "g"), OF_EVALUATION),
    "a photograph less to learn from": (lambda d: d.write_split("train", "abcde"), PHOTOGRAPHS),
    "a photograph less to predict": (lambda d: d.write_split("val", "g"), OF_EVALUATION),
    "the weights": (
        lambda d: appended(d.root.parent / "weights.npz"),
        TRAINED["photographs"],
    ),
    "the saliency detector": (
        lambda d: appended(d.root.parent / "net.onnx"),
        and_after("detect_saliency", of="photographs"),
    ),
}
"""A changed file of the data, and the rules that run again."""


@pytest.mark.parametrize("case", FILES)
def test_what_a_file_reruns(projects, tmp_path, case):
    change, expected = FILES[case]
    shutil.copytree(projects["photographs"], tmp_path / "project")
    change(VocFolder(tmp_path / "project" / "data", make=False))
    done = plan(tmp_path / "project", "--configfile", "mini.yaml")
    assert done.status == 0, done.text
    assert done.rules == expected
    assert done.get("index_images", 0) <= 1  # of the one split or the other


def test_names_of_classes_are_text_wherever_they_show(projects):
    results = projects["photographs"] / "results/photographs"
    page = (results / "report/index.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    header, *_ = csv.reader((results / "scores.csv").open(newline=""))
    assert header[-2:] == ["<script>", "'=1+1"]


NETWORKS = ("train_classifier", "extract_cams", "train_segmentation", "predict", "relabel")
"""What builds a network."""

TRUTH = ("index_truth", "copy_true_labels", "score")
"""What touches, in the scenes, only the variant that learns from true masks; scores, of all."""

MODULES = {
    "cli": (),
    "workflow": (),
    "__main__.py machine.py console.py errors.py stopping.py": (),
    "config/ablations.py config/run.py": (),
    "config/data.py": ("generate_scenes", "index_images", "index_truth"),
    "config/evaluation.py": ("score",),
    "config/labels.py": ("assemble_labels", "detect_saliency"),
    "config/mining.py": ("train_classifier", "extract_cams"),
    "config/networks.py": (*NETWORKS, "refine_predictions"),
    "config/sections.py": ("generate_scenes", "index_images", "score"),
    "config/segmentation.py": ("train_segmentation", "relabel", "refine_predictions"),
    "data/fetch.py": (),
    "data/augment.py data/loading.py": NETWORKS,
    "data/images.py": ("generate_scenes", "index_images"),
    "data/index.py data/voc.py": ("index_images", "index_truth"),
    "data/scenes.py": ("generate_scenes",),
    "evaluation/boundary.py evaluation/confusion.py evaluation/saliency.py": ("score",),
    "labels/assemble.py": ("assemble_labels", "score"),
    "masks.py": ("generate_scenes", "index_images", "index_truth"),
    "mining/cam.py": ("extract_cams",),
    "mining/erase.py": ("train_classifier", "erase_regions", "calibrate_delta"),
    "mining/grid.py": ("extract_cams",),
    "mining/loss.py": ("train_classifier", "train_segmentation"),
    "mining/success.py": (),
    "networks": NETWORKS,
    "randomness.py": ("generate_scenes", *NETWORKS),
    "report/page.py report/figures.py report/templates": ("report",),
    "report/plain.py": ("summarise",),
    "report/tables.py": (),
    "saliency/network.py saliency/robust_background.py": ("detect_saliency",),
    "segmentation/crf.py stages/_crf.py": ("refine_predictions", "relabel"),
    "segmentation/inference.py": ("predict", "predict_shown", "relabel"),
    "segmentation/psl.py": ("train_segmentation",),
    "stages/_networks.py stages/_training.py stages/_resuming.py": NETWORKS,
    "stages/_together.py": (),
    "stages/_parallel.py": ("generate_scenes", "detect_saliency", "refine_predictions"),
    "stages/_truth.py": ("copy_true_labels", "score"),
    "stages/assemble_labels.py": ("assemble_labels",),
    "stages/calibrate_delta.py": ("calibrate_delta",),
    "stages/copy_true_labels.py": ("copy_true_labels",),
    "stages/detect_saliency.py": ("detect_saliency",),
    "stages/erase_regions.py": ("erase_regions",),
    "stages/extract_cams.py": ("extract_cams",),
    "stages/generate_scenes.py": ("generate_scenes",),
    "stages/index_images.py": ("index_images",),
    "stages/index_truth.py": ("index_truth",),
    "stages/predict.py": ("predict", "predict_shown"),
    "stages/refine_predictions.py": ("refine_predictions",),
    "stages/relabel.py": ("relabel",),
    "stages/report.py": ("report",),
    "stages/score.py": ("score",),
    "stages/start_mining.py": ("start_mining",),
    "stages/summarise.py": ("summarise",),
    "stages/train_classifier.py": ("train_classifier",),
    "stages/train_segmentation.py": ("train_segmentation",),
    "stages/collect_tables.py stages/tabulate.py stages/export_masks.py": (),
    "stages/pack_voc_test.py stages/judge_training.py stages/fetch_voc.py": (),
    "stages/inspect_store.py stages/verify_results.py": (),
    "stores/atomic.py": tuple(READS),
    "stores/cache.py": (),
    "stores/checksums.py": ("generate_scenes",),
    "stores/dataset.py stores/tables.py": ("index_images", "index_truth"),
    "stores/models.py stores/work.py stores/lease.py": NETWORKS,
    "stores/reuse.py": ("detect_saliency", "predict", "predict_shown", "refine_predictions"),
    "stores/records.py stores/shards.py": (
        "start_mining",
        "detect_saliency",
        "score",
        "copy_true_labels",
    ),
    "training": NETWORKS,
}
"""The rules whose own code a module is; a folder stands for each module in it."""

PACKAGE = ROOT / "aepsl"


SOURCES = [path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py"]
SOURCES = sorted([*SOURCES, *PACKAGE.rglob("templates/*")])


def _row(module):
    name = module.relative_to(PACKAGE).as_posix()
    folder = name.rpartition("/")[0]
    rows = [row for row in MODULES if {name, folder} & set(row.split())]
    assert len(rows) == 1, f"{name} has {len(rows)} rows"
    return rows[0]


def test_packages_hold_no_code_but_the_command_lines():
    for path in PACKAGE.rglob("__init__.py"):
        code = [node for node in ast.parse(path.read_text()).body[1:]]
        assert not code or path.parent.name in ("cli", "aepsl")


@pytest.mark.parametrize("of", list(ABSENT))
@pytest.mark.parametrize("module", SOURCES, ids=lambda m: m.relative_to(PACKAGE).as_posix())
def test_what_a_module_reruns(projects, of, module):
    done = plan(projects[of], "--configfile", "mini.yaml", module=module)
    assert done.status == 0, done.text
    rules = set(MODULES[_row(module)])
    expected = and_after(*rules - ABSENT[of], of=of)
    if of == "scenes" and rules <= set(TRUTH):
        expected -= {"predict_shown"}
    assert done.rules == expected
