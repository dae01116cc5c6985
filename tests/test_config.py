import json
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel, ValidationError

from aepsl.config.files import refuse_duplicate_keys
from aepsl.config.mining import Mining
from aepsl.config.networks import Networks, Training
from aepsl.config.root import Config
from aepsl.config.sections import StageSettings, parse
from aepsl.errors import AepslError
from aepsl.workflow.plan import Plan
from aepsl.workflow.variants import merged

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


@pytest.mark.parametrize(
    ("values", "message", "hint"),
    [
        ({"mining": {"dleta": 0.5}}, "mining.dleta: unknown key", "did you mean delta?"),
        ({"minnig": {}}, "minnig: unknown key", "did you mean mining?"),
        ({"seed": "many"}, "seed: Input should be a valid integer", "config.schema.json"),
        ({"mining": {"delta": -1}}, "mining.delta: Input should be greater than 0", "see"),
        (
            {"data": {"labels": "yaml"}},
            "data.labels: Input should be 'xml' or 'csv'",
            "see",
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
    scenes = yaml.safe_load((ROOT / "config.yaml").read_text())
    own = yaml.safe_load((ROOT / "configs" / f"{name}.yaml").read_text())
    both = merged(scenes, own)["ablations"]["tables"]
    if both["paper"]:
        assert both["paper"]["note"] != scenes["ablations"]["tables"]["paper"]["note"]
    if both["erase"]:
        inherited = scenes["ablations"]["tables"]["erase"]["rows"]
        for row, row_settings in both["erase"]["rows"].items():
            assert row_settings["override"] != inherited[row]["override"], row


@pytest.mark.parametrize("path", sorted(ROOT.glob("configs/*.yaml")), ids=lambda path: path.name)
def test_configs_say_how_to_run_them(path):
    head = path.read_text().splitlines()
    comments = "\n".join(line for line in head if line.startswith("#"))
    assert "Command:" in comments
    assert yaml.safe_load(path.read_text())["run"] == path.stem


def leaves(values, path=""):
    for name, value in values.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{path}{name}.")
        else:
            yield f"{path}{name}"


@pytest.mark.parametrize("name", ["voc-small", "photographs", "voc2012"])
def test_photographs_inherit_no_number_from_the_scenes(name):
    scenes = yaml.safe_load((ROOT / "config.yaml").read_text())
    own = yaml.safe_load((ROOT / "configs" / f"{name}.yaml").read_text())
    parse(Config, merged(scenes, own), where=name)
    del scenes["ablations"]
    assert set(leaves(scenes)) - set(leaves(own)) <= {"seed"}


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
        ("a: &m { x: *m }\n", []),
        ("", []),
    ],
)
def test_keys_that_are_there_twice_are_found(tmp_path, text, found):
    expected = [(at, f"the key {key} occurs twice, first in line {n}") for at, key, n in found]
    assert duplicates_in(tmp_path, text) == expected


@pytest.mark.parametrize("file", [ROOT / "config.yaml", *ROOT.glob("configs/*.yaml")])
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
