"""The jobs of a run, and which of them a change would rerun: computed from the plan alone.

Snakemake does the same in a dry run, which takes a second; test_matrix.py compares the two.
"""

import os
import re
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace

import yaml
from conftest import ROOT

from aepsl.config.presets import merged
from aepsl.workflow.inputs import MAIN
from aepsl.workflow.plan import Plan
from aepsl.workflow.stages import STAGES


@contextmanager
def inside(folder):
    """Make a folder the current one, since the paths of a configuration are relative to it."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@lru_cache(maxsize=8)
def _read(path):
    return yaml.safe_load(path.read_text())


def plan_of(folder, *changes):
    """Return the plan of a project, its mini.yaml and ``changes`` laid over config.yaml."""
    config = {}
    for values in (_read(ROOT / "config.yaml"), _read(folder / "mini.yaml"), *changes):
        config = merged(config, values)
    with inside(folder):
        plan = Plan(config)
    plan.project = folder
    return plan


def _patterns(plan):
    """Return the pattern of each file that a stage writes."""
    for stage in STAGES:
        for template in plan.paths.outputs(stage).values():
            seen, parts = set(), []
            for part in re.split(r"({\w+})", template):
                name = part[1:-1]
                if part.startswith("{") and name in seen:
                    parts.append(f"(?P={name})")
                elif part.startswith("{"):
                    seen.add(name)
                    parts.append(f"(?P<{name}>[^/]+)")
                else:
                    parts.append(re.escape(part))
            yield stage, re.compile("".join(parts))


def _maker(patterns, path):
    """Return the stage that writes a file, and the wildcards of the job."""
    for stage, pattern in patterns:
        if found := pattern.fullmatch(path):
            return stage, tuple(sorted(found.groupdict().items()))
    raise LookupError(path)


def _job(plan, stage, params, w):
    """Return what Snakemake remembers of a job: its inputs and its params."""
    inputs = {name: read(w) for name, read in plan.inputs(stage).items()}
    if stage == "summarise":
        inputs = {"scores": plan.tables.score_files()}
    params = {k: v(w) if callable(v) else v for k, v in params.items()}
    match stage:  # what the rules add
        case "score":
            params["about"] = plan.tables.score_options(w)
        case "predict_shown":
            params["images"] = plan.config.report.predictions
        case "report":
            params |= {"name": plan.config.run, "variant": MAIN, "seed": plan.config.seed}
            params |= {"benchmarks": plan.paths.benchmarks, "images": plan.config.report.images}
    return frozenset(path for paths in inputs.values() for path in paths), params


@lru_cache(maxsize=8)
def jobs_of(plan):
    """Return the jobs of a plan's default target: ``{(stage, wildcards): (inputs, params)}``."""
    with inside(plan.project):
        return _jobs(plan)


def _jobs(plan):
    patterns = list(_patterns(plan))
    params = {stage: plan.inputs.params(stage) for stage in STAGES}
    outputs = plan.paths.outputs
    waiting = [outputs("summarise")["scores"], outputs("report")["folder"]]
    waiting += [outputs("export_masks")["folder"].format(name=n) for n in plan.tables.masks()]
    jobs = {}
    while waiting:
        key = _maker(patterns, waiting.pop())
        if key not in jobs:
            stage, wildcards = key
            jobs[key] = _job(plan, stage, params[stage], SimpleNamespace(**dict(wildcards)))
            waiting += jobs[key][0]
    return jobs


def rerun(before, after):
    """Return the jobs of the plan ``after`` that run if those of ``before`` have run."""
    done, jobs = jobs_of(before), jobs_of(after)
    same_run = before.paths.folder == after.paths.folder
    patterns = list(_patterns(after))
    again = {key for key, job in jobs.items() if not same_run or done.get(key) != job}
    while True:
        more = {
            key
            for key, (inputs, _) in jobs.items()
            if key not in again and any(_maker(patterns, path) in again for path in inputs)
        }
        if not more:
            return again
        again |= more
