"""What a dry run of Snakemake says, in words: which stages would run, and why."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

LATER = "Input files updated by another job"
"""Snakemake's reason for what follows from another job."""

IN_WORDS = (
    ("Missing output files", "its results are not there"),
    ("Code has changed", "its command has changed"),
    ("Set of input files has changed", "it reads other files than before"),
    ("Updated input files", "what it reads has changed"),
    ("Software environment", "its software environment has changed"),
    ("Forced execution", "it is forced"),
    ("Incomplete", "it was interrupted"),
)
"""Beginnings of Snakemake's other reasons."""

CODE = re.compile(r"[0-9a-f]{16}")
"""A digest of code, as the params of a rule hold it."""


@dataclass
class Job:
    """One job of a dry run."""

    rule: str
    facts: dict[str, str] = field(default_factory=dict)

    @property
    def reason(self) -> str:
        """Why Snakemake would run it."""
        return self.facts.get("reason", "")

    @property
    def about(self) -> str:
        """The wildcards, as people say them: ``main, step 2``."""
        parts = [
            part.partition("=") for part in self.facts.get("wildcards", "").split(", ") if part
        ]
        return ", ".join(
            value if name in ("name", "target", "part") else f"{name} {value}"
            for name, _, value in parts
            if name != "shard"
        )


def jobs_in(text: str) -> list[Job]:
    """Return the jobs in what ``snakemake -n`` prints."""
    jobs: list[Job] = []
    for line in text.splitlines():
        if found := re.fullmatch(r"(?:local)?(?:rule|checkpoint) (\w+):", line):
            jobs.append(Job(found[1]))
        elif jobs and (found := re.fullmatch(r"    (\w+): (.*)", line)):
            jobs[-1].facts[found[1]] = found[2]
    return jobs


def _params(text: str) -> list[str]:
    try:
        values = ast.literal_eval(f"[{text}]")
    except (ValueError, SyntaxError):
        return [text]
    return [str(value) for value in values]


def _keys(params: list[str]) -> dict[str, Any]:
    """Return the configuration among a rule's params, dotted."""
    found: dict[str, Any] = {}
    for text in params:
        try:
            value = json.loads(text)
        except ValueError:
            continue
        if isinstance(value, Mapping):
            found |= dict(_dotted(value))
    return found


def _dotted(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, part in value.items():
        if isinstance(part, Mapping) and part:
            yield from _dotted(part, f"{prefix}{key}.")
        else:
            yield prefix + key, part


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return "other content" if text.startswith('"sha256:') else text


def _changes(reason: str) -> list[str]:
    """Return what has changed among a rule's params, in words."""
    before_text, _, now_text = reason.partition("before: ")[2].partition(" now: ")
    before, now = _params(before_text.strip()), _params(now_text.strip())
    old, new = _keys(before), _keys(now)
    words = []
    for key in sorted(set(old) | set(new)):
        if old.get(key) != new.get(key):
            if _shown(new.get(key)) == "other content":
                words.append(f"what {key} points to has changed")
            else:
                words.append(f"{key}: {_shown(old.get(key))} -> {_shown(new.get(key))}")
    if any(CODE.fullmatch(text) for text in now):
        words.append("the code behind it has changed")
    return words or ["its settings have changed"]


def why(reason: str) -> list[str]:
    """Return Snakemake's reason for a job in words; empty if it only follows from other jobs."""
    words: list[str] = []
    if "Params have changed" in reason:
        words += _changes(reason)
    for beginning, meaning in IN_WORDS:
        if beginning in reason:
            words.append(meaning)
    return words


def explain(text: str) -> str:
    """Return what a dry run means.

    Args:
        text: all that ``snakemake -n`` prints.
    """
    jobs = [job for job in jobs_in(text) if job.rule != "all"]
    if not jobs:
        return "Nothing would run: everything is up to date.\n"
    first: dict[tuple[str, ...], dict[str, list[str]]] = {}
    after: dict[str, list[str]] = {}
    for job in jobs:
        words = why(job.reason)
        if LATER in job.reason and set(words) <= {meaning for _, meaning in IN_WORDS}:
            after.setdefault(job.rule, []).append(job.about)
        else:
            first.setdefault(tuple(words), {}).setdefault(job.rule, []).append(job.about)
    lines = [f"{len(jobs)} jobs would run."]
    for reasons, rules in first.items():
        lines += ["", "; ".join(reasons) + ":", *_listed(rules)]
    if after:
        lines += ["", "and what follows from these:", *_listed(after)]
    return "\n".join(lines) + "\n"


def _listed(rules: Mapping[str, list[str]]) -> Iterator[str]:
    for rule, abouts in rules.items():
        named = list(dict.fromkeys(filter(None, abouts)))
        shown = "; ".join(named[:6]) + (f"; {len(named) - 6} more" if len(named) > 6 else "")
        yield f"  {rule}" + (f" ({shown})" if shown else "")
