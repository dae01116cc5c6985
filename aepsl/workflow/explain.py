"""The text of ``aepsl explain``: which jobs Snakemake would run, and why."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from aepsl.text import parse_json

TARGETS = ("all", "ablations")
"""Rules without a job of their own; they are not counted."""

# Snakemake gives the reason for a job as a text of fixed phrases, not as fields. These phrases are
# recognised; a reason without any of them is shown unchanged.
FOLLOWS = "Input files updated by another job"
PARAMS = re.compile(r"Params have changed.* before: (.*) now: (.*?) (?:; Software|$)")
CAUSES = {
    "Missing output files": "its results do not exist",
    "Code has changed": "its command has changed",
    "Set of input files has changed": "its set of input files has changed",
    "Updated input files": "its input has changed",
    "Software environment": "its software environment has changed",
    "Forced execution": "it is forced",
    "Incomplete": "it was interrupted",
}


def explain(events: Iterable[Mapping[str, Any]]) -> str:
    """Explain which jobs would run: first those with their own cause, then their dependents.

    Args:
        events: the records of a dry run that ``snakemake_logger_plugin_aepsl`` wrote.
    """
    jobs = [e for e in events if e.get("event") == "job_info" and e["rule_name"] not in TARGETS]
    if not jobs:
        return "Nothing would run: everything is up to date.\n"
    first: dict[str, dict[str, list[str]]] = {}
    after: dict[str, list[str]] = {}
    for job in jobs:
        reason = job["reason"]
        changes = _changes(*match.groups()) if (match := PARAMS.search(reason)) else []
        causes = [text for phrase, text in CAUSES.items() if phrase in reason]
        follows = FOLLOWS in reason and not changes
        rules = after if follows else first.setdefault("; ".join(changes + causes) or reason, {})
        rules.setdefault(job["rule_name"], []).append(about(job["wildcards"]))
    lines = [f"{len(jobs)} job{'' if len(jobs) == 1 else 's'} would run."]
    for cause, rules in first.items():
        lines += ["", f"{cause}:", *_listed(rules)]
    if after:
        lines += ["", "and what follows from these:", *_listed(after)]
    return "\n".join(lines) + "\n"


def _changes(before: str, now: str) -> list[str]:
    """Return how a job's params, ``'a','b'``, differ from those of its last execution."""
    old, new = dict(_settings(before)), dict(_settings(now))
    changes = []
    for key in sorted(key for key in old | new if old.get(key) != new.get(key)):
        was, is_now = json.dumps(old.get(key)), json.dumps(new.get(key))
        if key == "code":
            changes.append("its code has changed")
        elif "sha256:" in is_now:  # a digest of files
            what = "a file from outside the run" if key == "content" else f"what {key} points to"
            changes.append(f"{what} has changed")
        else:
            changes.append(f"{key}: {was} -> {is_now}")
    return changes or ["its settings have changed"]


def _settings(params: str) -> Iterator[tuple[str, Any]]:
    """Yield the dotted keys of the configuration among ``params``, and the digest of the code."""
    texts: list[Any] = []
    with suppress(SyntaxError, ValueError):  # "<nothing exclusive>"
        texts = ast.literal_eval(f"[{params}]")
    for text in map(str, texts):
        if text.startswith("{"):
            yield from _dotted(parse_json(text, "params"))
        elif re.fullmatch(r"[0-9a-f]{16}", text):
            yield "code", text


def _dotted(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, inner in value.items():
        if isinstance(inner, Mapping) and inner:
            yield from _dotted(inner, f"{prefix}{key}.")
        else:
            yield prefix + key, inner


def about(wildcards: Mapping[str, str]) -> str:
    """Return a job's wildcards as readable text: ``main, step 2``."""
    named = {name: value for name, value in wildcards.items() if name != "shard"}
    bare = ("name", "role", "target")
    return ", ".join(v if name in bare else f"{name} {v}" for name, v in named.items())


def _listed(rules: Mapping[str, list[str]]) -> Iterator[str]:
    for rule, abouts in rules.items():
        named = list(dict.fromkeys(filter(None, abouts)))
        shown = "; ".join(named[:6]) + (f"; {len(named) - 6} more" if len(named) > 6 else "")
        yield f"  {rule}" + (f" ({shown})" if shown else "")
