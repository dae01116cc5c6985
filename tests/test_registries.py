"""Registries against the choices of the configuration, and each entry against its description."""

import inspect
import subprocess
import sys
from typing import get_args, get_type_hints

import numpy as np
import pytest
import torch
from conftest import ROOT, settings_of
from test_saliency_network import write_network
from test_tables import write_truth

from aepsl.cli.tools import export
from aepsl.config.ablations import Table
from aepsl.config.data import Data
from aepsl.config.labels import Saliency, SaliencyNetworkConfig
from aepsl.config.mining import Mining
from aepsl.config.networks import Networks, Training
from aepsl.config.root import Config
from aepsl.config.sections import StageSettings, parse
from aepsl.config.segmentation import Segmentation
from aepsl.data.adapters import ADAPTERS
from aepsl.data.published import NETWORKS
from aepsl.data.voc import SPLITS
from aepsl.deployment.export import FORMATS
from aepsl.errors import AepslError
from aepsl.mining.erase import mined_fraction
from aepsl.mining.loss import LABEL_LOSSES
from aepsl.mining.rules import ERASE_RULES
from aepsl.networks.decoders import DECODERS
from aepsl.networks.models import HEADS
from aepsl.networks.pretrained import CONVENTIONS
from aepsl.report.scores import target_title
from aepsl.report.tables import column_title
from aepsl.saliency.methods import METHODS
from aepsl.saliency.network import ANSWERS
from aepsl.stages import detect_saliency, score
from aepsl.stages.train_classifier import ClassifierLoss
from aepsl.stores.atomic import read_manifest_json
from aepsl.stores.records import Record, Store, writing_shard
from aepsl.targets import MEASURES, TARGETS
from aepsl.training.optimizers import OPTIMIZERS
from aepsl.workflow.checks import problems_of
from aepsl.workflow.codedigest import import_closure
from aepsl.workflow.plan import Plan
from aepsl.workflow.stages import STAGES


def choices(section, name):
    return set(get_args(section.model_fields[name].annotation))


@pytest.mark.parametrize(
    ("chosen", "registry"),
    [
        (choices(Data, "adapter"), ADAPTERS),
        (set(get_args(get_type_hints(export)["format"])), FORMATS),
        (choices(Mining, "loss"), LABEL_LOSSES),
        (choices(Mining, "erase_rule"), ERASE_RULES),
        (choices(Saliency, "method"), METHODS),
        (choices(SaliencyNetworkConfig, "answer"), ANSWERS),
        (choices(Networks, "weights_input"), CONVENTIONS),
        (choices(Training, "optimizer"), OPTIMIZERS),
        (choices(Mining, "head"), HEADS),
        (choices(Segmentation, "head"), HEADS | DECODERS),
    ],
    ids=[
        "adapter",
        "export",
        "label loss",
        "erase rule",
        "saliency",
        "answer",
        "weights input",
        "optimizer",
        "head of the classifier",
        "head of the segmentation network",
    ],
)
def test_the_choices_of_a_key_are_the_entries_of_its_registry(chosen, registry):
    assert chosen == set(registry)


def test_the_descriptions_name_the_lists_and_networks_that_have_a_name():
    fields = Data.model_fields
    described = f"{fields['train_split'].description} {fields['eval_split'].description}"
    assert all(path.stem in described for path in SPLITS.iterdir())
    described = SaliencyNetworkConfig.model_fields["file"].description
    assert all(f"{name}: " in described for name in NETWORKS)


# Erase rules


@pytest.mark.parametrize("name", ERASE_RULES)
def test_an_erase_rule_has_its_stated_direction_and_limit(name):
    rule = ERASE_RULES[name]
    rng = np.random.default_rng(0)
    heatmaps = [rng.random((20, 30)) for _ in range(3)]
    shares = [mined_fraction(heatmaps, rule=name, delta=delta) for delta in (0.2, 0.4, 0.6, 0.8)]
    assert shares == sorted(shares, reverse=not rule.larger_mines_more)
    assert len(set(shares)) == 4
    if rule.limit is not None:
        last = mined_fraction(heatmaps, rule=name, delta=rule.limit)
        assert last == pytest.approx(float(rule.larger_mines_more), abs=0.01)


@pytest.mark.parametrize(
    ("mining", "refused"),
    [
        ({"erase_rule": "fraction_of_max", "delta": 0.99}, False),
        ({"erase_rule": "fraction_of_max", "delta": 1}, True),
        ({"erase_rule": "top_fraction", "delta": 1.5}, True),
        ({"erase_rule": "top_fraction", "delta": 1.5, "area": 0.1}, False),  # delta is idle
        ({"erase_rule": "absolute", "delta": 40}, False),
    ],
)
def test_delta_is_in_the_range_of_its_rule(mining, refused):
    problems = [str(problem) for problem in problems_of(Config(mining=mining))]
    assert problems == [
        f"mining.delta: is {mining['delta']:g}, but {mining['erase_rule']} needs a fraction below"
        " 1\n"
        "    Hint: set it below 1; only absolute takes larger values"
    ] * int(refused)


def test_every_variant_is_checked_and_equal_problems_are_named_once():
    wrong = {"mining": {"delta": 2}}
    with pytest.raises(AepslError) as refused:
        Plan({"variants": {"a": wrong, "b": wrong, "c": {"mining": {"delta": 0.3}}}})
    (problem,) = refused.value.problems
    assert problem.where == "variant a: mining.delta"


# One class


@pytest.mark.parametrize(
    ("data", "where"),
    [
        ({"class_names": ["cat"]}, "data.class_names"),
        ({"class_names": ["cat", "dog"], "classes": ["dog"]}, "data.classes"),
        ({"class_names": ["cat", "dog"]}, None),
    ],
)
def test_one_class_cannot_be_learnt(data, where):
    problems = list(problems_of(Config(data={"adapter": "voc", "root": "x", **data})))
    assert [problem.where for problem in problems] == [where] * (where is not None)
    assert all("the softmax of one class is always 1" in problem.what for problem in problems)


# Saliency methods


def test_every_option_of_saliency_is_some_methods():
    options = {option for method in METHODS.values() for option in method.options}
    sources = {method.source_key for method in METHODS.values() if method.source_key}
    of_section = {key for key in sources if "." not in key}
    assert options | of_section == set(Saliency.model_fields) - {"method"}
    assert not options & of_section


@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if method.make])
def test_a_saliency_method_uses_only_its_stated_input(name):
    method = METHODS[name]
    stated = set(method.options)
    stated |= {"source"} if method.source_key else set()
    stated |= {"threads", "device"} if method.on_device else set()
    assert set(inspect.signature(method.make).parameters) == stated


def test_a_source_that_is_not_set_is_refused_before_anything_runs():
    with pytest.raises(AepslError, match=r"saliency\.folder: is not set") as refused:
        Plan({"saliency": {"method": "precomputed"}})
    assert "but saliency.method is precomputed" in str(refused.value)
    assert "Hint: set it to the path" in str(refused.value)


def test_planning_imports_no_saliency_method():
    code = "import sys, aepsl.workflow.plan, aepsl.saliency.methods; print(*sys.modules)"
    command = [sys.executable, "-c", code]
    modules = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "aepsl.saliency.methods" in modules.split()
    assert not {"torch", "onnxruntime", "skimage", "scipy", "cv2"} & set(modules.split())


def test_the_code_of_every_saliency_method_counts_as_its_stages():
    files = {path.stem for path in (ROOT / "aepsl" / "saliency").glob("*.py")} - {"__init__"}
    assert {f"aepsl.saliency.{name}" for name in files} <= set(
        import_closure("aepsl.stages.detect_saliency")
    )


def detect(tmp_path, voc_folder, source, **config):
    voc_folder.index(tmp_path / "manifest.json")
    where = {"dataset": tmp_path / "manifest.json", "root": voc_folder.root, "source": source}
    where |= {"shard": 0, "shards": 1, "threads": 1, "device": "cpu"}
    names = {"saliency.method", *(f"saliency.{name}" for name in METHODS[config["method"]].options)}
    section = parse(Saliency, config, where="").model_dump(exclude={"network": {"file"}})
    settings = StageSettings({f"saliency.{key}": value for key, value in section.items()})
    settings = StageSettings({key: value for key, value in settings.items() if key in names})
    detect_saliency.detect_saliency(settings, **where, output=tmp_path / "0.h5")
    return Store([tmp_path / "0.json"], kind="saliency")


@pytest.mark.parametrize("method", METHODS)
def test_every_saliency_method_is_run_or_refused(tmp_path, voc_folder, method):
    """Run a new method here, too, with its options and its source."""
    maps = voc_folder.root / "SegmentationClass"  # 0 everywhere
    options, source = {
        "robust_background": ({"superpixels": 20}, None),
        "network": ({"network": {"size": 8}}, write_network(tmp_path / "net.onnx")),
        "precomputed": ({}, maps),
        "none": ({}, None),
    }[method]
    if method == "none":
        with pytest.raises(AepslError, match=r"saliency\.method: none computes no maps"):
            detect(tmp_path, voc_folder, source, method=method, **options)
        return
    store = detect(tmp_path, voc_folder, source, method=method, **options)
    assert store["a"].arrays["saliency"].shape == (40, 48)
    if source:
        with pytest.raises(
            AepslError, match=f"--source: is not set, but saliency.method is {method}"
        ):
            detect(tmp_path, voc_folder, None, method=method, **options)


# Targets


def columns(*names):
    return Table(title="t", columns=names, rows={})


def test_the_columns_of_tables_are_the_measures_of_targets():
    known = [f"{name}.{measure}" for name, target in TARGETS.items() for measure in target.measures]
    assert columns(*known).columns == tuple(known)
    assert len({column_title(column) for column in known}) == len(known)
    with pytest.raises(ValueError, match=r"no column labels\.mae"):
        columns("labels.mae")
    with pytest.raises(ValueError, match=r"no column labls\.miou, but labels\.miou"):
        columns("labls.miou")


def test_every_measure_is_some_targets():
    assert set(MEASURES) == {name for target in TARGETS.values() for name in target.measures}


def test_every_target_is_made_by_a_stage():
    for target in TARGETS.values():
        assert (ROOT / "aepsl" / "stages" / f"{target.stage}.py").is_file()


@pytest.mark.parametrize("target", TARGETS.values(), ids=list(TARGETS))
def test_a_target_is_counted_as_its_stage_is(target):
    paths = "".join(STAGES[target.stage].files.values())
    counted = [name for name in ("step", "round") if f"{{{name}}}" in paths]
    assert counted == ([target.counted] if target.counted else [])


def test_a_score_file_holds_the_measures_of_its_target(tmp_path):
    manifest = write_truth(tmp_path, [[[0, 3, 8]]])
    arrays = {
        "saliency": {"saliency": np.ones((1, 3), np.float16)},
        "regions": {"union": np.ones((1, 1, 3), np.uint8)},
        "labels": {"mask": np.ones((1, 3), np.uint8)},
        "predictions": {"mask": np.ones((1, 3), np.uint8)},
    }
    about = {"target", "variant", "step", "seed", "split", "images", "miou_interval", "confusion"}
    about |= {"confidence"}
    for name, target in TARGETS.items():
        if target.kind is None:
            continue
        with writing_shard(tmp_path / name / "0.h5", kind=target.kind, facts={}) as writer:
            writer.add("x0", Record(arrays[target.kind], {"classes": [0]}))
        output = tmp_path / f"{name}.json"
        score.score(
            settings_of("score", {"evaluation": {"resamples": 20}}, target="labels"),
            truth=manifest,
            root=tmp_path,
            store=[tmp_path / name / "0.json"],
            **{"target": name, "variant": "main", "seed": 0, "step": None, "output": output},
        )
        assert set(read_manifest_json(output)) - about == set(target.measures)


def test_a_training_curve_holds_the_measures_of_the_classifier():
    batch = {"image": torch.zeros(1, 3, 4, 4), "labels": torch.ones(1, 2)}
    for name in LABEL_LOSSES:
        losses = ClassifierLoss(name)(lambda images: torch.zeros(1, 2), batch)
        assert set(losses) == set(TARGETS["classifier"].measures)


def test_an_unknown_target_is_refused(tmp_path):
    for name in ("lables", "classifier"):
        with pytest.raises(AepslError, match=f"--target: {name} cannot be scored") as refused:
            score.score(
                StageSettings({}),
                truth=tmp_path,
                root=tmp_path,
                store=[],
                **{"target": name, "variant": "", "seed": 0, "step": None, "output": tmp_path},
            )
        assert "one of saliency, regions, labels" in str(refused.value)


def test_scores_are_described_in_words():
    assert {name: target_title({"target": name, "step": 2}) for name in TARGETS} == {
        "classifier": "classifier",
        "saliency": "saliency",
        "regions": "mined regions, step 2",
        "labels": "pseudo-labels",
        "relabelled": "pseudo-labels, relabelled",
        "predictions": "predictions",
        "predictions_crf": "predictions after the CRF",
    }


def test_a_section_checks_no_path_that_only_some_methods_need():
    # a stage is given the content of a path, not the path
    assert parse(Saliency, {"method": "precomputed"}, where="").folder is None
