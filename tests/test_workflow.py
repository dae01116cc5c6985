import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from aepsl.config.presets import expanded, merged
from aepsl.errors import AepslError
from aepsl.workflow import codedigest
from aepsl.workflow.codedigest import code_digest, import_closure
from aepsl.workflow.plan import Plan
from aepsl.workflow.stages import SINGLE_RESULT, STAGES, ResultIndex, value_of

VARIANTS = {
    "no-psl": {"segmentation": {"psl": "none"}},
    "deep": {"mining": {"steps": 5}},
    "wide": {"mining": {"delta": 0.3}},
    "truth": {"labels": {"source": "truth"}},
    "again": {"seed": 1},
}


@pytest.fixture
def plan():
    return Plan({"variants": VARIANTS})


def test_equal_stages_are_shared(plan):
    owner = plan.variants.owner
    owners = {name: owner("train_classifier", name, ResultIndex(step=1)) for name in VARIANTS}
    assert owners == {name: "again" if name == "again" else "main" for name in VARIANTS}
    # Another delta erases other regions after the same first classifier.
    assert owner("extract_cams", "wide", ResultIndex(step=1)) == "main"
    assert owner("erase_regions", "wide", ResultIndex(step=1)) == "wide"
    assert owner("train_classifier", "wide", ResultIndex(step=2)) == "wide"
    # Five steps go through the same first three.
    assert owner("erase_regions", "deep", ResultIndex(step=3)) == "main"
    assert owner("assemble_labels", "deep") == "deep"
    assert owner("assemble_labels", "no-psl") == "main"
    assert owner("train_segmentation", "no-psl", ResultIndex(round=0)) == "no-psl"
    assert owner("detect_saliency", "again") == owner("index_images", "again") == "main"


def test_the_number_of_scores_follows_from_sharing(plan):
    files = [Path(name).parts[-2:] for name in plan.tables.score_files()]
    regions = [file for file in files if file[1].startswith("regions")]
    assert len(regions) == 3 + 2 + 3 + 3  # main, deep's 4 and 5, wide, again
    assert len([f for f in files if f[1] == "labels.json"]) == 4  # main, deep, wide, again
    assert len([f for f in files if f[1] == "predictions.json"]) == 1 + len(VARIANTS)
    assert len(files) == len(set(files))


WITHOUT_PSL = {"label": "none", "override": {"segmentation": {"psl": "none"}}}
PSL_TABLE = {"title": "PSL", "columns": ["predictions.miou"], "rows": {"none": WITHOUT_PSL}}


@pytest.mark.parametrize(
    ("request_", "product", "removed"),
    [
        ("removed", "scores.json", "classifier/main/step2/model.safetensors"),
        ("removed", "scores.json", "regions/main/step5/0.json"),
        ("removed", "scores.json", "scores/wide/labels.json"),
        ("removed", "scores.json", "true_labels/main/0.json"),
        ("removed", "scores.json", "eval_images/main/manifest.jsonl"),
        ("removed_from_tables", "ablations/tables.md", "scores/psl-none-seed2/predictions.json"),
        ("removed_from_tables", "ablations/tables.md", "classifier/seed2/step1/model.safetensors"),
    ],
)
def test_a_target_requests_what_is_missing_behind_its_results(
    tmp_path, monkeypatch, request_, product, removed
):
    monkeypatch.chdir(tmp_path)
    ablations = {"seeds": [2], "tables": {"psl": PSL_TABLE}}
    plan = Plan({"variants": VARIANTS, "ablations": ablations})
    requested = getattr(plan.tables, request_)
    assert requested() == []  # a new run
    files = {Path("results/scenes", product)}
    while files:  # make what is requested, then what that is made from
        for file in files:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
        files = {Path(path) for path in requested()}
    assert not any("is missing" in warning for warning in plan.warnings)
    Path("results/scenes", removed).unlink()
    assert requested() == [f"results/scenes/{removed}"]
    assert any(f"{removed} is missing, although" in warning for warning in plan.warnings)


def photographs(tmp_path, **data):
    """Return the configuration of a dataset in VOC's layout, and one of its variants."""
    from conftest import VocFolder

    folder = VocFolder(tmp_path / "photographs")
    Image.fromarray(np.ones((40, 48), np.uint8)).save(folder.root / "other.png")
    for name in "abc":
        place = folder.root / "OtherMasks" / f"{name}.png"
        place.parent.mkdir(exist_ok=True)
        shutil.copy(folder.root / "other.png", place)
    settings = {"adapter": "voc", "root": str(folder.root), "class_names": ["cat", "dog"]}
    settings |= {"labels": "csv", "labels_csv": str(folder.labels)}
    return {"data": settings, "variants": {"other": {"data": data}}}


def test_scored_content_includes_the_true_masks(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan = Plan(photographs(tmp_path, mask_folder="OtherMasks"))
    # Nothing that is learnt or predicted differs, and every score does.
    assert plan.variants.owner("predict", "other") == "main"
    for target in ("regions", "labels", "saliency", "predictions", "predictions_crf"):
        files = [plan.tables.score_file(name, target) for name in ("main", "other")]
        assert files[0].replace("/main/", "/other/") == files[1]
    tables = {"masks": {"title": "M", "columns": ["predictions.miou"], "rows": {}}}
    rows = {n: {"label": n, "override": {"data": {"mask_folder": n}}} for n in ("A", "OtherMasks")}
    tables["masks"]["rows"] = rows
    table = Plan(photographs(tmp_path / "2") | {"ablations": {"seeds": [0], "tables": tables}})
    assert len(table.tables.inputs(SimpleNamespace(table="masks"))) == 2


def test_equal_true_masks_are_scored_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan = Plan(photographs(tmp_path, classes=["dog", "cat"]))
    files = [plan.tables.score_file(name, "predictions") for name in ("main", "other")]
    assert files[0] != files[1]  # other classes, other scores
    plan = Plan(photographs(tmp_path / "2", root=str(tmp_path / "photographs")))
    assert plan.tables.score_file("other", "predictions").endswith("/main/predictions.json")


def test_true_masks_are_reached_by_name_only(plan):
    for name in VARIANTS:
        labels = plan.inputs("train_segmentation")["labels"](SimpleNamespace(name=name, round=0))
        assert ("true_labels" in labels[0]) == (name == "truth")


def test_step_zero_is_the_same_for_all(plan):
    read = plan.inputs("train_classifier")["regions"]
    assert read(SimpleNamespace(name="again", step="1")) == ["results/scenes/regions/step0/0.json"]


def every_setting(plan, name="main"):
    """Return the settings of each stage under a variant."""
    return {stage: plan.variants.settings(stage, name, EXAMPLE) for stage in STAGES}


EXAMPLE = ResultIndex(step=1, round=1, target="labels")


def test_params_are_canonical_and_narrow(plan):
    params = plan.inputs.params("erase_regions")["cfg"](SimpleNamespace(name="wide"))
    assert params == '{"mining.delta": 0.3, "mining.erase_rule": "fraction_of_max"}'
    assert "runtime" not in "".join(every_setting(plan).values())


def test_key_order_does_not_matter():
    one = Plan({"mining": {"delta": 0.3, "steps": 2}, "seed": 1})
    two = Plan({"seed": 1, "mining": {"steps": 2, "delta": 0.3}})
    assert one.variants.settings("erase_regions", "main") == two.variants.settings(
        "erase_regions", "main"
    )


def test_swapped_values_are_noticed():
    one = Plan({"crf": {"bilateral_weight": 4, "gaussian_weight": 3}})
    two = Plan({"crf": {"bilateral_weight": 3, "gaussian_weight": 4}})
    assert one.variants.settings("refine_predictions", "main") != two.variants.settings(
        "refine_predictions", "main"
    )


def test_a_wrong_variant_is_refused_by_name():
    with pytest.raises(AepslError, match=r"variant odd: mining\.dleta"):
        Plan({"variants": {"odd": {"mining": {"dleta": 1}}}})
    with pytest.raises(AepslError, match="runtime"):
        Plan({"variants": {"odd": {"runtime": {"shards": 9}}}})


@pytest.mark.parametrize("name", ["main", "seed7", "steps-one-seed0"])
def test_names_of_the_tables_are_not_for_variants(name):
    with pytest.raises(AepslError, match=f"variants.{name}: the name is taken"):
        Plan({"variants": {name: {"seed": 3}}, "ablations": TABLES})


def test_every_stage_module_has_a_digest():
    for name, stage in STAGES.items():
        assert len(code_digest(f"aepsl.stages.{stage.module or name}")) == 16


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
    monkeypatch.setattr("aepsl.host.find_spec", lambda name: None)
    plan = Plan({})
    assert "C++ compiler" in plan.warnings[0]
    assert not any("crf" in name for name in plan.tables.score_files())
    assert json.loads(plan.variants.settings("predict", "main"))["crf.enabled"] is True


def test_corrections_that_the_run_does_not_use_are_told(tmp_path):
    truth, fixed = {"source": "truth"}, {"corrections": str(tmp_path)}
    for labels, variant, told in (
        (truth | fixed, {}, True),
        (fixed, truth, False),  # as in the tables' rows with true labels
        (truth, {}, False),
    ):
        plan = Plan({"labels": labels, "variants": {"other": {"labels": variant}}})
        assert told == any("labels.corrections is not used" in text for text in plan.warnings)


def owners(stage, overrides, at=SINGLE_RESULT):
    plan = Plan({"variants": overrides})
    return [plan.variants.owner(stage, name, at) for name in plan.names[1:]]


def test_rounds_share_earlier_results():
    rounds = {f"r{n}": {"segmentation": {"relabel_rounds": n}} for n in (0, 1, 2)}
    assert owners("train_segmentation", rounds, ResultIndex(round=0)) == ["main"] * 3
    assert (
        owners("relabel", rounds, ResultIndex(round=1)) == ["main"] * 3
    )  # main's network labels them
    assert owners("train_segmentation", rounds, ResultIndex(round=1)) == ["main"] * 3
    assert owners("predict", rounds) == ["main", "r1", "r2"]


@pytest.mark.parametrize(
    ("stage", "overrides"),
    [
        ("train_segmentation", [{"segmentation": {"psl": "none", "psl_after": n}} for n in (1, 2)]),
        ("detect_saliency", [{"saliency": {"method": "none", "superpixels": n}} for n in (50, 60)]),
        ("relabel", [{"crf": {"iterations": n}} for n in (3, 4)]),
        ("detect_saliency", [{"saliency": {"network": {"size": n}}} for n in (64, 96)]),
        (
            "assemble_labels",
            [
                {"saliency": {"method": "none"}, "labels": {"background_threshold": n}}
                for n in (0.1, 0.2)
            ],
        ),
        ("erase_regions", [{"mining": {"area": 0.1, "delta": n}} for n in (0.1, 0.2)]),
        ("extract_cams", [{"mining": {"cam_merge": n}} for n in ("mean", "normalised_mean")]),
    ],
)
def test_settings_without_effect_do_not_split_variants(stage, overrides):
    names = owners(stage, dict(zip("ab", overrides, strict=True)), EXAMPLE)
    assert len(set(names)) == 1


@pytest.mark.parametrize(
    ("stage", "overrides"),
    [
        ("detect_saliency", [{"saliency": {"superpixels": n}} for n in (50, 60)]),
        ("erase_regions", [{"mining": {"area": n}} for n in (0.1, 0.2)]),
        (
            "erase_regions",
            [{"mining": {"area": 0.1, "erase_rule": n}} for n in ("absolute", "top_fraction")],
        ),
        (
            "extract_cams",
            [{"mining": {"cam_flip": True, "cam_merge": n}} for n in ("mean", "normalised_mean")],
        ),
        ("extract_cams", [{"mining": {"cam_scales": [1, n]}} for n in (0.5, 2)]),
        ("assemble_labels", [{"labels": {"class_thresholds": {"red": n}}} for n in (0.1, 0.2)]),
        (
            "assemble_labels",
            [{"mining": {"steps": "auto", "success": {"loss": n}}} for n in (0.1, 0.2)],
        ),
        ("assemble_labels", [{"mining": {"steps": n}} for n in ("auto", 3)]),
        ("train_segmentation", [{"segmentation": {"psl": n}} for n in ("scores", "labels")]),
        ("train_segmentation", [{"segmentation": {"head": n}} for n in ("largefov", "deeplabv3")]),
    ],
)
def test_a_knob_that_matters_splits_its_stage(stage, overrides):
    names = owners(stage, dict(zip("ab", overrides, strict=True)), EXAMPLE)
    assert len(set(names)) == 2


def test_every_key_of_a_stage_exists():
    plan = Plan({})
    job = plan.variants.job("main", EXAMPLE)
    for stage in STAGES.values():
        for key in stage.keys(job):
            value_of(job.config, key)


class Judged:
    """Snakemake's checkpoints, as far as a run asks them."""

    def __init__(self, folder, verdicts):
        self.folder, self.verdicts, self.requested = folder, verdicts, []
        self.judge_training = self

    def get(self, name, step):
        self.requested.append((name, step))
        path = self.folder / f"{name}-{step}.json"
        path.write_text(json.dumps({"success": self.verdicts[step - 1]}))
        return SimpleNamespace(output=[str(path)])


@pytest.mark.parametrize(
    ("verdicts", "steps"), [([True, True, False], 2), ([True] * 8, 8), ([True, False, True], 1)]
)
def test_auto_counts_the_steps_that_succeeded(tmp_path, verdicts, steps):
    judged = Judged(tmp_path, verdicts)
    plan = Plan({"mining": {"steps": "auto", "max_steps": 8}}, judged)
    assert plan.inputs.steps("main") == steps
    assert judged.requested == [("main", step) for step in range(1, min(steps + 1, 8) + 1)]
    last = plan.inputs("assemble_labels")["regions"](SimpleNamespace(name="main", shard="0"))
    assert last == [f"results/scenes/regions/main/step{steps}/0.json"]
    assert len(plan.inputs("report")["verdicts"](SimpleNamespace())) == min(steps + 1, 8)


def test_auto_in_a_row_of_a_table(tmp_path):
    judged = Judged(tmp_path, [True, True, False])
    rows = {
        "found": {"label": "found", "override": {"mining": {"steps": "auto"}}},
        "two": {"label": "2", "override": {"mining": {"steps": 2}}},
    }
    columns = ["classifier.loss", "regions.miou", "labels.miou"]
    tables = {"steps": {"title": "Steps", "columns": columns, "rows": rows}}
    plan = Plan({"ablations": {"seeds": [0], "tables": tables}}, judged)
    found = plan.tables.inputs(SimpleNamespace(table="steps"))
    scenes = "results/scenes"
    # Both end with step 2; what follows is shared no further, for another verdict would part them.
    assert found == [
        f"{scenes}/classifier/main/step2/curve.csv",
        f"{scenes}/scores/main/regions-step2.json",
        f"{scenes}/scores/steps-found-seed0/labels.json",
        f"{scenes}/scores/steps-two-seed0/labels.json",
    ]


def test_a_fixed_number_of_steps_needs_no_snakemake_checkpoint():
    plan = Plan({"mining": {"steps": 2}}, None)
    assert plan.inputs.steps("main") == 2
    assert plan.inputs("report")["verdicts"](SimpleNamespace()) == []


TABLES = {
    "seeds": [0, 7],
    "tables": {
        "steps": {
            "title": "Steps",
            "columns": ["classifier.loss", "labels.miou", "predictions.miou"],
            "rows": {
                "one": {"label": "1", "override": {"mining": {"steps": 1}}},
                "three": {"label": "3", "override": {"mining": {"steps": 3}}, "paper": 50.9},
                "gone": None,
            },
        },
        "bounds": {
            "title": "Bounds",
            "columns": ["labels.miou", "predictions.miou"],
            "reference": "full",
            "rows": {
                "weak": {"label": "weak"},
                "full": {"label": "full", "override": {"labels": {"source": "truth"}}},
            },
        },
        "gone": None,
    },
}


def test_tables_are_made_of_shared_files():
    plan = Plan({"ablations": TABLES})
    assert plan.tables.names == ["steps", "bounds"]
    steps = plan.tables.inputs(SimpleNamespace(table="steps"))
    scenes = "results/scenes"
    # three steps with seed 0 are main's
    assert f"{scenes}/scores/main/predictions.json" in steps
    assert f"{scenes}/classifier/main/step1/curve.csv" in steps
    assert f"{scenes}/classifier/seed7/step1/curve.csv" in steps
    assert len(steps) == 2 * 2 * 3
    bounds = plan.tables.inputs(SimpleNamespace(table="bounds"))
    # true masks are no pseudo-labels to score, and AE-PSL with seed 7 is the run with that seed
    assert [path.removeprefix(f"{scenes}/scores/") for path in bounds] == [
        "main/labels.json",
        "main/predictions.json",
        "seed7/labels.json",
        "seed7/predictions.json",
        "bounds-full-seed0/predictions.json",
        "bounds-full-seed7/predictions.json",
    ]


def test_a_specification_describes_its_rows():
    plan = Plan({"ablations": TABLES})
    spec = json.loads(plan.tables.specification(SimpleNamespace(table="steps")))
    assert [row["label"] for row in spec["rows"]] == ["1", "3"]
    assert [row["paper"] for row in spec["rows"]] == [None, 50.9]
    assert spec["rows"][1]["scores"]["0"]["labels"] == "results/scenes/scores/main/labels.json"


def test_the_default_target_contains_no_tables():
    plain, with_tables = Plan({}), Plan({"ablations": TABLES})
    assert plain.tables.score_files() == with_tables.tables.score_files()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"tables": {"x": {"title": "X", "rows": {}, "columns": ["predictions.mIoU"]}}},
            r"no column predictions\.mIoU, but predictions\.miou",
        ),
        (
            {
                "tables": {
                    "x": {"title": "X", "rows": {"y": {"label": "Y", "override": {"seed": 1}}}}
                }
            },
            "overrides the seed",
        ),
        ({"tables": {"a-b": {"title": "X", "rows": {}}}}, "should match pattern"),
        (
            {
                "tables": {
                    "x": {"title": "X", "rows": {"y": {"label": "Y", "override": {"variants": {}}}}}
                }
            },
            "variant x-y-seed0: overrides variants",
        ),
        ({"loss_curves": "steps.five"}, "loss_curves names steps.five, which is not a row"),
        ({"tables": {"x": {"title": "X", "rows": {}, "reference": "y"}}}, "which is not a row"),
        (
            {
                "tables": {
                    "x": {"title": "X", "rows": {"y": {"label": "Y", "override": {"sede": 1}}}}
                }
            },
            "variant x-y-seed0: sede: unknown key",
        ),
    ],
)
def test_wrong_tables_are_refused(change, message):
    with pytest.raises(AepslError, match=message):
        Plan({"ablations": change})


def test_the_command_names_the_configurations_that_were_given():
    plan = Plan({})
    assert plan.tables.command(["/p/config.yaml"]) == "snakemake --cores N ablations"
    given = [Path.cwd() / "examples/voc2012.yaml", "examples/voc-790.yaml", "config.yaml"]
    assert plan.tables.command(given).endswith(
        "--configfile examples/voc2012.yaml examples/voc-790.yaml"
    )


def embedded():
    return expanded({"base": "scenes"})


def test_the_embedded_tables_train_each_network_once():
    plan = Plan(embedded())
    files = {f for t in plan.tables.names for f in plan.tables.inputs(SimpleNamespace(table=t))}
    predictions = {f for f in files if f.endswith("/predictions.json")}
    # without PSL after 1-4 steps, PSL, three more ways of it, no saliency, six better labels,
    # true masks with either label loss
    assert len(predictions) == 3 * (4 + 1 + 3 + 1 + 6 + 2)
    assert len({f for f in files if f.endswith("/labels.json")}) == 3 * (4 + 5 + 1 + 2 + 6)
    # by seed, the regions of four steps, of five more ways to erase and four better class maps
    assert len({f for f in files if "/regions-step" in f}) == 3 * (4 + 5 + 4)


def test_a_new_table_does_not_move_shared_results():
    config = embedded()
    before = Plan(config)
    first = {"first": {"title": "F", "rows": {"y": {"label": "Y"}}}}
    config["ablations"]["tables"] = first | config["ablations"]["tables"]
    after = Plan(config)
    for table in before.tables.names:
        w = SimpleNamespace(table=table)
        assert before.tables.inputs(w) == after.tables.inputs(w)


def test_masks_that_need_the_crf_are_refused_without_it(monkeypatch):
    monkeypatch.setattr("aepsl.host.find_spec", lambda name: None)
    again = {"segmentation": {"relabel_rounds": 1, "relabel_crf": True}}
    with pytest.raises(AepslError, match="relabel_crf: is set, but pydensecrf is not"):
        Plan({"variants": {"again": again}})
    with pytest.raises(AepslError, match=r"labels\.crf: is set, but pydensecrf is not"):
        Plan({"base": "scenes", "labels": {"crf": True}})


def test_supervision_without_saliency_is_told():
    supervised = {"mining": {"saliency_loss": 1}}
    assert not Plan(supervised).warnings
    told = Plan(supervised | {"saliency": {"method": "none"}}).warnings
    assert "mining.saliency_loss is not used" in told[0]


def test_without_the_crf_the_tables_have_no_rows_that_need_it(monkeypatch):
    monkeypatch.setattr("aepsl.host.find_spec", lambda name: object())
    with_crf = Plan(embedded())
    assert not any("tables" in warning for warning in with_crf.warnings)
    monkeypatch.setattr("aepsl.host.find_spec", lambda name: None)
    plan = Plan(embedded())
    assert any("no rows better.crf, better.best." in warning for warning in plan.warnings)
    row = SimpleNamespace(table="better")
    assert "best" in with_crf.tables.specification(row)
    assert "best" not in plan.tables.specification(row)
    local = Plan(merged(embedded(), {"crf": {"method": "local"}}))
    assert "best" in local.tables.specification(row)
