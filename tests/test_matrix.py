"""Which rules rerun after a change of each setting, module and data file.

A new key or module without a row fails. Two finished miniatures stand for all runs: `scenes`, the
embedded default, and `photographs`, which has every stage that a run can have. What would run again
is computed from two plans (jobs.py); a sample of the rows is compared with the real Snakemake.
"""

import ast
import csv
import os
import shutil
from collections import Counter

import numpy as np
import pytest
import yaml
from conftest import ROOT, VocFolder, new_project, run_snakemake, shared_folder
from dry_run import plan as dry_run
from jobs import jobs_of, plan_of, rerun
from test_config import knobs
from test_saliency_network import write_network

from aepsl.config.root import Config
from aepsl.errors import AepslError
from aepsl.networks.models import Classifier, NetworkShape
from aepsl.workflow.codedigest import import_closure
from aepsl.workflow.inputs import MAIN
from aepsl.workflow.stages import STAGES, ResultIndex, value_of
from aepsl.workflow.variants import FIXED

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
    "erase_regions": {"index_images", "extract_cams", "calibrate_delta", "start_mining"}
    | {"erase_regions"},
    "assemble_labels": {"index_images", "erase_regions", "detect_saliency"},
    "copy_true_labels": {"index_images", "index_truth"},
    "train_segmentation": {"index_images", "assemble_labels", "copy_true_labels", "relabel"},
    "relabel": {"index_images", "train_segmentation", "assemble_labels"},
    "predict": {"index_images", "train_segmentation"},
    "predict_shown": {"index_images", "train_segmentation"},
    "refine_predictions": {"index_images", "predict"},
    "score": {"index_truth", "erase_regions", "assemble_labels", "relabel", "predict"}
    | {"refine_predictions"},
    "summarise": {"score"},
    "report": {"index_images", "index_truth", "summarise", "extract_cams", "erase_regions"}
    | {"train_classifier", "detect_saliency", "assemble_labels", "train_segmentation"}
    | {"predict_shown", "predict", "refine_predictions", "score"},
}
"""Dependencies of the rules, listed by hand."""

MORE = {"scenes": {}, "photographs": {"train_classifier": {"detect_saliency"}}}
"""Further dependencies in one miniature: of photographs, saliency supervises the classifiers."""

ABSENT = {
    "scenes": {"judge_training", "calibrate_delta", "relabel"},
    "photographs": {"generate_scenes", "judge_training", "copy_true_labels"},
}
"""Rules absent from the two miniatures."""


def and_after(*rules, of):
    """Return the rules and all that follows from their results."""
    found = set(rules)
    while True:
        more = {
            rule for rule, reads in READS.items() if (reads | MORE[of].get(rule, set())) & found
        }
        more -= ABSENT[of] | found
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
  saliency_loss: 1
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
report: { predictions: 1 }
evaluation: { resamples: 20 }
runtime: { cache: null }
"""


def make_photographs(folder):
    """Make the project of photographs: its data and its configuration."""
    new_project(folder)
    data = VocFolder(folder / "data", ids="abcdefgh")
    data.write_split("train", "abcdef")
    data.write_split("val", "gh")
    data.write_split("fewer", "abcd")
    data.write_labels(LABELS.items())
    for name in ("JPEGImages", "SegmentationClass"):
        shutil.copytree(data.root / name, folder / "copy" / name)
    shutil.copytree(data.root / "ImageSets", folder / "copy" / "ImageSets")
    shutil.copytree(data.root / "SegmentationClass", data.root / "SameMasks")
    for name in ("labels.csv", "same.csv"):
        shutil.copy(data.labels, folder / "copy" / name)
    network = Classifier(classes=1, shape=NetworkShape(width=0.0625, batch_norm=True))
    layers = network.backbone.layers.state_dict()
    np.savez(folder / "weights.npz", **{n: tensor.numpy() for n, tensor in layers.items()})
    write_network(folder / "net.onnx")
    shutil.copy(folder / "net.onnx", folder / "same.onnx")
    (folder / "mini.yaml").write_text(FULL)


@pytest.fixture(scope="module")
def projects(tmp_path_factory):
    """Return the two projects, with nothing run in them."""
    top = tmp_path_factory.mktemp("matrix")
    scenes, photographs = top / "scenes", top / "photographs"
    for folder in (scenes, photographs):
        folder.mkdir()
    new_project(scenes)
    shutil.copy(ROOT / "tests" / "mini.yaml", scenes)
    make_photographs(photographs)
    return {"scenes": scenes, "photographs": photographs}


@pytest.fixture(scope="module")
def plans(projects):
    """Return the plans of the two projects."""
    return {of: plan_of(folder) for of, folder in projects.items()}


EMPTY_OUTPUTS = """\
#!/bin/sh
while read -r file; do
  case "$file" in */report) mkdir -p "$file" ;; esac
  [ -e "$file" ] || { mkdir -p "${file%/*}"; : > "$file"; }
done < outputs.txt
"""
"""A program instead of aepsl: it creates the missing outputs, those of its job, as empty files."""


def run_with_empty_outputs(folder):
    """Let the real Snakemake run all jobs, without computing anything; it records their params."""
    summary = run_snakemake(folder, "--configfile", "mini.yaml", "--summary").stdout
    files = [line.split("\t")[0] for line in summary.splitlines() if line.startswith("results/")]
    (folder / "outputs.txt").write_text("".join(f"{file}\n" for file in files))
    program = folder / "bin" / "aepsl"
    program.parent.mkdir()
    program.write_text(EMPTY_OUTPUTS)
    program.chmod(0o755)
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    run_snakemake(folder, "--configfile", "mini.yaml", env=os.environ | {"PATH": path})


@pytest.fixture(scope="module")
def finished(finished_miniature, tmp_path_factory, worker_id):
    """Return the two projects after all jobs of the real Snakemake; not to be changed."""

    def make(folder):
        shutil.copytree(finished_miniature, folder / "scenes")
        (folder / "photographs").mkdir()
        make_photographs(folder / "photographs")
        run_with_empty_outputs(folder / "photographs")

    top = shared_folder(tmp_path_factory, worker_id, "matrix", make)
    return {of: top / of for of in ABSENT}


@pytest.fixture(autouse=True)
def _code_is_as_it_is(request, monkeypatch):
    """Digest no code again for each plan; the tests with finished projects do."""
    if "finished" not in request.fixturenames:
        monkeypatch.setattr("aepsl.workflow.inputs.code_digest", lambda module: module)


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
    "base": ("none such", {"scenes": REFUSED, "photographs": REFUSED}),
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
    "data.annotations": ("labels.csv", NOTHING),  # of layouts that the miniatures do not have
    "data.image_column": ("photo", NOTHING),
    "data.label_column": ("kind", NOTHING),
    "data.eval_fraction": (0.3, NOTHING),
    "data.split_seed": (1, NOTHING),
    "data.classes": (
        ["<script>", "=1+1"],
        {"scenes": REFUSED} | {"photographs": and_after("index_images", of="photographs")},
    ),
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
    "networks.backbone": ({"backbone": "timm/resnet18", "width": 1}, TRAINED),
    "networks.stride": (16, TRAINED),
    "networks.weights": ("IMAGENET1K_V1", TRAINED),
    "networks.weights_input": ("caffe_bgr", TRAINED),
    "networks.width": (0.125, TRAINED),
    "networks.scale": (0.5, TRAINED),
    "networks.fc6_dilation": (2, TRAINED),
    "networks.batch_norm": (False, TRAINED),
    "networks.dropout": (0.3, TRAINED),
    "networks.frozen_blocks": (1, TRAINED),
    "networks.precision": ("float32", TRAINED),
    "mining.steps": (
        3,
        both("train_classifier"),
    ),
    "mining.max_steps": (5, NOTHING),
    "mining.success.loss": (0.5, NOTHING),
    "mining.success.recall": (0.4, NOTHING),
    "mining.head": ("none", CLASSIFIER),
    "mining.loss": ("sigmoid", both("index_images", "train_classifier", "train_segmentation")),
    "mining.suppression": (0.5, CLASSIFIER),
    "mining.saliency_loss": (2, CLASSIFIER),
    "mining.saliency_overlap": (0.5, only("photographs", "train_classifier")),
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
    "mining.train.optimizer": ("adamw", CLASSIFIER),
    "mining.train.weight_decay": (0.001, CLASSIFIER),
    "mining.train.decay_every": (3, CLASSIFIER),
    "mining.train.decay_factor": (0.5, CLASSIFIER),
    "saliency.method": (
        "none",
        {
            "scenes": and_after("assemble_labels", of="scenes"),
            "photographs": and_after("train_classifier", of="photographs"),
        },
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
    "saliency.network.flip": (True, only("photographs", "detect_saliency")),
    "labels.source": (
        "truth",
        {
            "scenes": and_after("train_segmentation", of="scenes"),  # a variant has copied them
            "photographs": {"copy_true_labels"} | and_after("train_segmentation", of="photographs"),
        },
    ),
    "labels.background_threshold": (0.1, both("assemble_labels")),
    "labels.method": ("blend", both("assemble_labels")),
    "labels.saliency_weight": (0.4, NOTHING),
    "labels.background_score": (0.4, NOTHING),
    "labels.class_peak": (0.7, NOTHING),
    "labels.sharpness": (4, NOTHING),
    "labels.crf": (True, both("assemble_labels")),
    "labels.crf_certainty": (0.9, NOTHING),
    "labels.class_thresholds": (
        {"red": 0.2},
        {"scenes": and_after("assemble_labels", of="scenes"), "photographs": REFUSED},
    ),
    "labels.corrections": ("SameMasks", both("assemble_labels", "relabel")),
    "segmentation.head": ("deeplabv3", SEGMENTATION),
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
    "segmentation.train.optimizer": ("adamw", SEGMENTATION),
    "segmentation.train.weight_decay": (0.001, SEGMENTATION),
    "segmentation.train.poly_power": (0.8, SEGMENTATION),
    "prediction.scales": ([1, 2], PREDICTED),
    "prediction.flip": (True, PREDICTED),
    "prediction.threshold": (0.2, PREDICTED),
    "prediction.palette_png": (True, {"scenes": {"export_masks"}, "photographs": {"export_masks"}}),
    "crf.enabled": (
        False,
        {of: {"predict", "predict_shown", "score", "summarise", "report"} for of in ABSENT},
    ),
    "crf.method": ("local", both("refine_predictions", "relabel")),
    "crf.iterations": (2, both("refine_predictions", "relabel")),
    "crf.bilateral_weight": (5, both("refine_predictions", "relabel")),
    "crf.bilateral_xy": (60, both("refine_predictions", "relabel")),
    "crf.bilateral_rgb": (6, both("refine_predictions", "relabel")),
    "crf.gaussian_weight": (4, both("refine_predictions", "relabel")),
    "crf.gaussian_xy": (4, both("refine_predictions", "relabel")),
    "report.images": (3, both("report")),
    "report.predictions": (3, both("predict_shown")),
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


def rules(jobs):
    return {stage for stage, _ in jobs}


def planned(folder, plan, dotted):
    """Return the rules whose jobs run again if keys change."""
    return rules(rerun(plan, plan_of(folder, nested(dotted))))


def changes_of(key):
    """Return the value of a row, as the dotted keys that it sets."""
    value, _ = KEYS[key]
    # A mapping gives a key's section, where the key alone would be refused.
    name = key.rpartition(".")[0] if isinstance(value, dict) and key in SECTIONS else key
    return {name: value}


def test_every_key_has_a_row():
    assert set(KEYS) == {name for name, _ in knobs(Config)}


@pytest.mark.parametrize("of", list(ABSENT))
def test_dependencies_of_the_rules(plans, of):
    jobs = jobs_of(plans[of])
    made = {
        path.format(**dict(wildcards)): stage
        for stage, wildcards in jobs
        for path in plans[of].paths.outputs(stage).values()
    }
    for (stage, _), (inputs, _) in jobs.items():
        assert {made[path] for path in inputs} <= READS[stage] | MORE[of].get(stage, set())
    assert rules(jobs) == set(READS) - ABSENT[of]


@pytest.fixture(scope="module")
def variants(projects):
    """Return the variants of each project with all rows: each row's key is a variant's name."""
    rows = {
        of: {
            key: nested(changes_of(key))
            for key, (_, expected) in KEYS.items()
            if key.partition(".")[0] not in FIXED and expected[of] is not REFUSED
        }
        for of in ABSENT
    }
    return {of: plan_of(projects[of], {"variants": rows[of]}).variants for of in ABSENT}


def shares(variants, name, jobs):
    """Return the jobs of the run itself, each with whether the variant ``name`` shares its result.

    Those of predict_shown and generate_scenes have no result of a variant.
    """
    found = {}
    for stage, wildcards in jobs:
        w = dict(wildcards)
        if w.get("name") == MAIN and stage not in ("predict_shown", "generate_scenes"):
            fields = {k: v for k, v in w.items() if k in ResultIndex._fields}
            numbers = {k: int(v) for k, v in fields.items() if k in ("step", "round")}
            at = ResultIndex(**fields | numbers)
            found[stage, wildcards] = variants.owner(stage, name, at) == MAIN
    return found


@pytest.mark.parametrize("of", list(ABSENT))
@pytest.mark.parametrize("key", KEYS)
def test_which_rules_a_setting_reruns(projects, plans, variants, of, key):
    """A change reruns the rules of its row; as a variant, it shares the files of the others."""
    expected = KEYS[key][1][of]
    if expected is REFUSED:
        with pytest.raises(AepslError, match="Hint:"):
            plan_of(projects[of], nested(changes_of(key)))
        return
    plan = plan_of(projects[of], nested(changes_of(key)))
    again, after = rerun(plans[of], plan), jobs_of(plan)
    assert rules(again) == expected
    if key.partition(".")[0] not in FIXED:
        found = shares(variants[of], key, jobs_of(plans[of]).keys() & after.keys())
        assert found == {job: job not in again for job in found}
        assert "score" in rules(found)


@pytest.mark.parametrize("of", list(ABSENT))
@pytest.mark.parametrize("keys", SWAPS, ids=" and ".join)
def test_which_rules_a_swap_of_two_values_reruns(projects, plans, of, keys):
    values = [value_of(plans[of].config, key) for key in keys]
    assert values[0] != values[1]
    swapped = dict(zip(keys, reversed(values), strict=True))
    assert planned(projects[of], plans[of], swapped) == SWAPS[keys][of]


REAL = {
    "scenes": (
        *("seed", "data.scenes.size", "mining.delta", "mining.area", "mining.cam_flip"),
        *("saliency.superpixels", "labels.source", "segmentation.relabel_rounds", "variants"),
    ),
    "photographs": (
        *("data.root", "data.eval_split", "data.mask_folder", "data.class_names"),
        *("networks.weights_input", "mining.steps", "labels.background_threshold"),
        *(
            "prediction.palette_png",
            "crf.enabled",
            "report.images",
            "report.predictions",
            "evaluation.resamples",
        ),
        *("runtime.shards", "runtime.threads"),
    ),
}
"""Rows that are compared with a dry run of the real Snakemake: each kind of change, each stage."""


FAST = ("mining.delta", "data.eval_split", "networks.weights_input", "runtime.shards")
"""Those that the fast tests compare, too."""


@pytest.mark.parametrize(
    ("of", "key"),
    [
        pytest.param(of, key, marks=() if key in FAST else pytest.mark.slow)
        for of, keys in REAL.items()
        for key in keys
    ],
)
def test_snakemake_reruns_the_jobs_that_the_plan_predicts(finished, of, key):
    folder = finished[of]
    values = nested({"run": {"scenes": "mini"}.get(of, of)} | changes_of(key))
    (folder / f"{key}.yaml").write_text(yaml.safe_dump(values))
    done = dry_run(folder, "--configfile", "mini.yaml", f"{key}.yaml")
    assert done.status == 0, done.text
    assert done.rules == KEYS[key][1][of]
    jobs = rerun(plan_of(folder), plan_of(folder, values))
    assert dict(done) == dict(Counter(stage for stage, _ in jobs)) | ({"all": 1} if jobs else {})


@pytest.mark.parametrize("of", list(ABSENT))
def test_nothing_changed(finished, of):
    done = dry_run(finished[of], "--configfile", "mini.yaml")
    assert done == {}
    assert "Nothing to be done" in done.text


def test_a_changed_module_reruns_its_stages(finished):
    """Snakemake sees the digest of the code: of which modules, test_which_stages_a_module_is_in."""
    module = PACKAGE / "mining" / "merge.py"
    done = dry_run(finished["scenes"], "--configfile", "mini.yaml", module=module)
    assert done.status == 0, done.text
    assert done.rules == and_after("extract_cams", of="scenes")


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
def test_which_rules_a_file_reruns(projects, plans, tmp_path, case):
    change, expected = FILES[case]
    shutil.copytree(projects["photographs"], tmp_path / "project")
    change(VocFolder(tmp_path / "project" / "data", make=False))
    jobs = rerun(plans["photographs"], plan_of(tmp_path / "project"))
    assert rules(jobs) == expected
    indexed = [dict(wildcards)["role"] for stage, wildcards in jobs if stage == "index_images"]
    assert len(indexed) <= 1  # of the one split or the other


@pytest.mark.slow
def test_names_of_classes_are_text_wherever_they_show(tmp_path):
    make_photographs(tmp_path)
    run_snakemake(tmp_path, "--configfile", "mini.yaml")
    results = tmp_path / "results/photographs"
    page = (results / "report/index.html").read_text()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    header, *_ = csv.reader((results / "scores.csv").open(newline=""))
    assert header[-2:] == ["<script>", "'=1+1"]


PACKAGE = ROOT / "aepsl"
SOURCES = [path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py"]


TRAININGS = "train_classifier train_segmentation"
NETWORKS = f"extract_cams predict relabel {TRAININGS}"
ALL = " ".join(sorted({stage.module or name for name, stage in STAGES.items()}))

MODULES = {
    "stores/atomic text": ALL,
    "stores/records stores/shards": "start_mining extract_cams calibrate_delta erase_regions report"
    " detect_saliency assemble_labels copy_true_labels score pack_voc_test export_masks predict"
    f" refine_predictions relabel {TRAININGS}",
    "stores/jsonl stores/manifests": "index_images index_truth detect_saliency judge_training score"
    " extract_cams erase_regions assemble_labels copy_true_labels predict refine_predictions"
    f" relabel report pack_voc_test {TRAININGS}",
    "stores/reuse": "detect_saliency predict refine_predictions",
    "stores/checksums": "generate_scenes",
    "stores/models": NETWORKS,
    "stores/checkpoint stores/lock": TRAININGS,
    "data/images": "generate_scenes index_images index_truth detect_saliency extract_cams predict"
    " refine_predictions relabel copy_true_labels score report export_masks pack_voc_test"
    " assemble_labels"
    f" {TRAININGS}",
    "data/photographs": f"detect_saliency assemble_labels refine_predictions report {NETWORKS}",
    "data/names": "generate_scenes index_images index_truth export_masks assemble_labels",
    "data/adapters config/data": "generate_scenes index_images index_truth",
    "data/readers data/voc": "generate_scenes index_images index_truth",
    "data/catalogue data/content": "generate_scenes index_images index_truth assemble_labels",
    "data/coco": "generate_scenes index_images index_truth assemble_labels",
    "data/coco_masks": "index_images index_truth assemble_labels",
    "data/index": "index_images index_truth",
    "data/scenes data/scene_files": "generate_scenes",
    "data/augment data/loading": TRAININGS,
    "precision": NETWORKS,
    "masks": "generate_scenes index_images index_truth assemble_labels copy_true_labels score"
    " predict relabel report summarise tabulate"
    f" {TRAININGS}",
    "randomness": f"generate_scenes {TRAININGS}",
    "targets": "score summarise report tabulate collect_tables",
    "config/sections": "generate_scenes index_images index_truth detect_saliency judge_training"
    f" assemble_labels refine_predictions score pack_voc_test {NETWORKS}",
    "config/networks": f"judge_training extract_cams {TRAININGS}",
    "config/mining": "train_classifier extract_cams judge_training",
    "config/labels": "detect_saliency assemble_labels",
    "config/segmentation": "train_segmentation",
    "config/evaluation": "score pack_voc_test",
    "networks/backbones networks/decoders networks/heads networks/models networks/layers"
    " networks/grids networks/positions networks/pretrained networks/pyramid networks/timm_networks"
    " networks/vgg": NETWORKS,
    "grid": f"erase_regions assemble_labels refine_predictions report {NETWORKS}",
    "mining/cam": "extract_cams",
    "mining/supervision": "train_classifier",
    "mining/erase mining/rules": "train_classifier extract_cams calibrate_delta erase_regions",
    "mining/merge": "extract_cams assemble_labels report",
    "mining/loss": f"relabel {TRAININGS}",
    "mining/success": "judge_training",
    "saliency/methods saliency/network saliency/robust_background": "detect_saliency",
    "data/download data/published": "detect_saliency",
    "labels/assemble": "assemble_labels score report",
    "labels/blend": "assemble_labels",
    "exchange/correction_files exchange/corrections": "assemble_labels",
    "exchange/labelled exchange/labelmap": "assemble_labels",
    "segmentation/psl": "train_segmentation predict relabel",
    "segmentation/inference": "predict relabel",
    "stages/_batches": "extract_cams predict relabel",
    "segmentation/crf segmentation/local stages/_crf": "assemble_labels refine_predictions relabel",
    "evaluation/boundary evaluation/saliency": "score",
    "evaluation/confusion": "score report",
    "report/page report/gallery report/measures report/pictures": "report",
    "report/palettes report/summary": "report",
    "report/figures": "tabulate collect_tables",
    "report/scores": "report summarise tabulate",
    "report/escape": "summarise tabulate collect_tables",
    "report/tables": "tabulate collect_tables",
    "stages/_networks": TRAININGS,
    "device": NETWORKS,
    "stores/networks": "extract_cams predict relabel",
    "stages/_erasing": "train_classifier extract_cams",
    "stages/_parallel": "generate_scenes detect_saliency assemble_labels refine_predictions report",
    "stages/_checkpointing stages/_training training/distributed training/engine"
    " training/optimizers training/schedules": TRAININGS,
    "stages/_shown": "report",
    "stages/_truth": "copy_true_labels score report",
}
"""The stages whose code digest covers a module, by hand; a stage's own module is in its own."""

NO_RESULT = "cli workflow __main__ host console concurrency errors signals shipped"
NO_RESULT += " config/ablations config/root config/files config/listing data/recognise data/survey"
NO_RESULT += " config/presets data/fetch stages/_options deployment"
NO_RESULT += " report/card exchange/coco exchange/cvat exchange/formats exchange/labelstudio"
NO_RESULT += " exchange/mmseg exchange/yolo"
NO_RESULT += " stores/cache stores/weights"
"""Modules and folders of which no result depends."""


def test_which_stages_a_module_is_in():
    names = {m: s.module or m for m, s in STAGES.items()}
    found = {}
    for stage in names.values():
        for path in import_closure(f"aepsl.stages.{stage}").values():
            name = path.relative_to(PACKAGE).with_suffix("").as_posix()
            if path.name != "__init__.py" and name != f"stages/{stage}":
                found.setdefault(name, set()).add(stage)
    by_hand = {m: set(stages.split()) for row, stages in MODULES.items() for m in row.split()}
    assert found == by_hand
    none = {name for name in NO_RESULT.split()}
    for path in SOURCES:
        name = path.relative_to(PACKAGE).with_suffix("").as_posix()
        known = name in by_hand or name.removeprefix("stages/") in names.values()
        assert known != bool({name, name.partition("/")[0]} & none), name


def test_packages_hold_no_code_but_the_command_lines():
    for path in PACKAGE.rglob("__init__.py"):
        code = [node for node in ast.parse(path.read_text()).body[1:]]
        assert not code or path.parent.name in ("cli", "aepsl")
