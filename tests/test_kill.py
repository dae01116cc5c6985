"""The workflow, killed repeatedly, gives results bit-identical to an undisturbed run."""

import hashlib
import os
import random
import shutil
import signal
import subprocess
import time
from collections import Counter

import dry_run
import pytest
from conftest import new_project, run_snakemake

UNLIKE = ("logs", "locks", "benchmarks", "work", ".snakemake")
"""Folders whose files may differ: times and messages."""

TIMES = ("times.js", "report.sha256")
"""Files with the times of the jobs, and their checksum."""

WAYS = ("the group, SIGKILL", "the group, SIGTERM", "the group, SIGINT", "Snakemake alone, SIGKILL")


def digests(folder):
    """Return the digest of every file of the results."""
    results = folder / "results"
    return {
        path.relative_to(results).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(results.rglob("*"))
        if path.is_file()
        and path.relative_to(results).parts[1] not in UNLIKE
        and not path.name.startswith(".snakemake")
        and path.name not in TIMES
    }


def alive(group):
    """Return whether a process of the group lives."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def attempt(folder, arguments, *, seconds, way):
    """Run Snakemake and kill it after so many seconds; return whether it was still running."""
    process = subprocess.Popen(
        ["snakemake", "--cores", "2", *arguments],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        process.wait(timeout=seconds)
        return False
    except subprocess.TimeoutExpired:
        pass
    if way == "Snakemake alone, SIGKILL":
        process.kill()
        process.wait()
        return True
    number = {"SIGKILL": signal.SIGKILL, "SIGTERM": signal.SIGTERM, "SIGINT": signal.SIGINT}
    os.killpg(process.pid, number[way.rpartition(" ")[2]])
    try:
        process.wait(timeout=8)
    except subprocess.TimeoutExpired:  # Snakemake can hang on SIGTERM, when its jobs have ended
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    deadline = time.monotonic() + 30
    while alive(process.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    return True


class Blows:
    """When and how to kill, drawn; of every four blows that hit, one is of each way."""

    def __init__(self, seed):
        self._draw = random.Random(seed)
        self._ways = []
        self.hit = Counter()

    def strike(self, folder, arguments):
        """Run Snakemake and kill it at some moment; return whether it was still running."""
        self._ways = self._ways or self._draw.sample(WAYS, len(WAYS))
        way = self._ways[-1]
        if not attempt(folder, arguments, seconds=self._draw.uniform(2, 9), way=way):
            return False
        self._ways.pop()
        self.hit[way] += 1
        return True


def killed_run(folder, arguments, *, kills, blows):
    """Run to the end, with kills on the way until there were so many in all."""
    while blows.hit.total() < kills and blows.strike(folder, arguments):
        for lock in (folder / ".snakemake" / "locks").glob("*"):
            lock.unlink()  # --unlock, without its three seconds
    # An orphaned job may still hold a training: the same command, until it is free.
    for _ in range(10):
        result = run_snakemake(folder, *arguments, check=False)
        if result.returncode == 0:
            return
        run_snakemake(folder, "--unlock", *arguments)
    raise AssertionError(result.stdout + result.stderr)


def disturb(expected, tmp_path, *, arguments, files, kills, seed):
    """Run projects until ``kills`` kills have happened, and compare the bytes of each."""
    blows, number = Blows(seed), 0
    while blows.hit.total() < kills:
        folder = tmp_path / f"project{number}"
        folder.mkdir()
        new_project(folder)
        for name, text in files.items():
            (folder / name).write_text(text)
        killed_run(folder, arguments, kills=kills, blows=blows)
        assert digests(folder) == expected
        plan = dry_run.plan(folder, *arguments)
        assert (plan.status, plan) == (0, {}), plan.text
        subprocess.run(["aepsl", "verify", "results/mini"], cwd=folder, check=True)
        shutil.rmtree(folder)
        number += 1
    assert blows.hit.total() == kills
    assert set(blows.hit) == set(WAYS)


@pytest.mark.long
def test_kills_change_no_byte(finished_miniature, tmp_path):
    files = {"mini.yaml": (finished_miniature / "mini.yaml").read_text()}
    arguments = ("--configfile", "mini.yaml")
    expected = digests(finished_miniature)
    disturb(expected, tmp_path, arguments=arguments, files=files, kills=30, seed=30)


LONGER = """\
mining: { train: { epochs: 8 } }
segmentation: { train: { epochs: 8 } }
runtime: { workers: 1 }
"""


KILLS = int(os.environ.get("AEPSL_KILLS", "30"))


@pytest.mark.parametrize(
    "kills",
    [
        pytest.param(len(WAYS), id="one of each way", marks=pytest.mark.slow),
        pytest.param(KILLS, id="many", marks=pytest.mark.long),
    ],
)
def test_kills_in_the_middle_of_trainings_change_no_byte(finished_miniature, tmp_path, kills):
    files = {"mini.yaml": (finished_miniature / "mini.yaml").read_text(), "longer.yaml": LONGER}
    undisturbed = tmp_path / "undisturbed"
    undisturbed.mkdir()
    new_project(undisturbed)
    for name, text in files.items():
        (undisturbed / name).write_text(text)
    arguments = ("--configfile", "mini.yaml", "longer.yaml")
    run_snakemake(undisturbed, *arguments)
    expected = digests(undisturbed)
    disturb(expected, tmp_path, arguments=arguments, files=files, kills=kills, seed=2)
