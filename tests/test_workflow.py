import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from aepsl import codedigest
from aepsl.codedigest import code_digest, import_closure
from aepsl.errors import AepslError
from aepsl.workflow import STAGES, Workflow

VARIANTS = {
    "main": {},
    "no-psl": {"segmentation": {"psl": False}},
    "deep": {"mining": {"steps": 5}},
    "wide": {"mining": {"delta": 0.3}},
    "truth": {"labels": {"source": "truth"}},
    "again": {"seed": 1},
}


@pytest.fixture
def run():
    return Workflow({"variants": VARIANTS})


def test_equal_stages_are_shared(run):
    owners = {name: run.owner("classifier", name, 1) for name in VARIANTS}
    assert owners == {name: "again" if name == "again" else "main" for name in VARIANTS}
    # Another delta erases other regions after the same first classifier.
    assert run.owner("cams", "wide", 1) == "main"
    assert run.owner("regions", "wide", 1) == "wide"
    assert run.owner("classifier", "wide", 2) == "wide"
    # Five steps go through the same first three.
    assert run.owner("regions", "deep", 3) == "main"
    assert run.owner("labels", "deep") == "deep"
    assert run.owner("labels", "no-psl") == "main"
    assert run.owner("segmentation", "no-psl") == "no-psl"
    assert run.owner("saliency", "again") == run.owner("dataset", "again") == "main"


def test_the_number_of_scores_is_what_sharing_demands(run):
    files = [Path(name).parts[-2:] for name in run.score_files()]
    regions = [file for file in files if file[1].startswith("regions")]
    assert len(regions) == 3 + 2 + 3 + 3  # main, deep's 4 and 5, wide, again
    assert len([f for f in files if f[1] == "labels.json"]) == 4  # main, deep, wide, again
    assert len([f for f in files if f[1] == "predictions.json"]) == len(VARIANTS)
    assert len(files) == len(set(files))


def test_true_masks_are_reached_by_name_only(run):
    wildcards = SimpleNamespace(name="truth")
    assert "true_labels" in run.training_labels(wildcards)[0]
    for name in set(VARIANTS) - {"truth"}:
        assert "true_labels" not in run.training_labels(SimpleNamespace(name=name))[0]


def test_step_zero_is_the_same_for_all(run):
    assert run.store("regions", "again", 0) == ["results/scenes/regions/step0/0.json"]


def test_params_are_canonical_and_narrow(run):
    params = run.params("regions")(SimpleNamespace(name="wide"))
    assert params == '{"mining.delta": 0.3, "mining.erase_rule": "fraction_of_max"}'
    assert "runtime" not in "".join(run.slice_of(stage, "main") for stage in STAGES)


def test_key_order_does_not_matter():
    one = Workflow({"mining": {"delta": 0.3, "steps": 2}, "seed": 1})
    two = Workflow({"seed": 1, "mining": {"steps": 2, "delta": 0.3}})
    assert one.slice_of("regions", "main") == two.slice_of("regions", "main")


def test_swapped_values_are_noticed():
    one = Workflow({"crf": {"bilateral_weight": 4, "gaussian_weight": 3}})
    two = Workflow({"crf": {"bilateral_weight": 3, "gaussian_weight": 4}})
    assert one.slice_of("crf", "main") != two.slice_of("crf", "main")


def test_a_wrong_variant_is_refused_by_name():
    with pytest.raises(AepslError, match=r"variant odd: mining\.dleta"):
        Workflow({"variants": {"main": {}, "odd": {"mining": {"dleta": 1}}}})
    with pytest.raises(AepslError, match="runtime"):
        Workflow({"variants": {"main": {}, "odd": {"runtime": {"shards": 9}}}})


def test_every_stage_module_has_a_digest():
    for stage in STAGES.values():
        assert len(code_digest(f"aepsl.stages.{stage.module}")) == 16


def test_the_import_closure_is_followed():
    closure = import_closure("aepsl.stages.erase_regions")
    assert "aepsl.mining.erase" in closure
    assert "aepsl.stores.records" in closure
    assert "aepsl.segmentation.psl" not in closure
    assert "aepsl.networks.vgg" not in closure


def digest_with(monkeypatch, tmp_path, text):
    (tmp_path / "one.py").write_text(text)
    monkeypatch.setattr(codedigest, "PACKAGE", tmp_path)
    codedigest._parsed.cache_clear()
    return code_digest("aepsl.one")


def test_only_code_changes_a_digest(monkeypatch, tmp_path):
    base = digest_with(monkeypatch, tmp_path, "def f(x):\n    return x + 1\n")
    commented = '"""Doc."""\n# Why.\ndef f(x):\n    """Doc."""\n\n    return (x + 1)\n'
    assert digest_with(monkeypatch, tmp_path, commented) == base
    assert digest_with(monkeypatch, tmp_path, "def f(x):\n    return x + 2\n") != base
    codedigest._parsed.cache_clear()


def test_without_pydensecrf_the_rest_is_planned(monkeypatch):
    monkeypatch.setattr("aepsl.workflow.find_spec", lambda name: None)
    run = Workflow({})
    assert "C++ compiler" in run.missing
    assert not any("crf" in name for name in run.score_files())
    assert json.loads(run.slice_of("predictions", "main"))["crf.enabled"] is True
