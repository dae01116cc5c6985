"""The rules and the stages agree: the command of a rule has the options that its stage has."""

import inspect
import re
from importlib import import_module

import pytest
from conftest import ROOT

from aepsl.workflow.plan import Plan
from aepsl.workflow.stages import STAGES

TEXT = "\n".join(path.read_text() for path in sorted((ROOT / "rules").glob("*.smk")))
RULES = dict(re.findall(r"^(?:rule|checkpoint) (\w+):\n(.*?)(?=^\w|\Z)", TEXT, re.M | re.S))

OF_EVERY_JOB = {"code", "log", "cache", "cache-gb"}
BY_TABLES = {"target", "seed", "step"}
"""Options of score that ``tables.score_options`` writes."""
OF_THE_MACHINE = {"device", "threads", "workers", "training-gpus"}
"""Options that every rule passes on from the section runtime, where its stage has them."""


class Wildcards:
    """The wildcards of any job."""

    name, step, round, shard, role, target = "main", "1", "1", "0", "train", "labels"


def options_of(rule):
    """Return the options in the command of a rule, and those that its resources add."""
    body = RULES[rule]
    command = body.partition("    shell:\n")[2]
    visible = set(re.findall(r"--([\w-]+)", command)) - {"log", "code"}
    resources = Plan({}).resources
    call = re.search(r"\*\*(resources.*?)\)?,?\n    \w", body, re.S)[1]
    made = eval(
        call if call.count("(") == call.count(")") else call + ")", {"resources": resources}
    )
    return visible, set(re.findall(r"--([\w-]+)", made["options"](Wildcards)))


@pytest.mark.parametrize("rule", STAGES)
def test_a_command_has_the_options_of_its_stage(rule):
    name = STAGES[rule].module or rule
    stage = getattr(import_module(f"aepsl.stages.{name}"), name)
    known = {n.replace("_", "-"): p for n, p in inspect.signature(stage).parameters.items()}
    visible, added = options_of(rule)
    if rule == "score":
        visible |= BY_TABLES
    assert not visible & added
    assert visible | added <= set(known) | OF_EVERY_JOB
    needed = {n for n, p in known.items() if p.default is p.empty and "Argument" not in str(p)}
    assert needed <= visible | added
    assert set(known) & OF_THE_MACHINE <= added


@pytest.mark.parametrize("rule", STAGES)
def test_a_rule_uses_every_input_of_its_stage(rule):
    used = set(re.findall(r"\{input\.(\w+)", RULES[rule]))
    assert set(STAGES[rule].reads) <= used | {"texts", "curves"}
    assert used <= set(STAGES[rule].reads) | (
        {"texts", "curves"} if rule == "collect_tables" else set()
    )


@pytest.mark.parametrize("rule", STAGES)
def test_every_stage_has_a_rule_with_its_name_in_each_line(rule):
    named = re.findall(r"(?:inputs|paths\.\w+|inputs\.params)\(\"(\w+)\"", RULES[rule])
    assert set(named) <= {rule, *({"tabulate"} if rule == "collect_tables" else ())}
    assert f"aepsl {(STAGES[rule].module or rule).replace('_', '-')} " in RULES[rule]
