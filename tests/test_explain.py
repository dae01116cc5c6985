"""Snakemake's reasons in words."""

from aepsl.workflow.explain import explain

PARAMS = "Params have changed since last execution: Union of exclusive params before and now"
PARAMS += " across all output: before: "

DRY_RUN = f"""\
Building DAG of jobs...
Job stats:
job                   count
total                    21


[Mon Nov 23 00:21:11 2026]
rule erase_regions:
    input: results/scenes/cams/main/step1/0.json
    output: results/scenes/regions/main/step1/0.h5
    jobid: 5
    reason: {PARAMS}'{{"mining.delta": 0.7, "mining.erase_rule": "absolute"}}' now: \
'{{"mining.delta": 0.6, "mining.erase_rule": "absolute"}}'
    wildcards: name=main, step=1, shard=0
[Mon Nov 23 00:21:11 2026]
rule train_classifier:
    jobid: 12
    reason: Input files updated by another job: results/scenes/regions/main/step1/0.json
    wildcards: name=main, step=2
localrule score:
    jobid: 2
    reason: Missing output files: x.json; Input files updated by another job: y.json
    wildcards: name=main, target=regions-step1
rule index_images:
    reason: {PARAMS}'{{"data.root": "sha256:11"}}', '0123456789abcdef' now: \
'{{"data.root": "sha256:22"}}', 'fedcba9876543210'
    wildcards: part=train, name=main
rule train_segmentation:
    reason: Missing output files: model.safetensors
    wildcards: name=main, round=0
rule all:
    reason: Input files updated by another job: results/scenes/scores.json
"""


def test_a_dry_run_in_words():
    assert (
        explain(DRY_RUN)
        == """\
5 jobs would run.

mining.delta: 0.7 -> 0.6:
  erase_regions (main, step 1)

what data.root points to has changed; the code behind it has changed:
  index_images (train, main)

its results are not there:
  train_segmentation (main, round 0)

and what follows from these:
  train_classifier (main, step 2)
  score (main, regions-step1)
"""
    )


def test_nothing_to_do():
    said = "Building DAG of jobs...\nNothing to be done (all requested files are present).\n"
    assert explain(said) == "Nothing would run: everything is up to date.\n"


def test_many_jobs_are_counted():
    text = "".join(
        f"rule predict:\n    reason: Missing output files: x\n    wildcards: name=v{n}, shard=0\n"
        for n in range(9)
    )
    assert "predict (v0; v1; v2; v3; v4; v5; 3 more)" in explain(text)
