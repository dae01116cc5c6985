"""Explanations of reruns: from literal events, and from real dry runs of Snakemake."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT, new_project, run_snakemake

from aepsl.workflow.explain import explain

UP_TO_DATE = "Nothing would run: everything is up to date.\n"
PARAMS = "Params have changed since last execution: Union of exclusive params before and now"
PARAMS += " across all output: before: {} now: {} "


def job(rule, reason, **wildcards):
    return {"event": "job_info", "rule_name": rule, "reason": reason, "wildcards": wildcards}


def test_causes_come_first_then_what_follows():
    old, new = '\'{"mining.delta": 0.7, "networks": {"width": 1}}\'', "'{\"mining.delta\": 0.6}'"
    content = PARAMS.format(
        "'{\"data.root\": \"sha256:11\"}','0123456789abcdef'",
        "'fedcba9876543210','{\"data.root\": \"sha256:22\"}'",
    )
    events = [
        {"message": "Building DAG of jobs..."},
        {"event": "run_info", "stats": {"total": 21}},
        job("erase_regions", PARAMS.format(old, new), name="main", step="1", shard="0"),
        job("erase_regions", PARAMS.format(old, new), name="main", step="1", shard="1"),
        job("train_classifier", "Input files updated by another job: a", name="main", step="2"),
        job(
            "score",
            "Missing output files: x.json; Input files updated by another job: y.json",
            name="main",
            target="regions-step1",
        ),
        job("index_images", content, role="train", name="main"),
        job("train_segmentation", "Missing output files: m", name="main", round="0"),
        job("all", "Input files updated by another job: results/scenes/scores.json"),
    ]
    assert (
        explain(events)
        == """\
6 jobs would run.

mining.delta: 0.7 -> 0.6; networks.width: 1 -> null:
  erase_regions (main, step 1)

its code has changed; what data.root points to has changed:
  index_images (train, main)

its results do not exist:
  train_segmentation (main, round 0)

and what follows from these:
  train_classifier (main, step 2)
  score (main, regions-step1)
"""
    )


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        (PARAMS.format("<nothing exclusive>", "3"), "its settings have changed"),
        (
            PARAMS.format('\'{"a": "x ;y"}\'', "<nothing exclusive>")
            + "; Software environment definition has changed since last execution",
            'a: "x ;y" -> null; its software environment has changed',
        ),
        (
            "Input files updated by another job: b; "
            + PARAMS.format("'{\"a\": 1}'", "'{\"a\": 2}'"),
            "a: 1 -> 2",
        ),
        (
            PARAMS.format('\'{"content": "sha256:1"}\'', '\'{"content": "sha256:2"}\''),
            "a file from outside the run has changed",
        ),
        ("A reason that Snakemake may have one day", "A reason that Snakemake may have one day"),
    ],
)
def test_reasons(reason, cause):
    assert explain([job("score", reason)]) == f"1 job would run.\n\n{cause}:\n  score\n"


def test_rules_without_a_job_are_not_counted():
    targets = [job(name, "Forced execution") for name in ("all", "ablations")]
    assert explain(targets) == UP_TO_DATE
    text = explain([*targets, job("report", "Forced execution")])
    assert text == "1 job would run.\n\nit is forced:\n  report\n"


def test_many_jobs_are_counted():
    jobs = [job("predict", "Missing output files: x", name=f"v{n}", shard="0") for n in range(9)]
    assert "predict (v0; v1; v2; v3; v4; v5; 3 more)" in explain(jobs)


@pytest.fixture(scope="module")
def finished(finished_miniature, tmp_path_factory):
    """Return a copy of the finished miniature; each test puts back what it changes."""
    return shutil.copytree(finished_miniature, tmp_path_factory.mktemp("explain") / "project")


def explained(folder, *arguments, path=None):
    """Return what ``aepsl explain`` prints, with packages of ``path`` before others."""
    env = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, map(str, [path, ROOT])))}
    return subprocess.run(
        ["aepsl", "explain", "--configfile", "mini.yaml", *arguments],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def causes_of(text):
    """Return each cause with the names of its rules, and the rules that follow from them."""
    blocks = {}
    for block in text.split("\n\n")[1:]:
        cause, *lines = block.splitlines()
        blocks[cause.removesuffix(":")] = {line.split()[0] for line in lines}
    return blocks, blocks.pop("and what follows from these", set())


@pytest.mark.slow
def test_nothing_to_do(finished):
    assert explained(finished) == UP_TO_DATE


def test_a_changed_key(finished):
    text = explained(finished, "--config", 'mining={"delta": 0.4}')
    causes, follows = causes_of(text)
    assert causes == {"mining.delta: 0.7 -> 0.4": {"erase_regions"}}
    assert {"train_classifier", "score", "report"} <= follows
    assert "\n  erase_regions (main, step 1)\n" in text
    assert "\n  train_classifier (main, step 2)\n" in text  # step 1's stays


@pytest.mark.slow
def test_changed_code(finished, tmp_path):
    shutil.copytree(ROOT / "aepsl", tmp_path / "aepsl")
    new_project(tmp_path)
    with (tmp_path / "aepsl/stages/erase_regions.py").open("a") as file:
        file.write("CHANGED = True\n")
    causes, follows = causes_of(explained(finished, path=tmp_path))
    assert causes == {"its code has changed": {"erase_regions"}}
    assert "assemble_labels" in follows


@pytest.mark.slow
def test_a_missing_output(finished, tmp_path):
    report = finished / "results/mini/report"
    shutil.move(report, tmp_path)
    text = explained(finished)
    shutil.move(tmp_path / "report", report)
    assert text == "1 job would run.\n\nits results do not exist:\n  report\n"


@pytest.mark.slow
def test_a_changed_input(finished):
    path = finished / "results/mini/scores/main/labels.json"
    before, status = path.read_bytes(), path.stat()
    path.write_bytes(before.replace(b"}", b" }"))
    causes, _ = causes_of(explained(finished))
    path.write_bytes(before)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert "summarise" in causes["its input has changed"]


@pytest.mark.slow
def test_a_forced_rule(finished):
    causes, follows = causes_of(explained(finished, "--forcerun", "refine_predictions"))
    assert causes == {"it is forced": {"refine_predictions"}}
    assert "summarise" in follows
    assert "predict" not in follows


LOUD = """\
import sys
from snakemake_interface_logger_plugins.base import LogHandlerBase

class LogHandler(LogHandlerBase):
    writes_to_stream = has_filter = has_formatter = True
    writes_to_file = needs_rulegraph = False

    def emit(self, record):
        print("LOUD", record.getMessage())
"""


@pytest.mark.slow
def test_quiet_and_another_logger_in_the_profile_change_nothing(finished, tmp_path):
    plugin = tmp_path / "snakemake_logger_plugin_loud"
    plugin.mkdir()
    (plugin / "__init__.py").write_text(LOUD)
    profile = tmp_path / "profile"
    profile.mkdir()
    (profile / "config.yaml").write_text("logger: [loud]\nquiet: [all]\n")
    arguments = ("--profile", str(profile), "--forcerun", "report")
    assert explained(finished, *arguments, path=tmp_path) == (
        "1 job would run.\n\nit is forced:\n  report\n"
    )


def test_the_plugin_forwards_what_happens_in_a_run(tmp_path):
    (tmp_path / "Snakefile").write_text(
        'rule all:\n    input: "b.txt"\n'
        'rule b:\n    output: "{name}.txt"\n    shell: "touch {output}"\n'
    )
    result = run_snakemake(
        tmp_path, "--quiet", "all", "--logger", "aepsl", "--logger-aepsl-events", "events.jsonl"
    )
    lines = Path(tmp_path, "events.jsonl").read_text().splitlines()
    records = [record for record in map(json.loads, lines) if "event" in record]
    by_event = {}
    for record in records:
        by_event.setdefault(record["event"], []).append(record)
    jobs = {record["jobid"]: record["rule_name"] for record in by_event["job_info"]}
    assert sorted(jobs.values()) == ["all", "b"]
    assert [jobs[record["job_id"]] for record in by_event["job_finished"]] == ["b", "all"]
    assert [(r["done"], r["total"]) for r in by_event["progress"]] == [(1, 2), (2, 2)]
    assert by_event["run_info"][0]["stats"] == {"all": 1, "b": 1, "total": 2}
    assert "rule b" not in result.stdout + result.stderr
