"""The miniature on a real SLURM: the same command, the same bytes."""

import json

import pytest
from conftest import run_snakemake
from in_process import aepsl
from slurm_runs import Run, Watch, locally, project
from test_kill import digests

pytestmark = pytest.mark.slurm

SHARDS = {"shards": 2, "cache": None}


def test_the_miniature_on_a_cluster_has_the_bytes_of_the_one_here(fresh, tmp_path):
    here, there, watch = project(tmp_path / "here", runtime=SHARDS), fresh(runtime=SHARDS), Watch()
    output = Run(there, "--configfile", "mini.yaml", watch=watch).wait()
    locally(here)
    assert digests(there) == digests(here)
    # Two GPUs, two GPU jobs at a time, none on another's.
    with_gpus = [sorted(gpu for _, gpu in now.values() if gpu) for now in watch.seen]
    assert max(map(len, with_gpus)) == 2
    assert all(len(set(gpus)) == len(gpus) for gpus in with_gpus)
    about = json.loads(aepsl(there, "status", "mini.yaml", "--json").stdout)
    assert about["state"] == "done"
    assert about["jobs"]["done"] == about["jobs"]["planned"] > 10
    assert "train classifier (main, step 1): done in " in output
    assert "100%" in output
    assert "Submitted array job" in output
    again = Run(there, "--configfile", "mini.yaml").wait()
    assert "Nothing to be done" in again
    assert "Nothing to be done" in run_snakemake(there, "--configfile", "mini.yaml").stderr
