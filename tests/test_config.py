import json
import runpy
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel, ValidationError

from aepsl.config.files import read_configuration, refuse_duplicate_keys
from aepsl.config.listing import as_yaml, listing
from aepsl.config.mining import Mining
from aepsl.config.networks import Networks, Training
from aepsl.config.presets import PRESETS, RECIPES, expanded, merged, preset_files
from aepsl.config.root import Config
from aepsl.config.sections import StageSettings, parse
from aepsl.errors import AepslError
from aepsl.workflow.plan import Plan

ROOT = Path(__file__).resolve().parent.parent


def knobs(model, path=""):
    for name, field in model.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from knobs(annotation, f"{path}{name}.")
        else:
            yield f"{path}{name}", field


@pytest.mark.parametrize(("name", "field"), list(knobs(Config)))
def test_every_knob_has_a_description_a_unit_and_a_source(name, field):
    assert field.description, name
    assert set(field.json_schema_extra) == {"unit", "source"}


def test_schema_is_in_step():
    stored = json.loads((ROOT / "config.schema.json").read_text())
    assert stored == Config.model_json_schema(), "run make schema"


def test_the_reference_of_settings_is_in_step():
    made = runpy.run_path(str(ROOT / "tools" / "reference.py"))["reference"]()
    assert (ROOT / "docs" / "config.md").read_text() == made, "run make schema"
    for key, _ in knobs(Config):
        assert f"`{key}`" in made


@pytest.mark.parametrize(
    ("values", "message", "hint"),
    [
        ({"mining": {"dleta": 0.5}}, "mining.dleta: unknown key", "did you mean delta?"),
        ({"minnig": {}}, "minnig: unknown key", "did you mean mining?"),
        ({"crf": {"x": 1}}, "crf.x: unknown key", "the keys are enabled,"),
        ({"seed": "many"}, "valid integer", "Random seed of all trainings (at least 0)"),
        (
            {"ablations": {"tables": {"t": {"title": "t", "rows": {"r": {"labl": "r"}}}}}},
            "ablations.tables.t.rows.r.labl: unknown key",
            "did you mean label?",
        ),
        ({"mining": []}, "mining: Input should be a valid dictionary", "the keys are steps, "),
        (
            {"data": {"labels": "yaml"}},
            "data.labels: Input should be 'xml', 'csv' or 'masks'",
            "voc: image labels from",
        ),
    ],
)
def test_wrong_values_are_refused_with_a_hint(values, message, hint):
    with pytest.raises(AepslError) as caught:
        parse(Config, values, where="config")
    assert message in str(caught.value)
    assert hint in str(caught.value)


def test_all_mistakes_are_reported_together():
    with pytest.raises(AepslError) as caught:
        parse(Config, {"sede": 1, "crf": {"itrations": 3}, "mining": {"steps": 0}}, where="x")
    assert len(caught.value.problems) == 3


def test_strings_of_the_command_line_are_coerced():
    config = parse(Config, {"mining": {"delta": "0.2"}, "prediction": {"flip": "false"}}, where="")
    assert config.mining.delta == 0.2
    assert config.prediction.flip is False


def test_null_of_the_command_line_is_nothing_where_that_is_allowed():
    values = {"runtime": {"cache": "null", "cache_gb": "null"}, "mining": {"area": "null"}}
    config = parse(Config, values | {"run": "null"}, where="")
    assert config.runtime.cache is None
    assert config.runtime.cache_gb is None
    assert config.mining.area is None
    assert config.run == "null"


def test_the_configuration_is_frozen():
    with pytest.raises(ValidationError):
        Config().seed = 3


@pytest.mark.parametrize(("value", "steps"), [("auto", "auto"), (2, 2), ("4", 4)])
def test_steps_are_a_number_or_found(value, steps):
    assert parse(Config, {"mining": {"steps": value}}, where="").mining.steps == steps


@pytest.mark.parametrize("value", [0, -1, "many", None, 1.5, True])
def test_steps_are_nothing_else(value):
    with pytest.raises(AepslError, match="must be auto or a number") as caught:
        parse(Config, {"mining": {"steps": value}}, where="")
    assert len(caught.value.problems) == 1


def test_thresholds_are_of_existing_classes():
    with pytest.raises(
        AepslError, match=r"sofa: not a class of the dataset\n +Hint: the classes are red, green"
    ):
        Plan({"labels": {"class_thresholds": {"sofa": 0.1}}})


def test_cross_checks():
    with pytest.raises(ValueError, match="scale_min"):
        Training(scale_min=2)
    with pytest.raises(AepslError, match=r"data\.classes: contains unicorn, which is not a class"):
        Plan({"data": {"adapter": "voc", "root": "x", "classes": ["unicorn"]}})
    assert Networks().width == 1


def test_an_adapter_reports_missing_settings():
    with pytest.raises(
        AepslError, match=r"data\.root: is not set, but data\.adapter is voc"
    ) as caught:
        Plan({"data": {"adapter": "voc", "labels": "csv"}})
    assert "data.labels_csv: is not set" in str(caught.value)


def test_a_stage_reads_no_key_that_it_was_not_given():
    given = StageSettings({"mining.erase_rule": "absolute", "mining.train": {"epochs": 3}})
    mining = given.section("mining", Mining)
    assert (mining.erase_rule, mining.train.epochs) == ("absolute", 3)
    with pytest.raises(AepslError, match="the key delta of Mining is not given"):
        mining.delta  # noqa: B018
    with pytest.raises(AepslError, match="the key crop of ClassifierTraining is not given"):
        mining.train.crop  # noqa: B018
    with pytest.raises(AepslError, match="dleta"):
        StageSettings({"mining.dleta": 1}).section("mining", Mining)


@pytest.mark.parametrize("name", ["voc-small", "photographs", "voc2012"])
def test_tables_of_photographs_inherit_no_number_from_the_scenes(name):
    scenes, both = (expanded({"base": preset}) for preset in ("scenes", name))
    both = both["ablations"]["tables"]
    if both["paper"]:
        assert both["paper"]["note"] != scenes["ablations"]["tables"]["paper"]["note"]
    if both["erase"]:
        inherited = scenes["ablations"]["tables"]["erase"]["rows"]
        for row, row_settings in both["erase"]["rows"].items():
            assert row_settings["override"] != inherited[row]["override"], row


@pytest.mark.parametrize("path", sorted(ROOT.glob("examples/*.yaml")), ids=lambda path: path.name)
def test_examples_say_how_to_run_them(path):
    head = path.read_text().splitlines()
    comments = "\n".join(line for line in head if line.startswith("#"))
    assert "Command:" in comments
    settings = yaml.safe_load(path.read_text())
    laid_over_another = "base" not in settings
    assert settings.get("run") == (None if laid_over_another else path.stem)
    assert len(head) - comments.count("\n") <= 45


def leaves(values, path=""):
    for name, value in values.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{path}{name}.")
        else:
            yield f"{path}{name}"


@pytest.mark.parametrize("name", ["voc-small", "photographs", "voc2012"])
def test_presets_of_photographs_choose_each_number_that_the_scenes_choose(name):
    scenes, own = (expanded({"base": preset}) for preset in ("scenes", name))
    parse(Config, own, where=name)
    for preset in (scenes, own):
        del preset["ablations"]
    assert set(leaves(scenes)) - set(leaves(own)) <= {"seed", "data.adapter", "networks.weights"}


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_valid_and_names_its_run(name):
    file = preset_files(name)[-1]
    assert file.stem == name
    assert parse(Config, expanded({"base": name}), where=name).run == name
    refuse_duplicate_keys(preset_files(name))


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_is_laid_over_the_preset_of_any_dataset(name, recipe):
    both, own, laid = (expanded({"base": base}) for base in ([name, recipe], name, recipe))
    assert parse(Config, both, where=name).run == name
    assert both.get("data") == own.get("data")
    for settings in (both, laid):
        del settings["base"], settings["ablations"]
    assert merged(both, laid) == both


def test_the_last_recipe_counts():
    files = preset_files(["photographs", "best", "paper"])
    assert [file.stem for file in files] == ["tables", "photographs", "best", "paper"]


def test_best_decides_all_that_the_paper_decides():
    paper, best = (set(leaves(expanded({"base": recipe}))) for recipe in RECIPES)
    of_vgg16 = {"networks.fc6_dilation", "networks.batch_norm", "networks.dropout"}
    of_the_papers_method = {
        "labels.background_threshold",
        "mining.success.loss",
        "segmentation.psl_after",
    }
    only_paper = {key for key in paper - best if not key.startswith("ablations.")}
    assert only_paper == of_vgg16 | of_the_papers_method


def test_a_preset_that_does_not_exist_is_named():
    with pytest.raises(AepslError, match="bset"):
        expanded({"base": ["scenes", "bset"]})


def test_a_configuration_holds_what_differs_from_its_preset():
    whole = expanded({"base": "photographs", "mining": {"train": {"epochs": 2}}})
    assert whole["mining"]["train"]["epochs"] == 2
    assert whole["mining"]["train"]["crop"] == 161
    assert expanded({"seed": 3}) == {"seed": 3}


def test_an_unknown_preset_is_refused_with_the_most_similar_one():
    with pytest.raises(
        AepslError, match=r"no preset 'photograph'\n +Hint: did you mean photographs"
    ):
        Plan({"base": "photograph"})
    with pytest.raises(AepslError, match="one of scenes, photographs"):
        Plan({"base": ["x"]})


def test_variants_cannot_start_from_another_preset():
    with pytest.raises(AepslError, match="base"):
        Plan({"variants": {"other": {"base": "scenes"}}})


def duplicates_in(tmp_path, text):
    file = tmp_path / "c.yaml"
    file.write_text(text)
    try:
        refuse_duplicate_keys([file])
    except AepslError as error:
        return [(p.where.rpartition("c.yaml:")[2], p.what) for p in error.problems]
    return []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a: 1\nb: 2\n", []),
        ("a: { x: 1 }\nb: { x: 1 }\n", []),
        ("a: 1\nb:\n  c: 1\n  c: 2\na: 3\n", [("5", "a", "1"), ("4", "c", "3")]),
        ("a: 1\na: 1\na: 1\n", [("2", "a", "1"), ("3", "a", "1")]),
        ("a: [{ x: 1, x: 2 }]\n", [("1", "x", "1")]),
        ('{"a": 1,\n"a": 2}', [("2", "a", "1")]),
        ("\ufeffa: 1\na: 2\n", [("2", "a", "1")]),
        ("a: &m { x: 1 }\nb: { <<: *m, x: 2 }\nc: *m\n", []),  # a merged key may be overridden
        ("a: &m { x: 1, x: 2 }\nb: *m\n", [("1", "x", "1")]),
        ("", []),
    ],
)
def test_keys_that_are_there_twice_are_found(tmp_path, text, found):
    expected = [(at, f"the key {key} occurs twice, first in line {n}") for at, key, n in found]
    assert duplicates_in(tmp_path, text) == expected


@pytest.mark.parametrize("file", [ROOT / "config.yaml", *ROOT.glob("examples/*.yaml")])
def test_our_own_configurations_have_no_key_twice(file):
    refuse_duplicate_keys([file])


@pytest.mark.parametrize("null", [None, "null"])
def test_null_leaves_out_a_variant_a_table_and_a_row(tmp_path, monkeypatch, null):
    monkeypatch.chdir(tmp_path)
    rows = {"one": {"label": "1"}, "two": null}
    tables = {"steps": {"title": "", "rows": rows}, "paper": null}
    run = Plan({"variants": {"a": null, "b": {}}, "ablations": {"tables": tables, "seeds": [0]}})
    assert run.names == ["main", "b"]
    assert list(run.variants) == ["main", "b", "seed0", "steps-one-seed0"]
    assert run.tables.names == ["steps"]


def test_each_setting_is_listed_with_its_origin(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("base: photographs\nrun: mine\nmining:\n  train:\n    epochs: 2 # few\n")
    read = read_configuration([file], ["seed=3"])
    config = parse(Config, expanded(read.values), where="")
    settings = listing(config, files=read.files, arguments=read.arguments)
    rows = {".".join(key): (value, about, origin) for key, value, about, origin in settings}
    assert set(rows) >= {name for name, field in knobs(Config) if field.default not in ({}, ())} - {
        "ablations.tables"
    }
    assert rows["seed"] == (3, "", "--config")
    assert rows["mining.train.epochs"] == (2, "few", f"{file}:5")
    assert rows["mining.train.crop"] == (161, "px; 321 in the paper", "preset paper")
    assert rows["mining.train.momentum"][::2] == (0.9, "default")
    assert rows["ablations.seeds"][2] == "preset photographs"


def test_the_listing_is_yaml_of_the_same_configuration():
    read = read_configuration([ROOT / "examples/photographs.yaml"])
    config = parse(Config, expanded(read.values), where="")
    text = as_yaml(listing(config, files=read.files, arguments={}))
    again = parse(Config, yaml.safe_load(text), where="")
    assert again == config
    assert max(line.index(" # ") for line in text.splitlines() if " # " in line) < 400


def test_a_setting_without_a_value_is_refused():
    with pytest.raises(AepslError, match="--config: seed is not key=value"):
        read_configuration([], ["seed"])
