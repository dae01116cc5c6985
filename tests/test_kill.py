"""The whole chain, killed again and again, ends in the bytes of a run that nobody disturbed."""

import hashlib
import os
import random
import shutil
import signal
import subprocess
import time

import pytest
from conftest import new_project, run_snakemake

UNLIKE = ("logs", "benchmarks", "work", ".snakemake")
"""What may differ: times and messages."""

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


def killed_run(folder, arguments, *, kills, moments):
    """Run to the end with ``kills`` kills on the way; return how many it took."""
    done = 0
    while done < kills:
        seconds, way = moments.uniform(2, 9), moments.choice(WAYS)
        if not attempt(folder, arguments, seconds=seconds, way=way):
            return done
        done += 1
        for lock in (folder / ".snakemake" / "locks").glob("*"):
            lock.unlink()  # --unlock, without its three seconds
    # What was left alone may still hold a training: the same command, until it is free.
    for _ in range(10):
        if run_snakemake(folder, *arguments, check=False).returncode == 0:
            break
        run_snakemake(folder, "--unlock", *arguments)
    return done


def disturb(expected, tmp_path, *, arguments, files, kills, seed):
    """Run project after project until so many kills have hit, and compare the bytes of each."""
    moments, hit, number = random.Random(seed), 0, 0
    while hit < kills:
        folder = tmp_path / f"project{number}"
        folder.mkdir()
        new_project(folder)
        for name, text in files.items():
            (folder / name).write_text(text)
        hit += killed_run(folder, arguments, kills=kills - hit, moments=moments)
        run_snakemake(folder, *arguments)
        assert digests(folder) == expected
        run_snakemake(folder, "-n", *arguments)
        subprocess.run(["aepsl", "verify", "results/mini"], cwd=folder, check=True)
        shutil.rmtree(folder)
        number += 1
    return hit


def test_thirty_kills_change_no_byte(finished_miniature, tmp_path):
    files = {"mini.yaml": (finished_miniature / "mini.yaml").read_text()}
    expected = digests(finished_miniature)
    arguments = ("--configfile", "mini.yaml")
    hit = disturb(expected, tmp_path, arguments=arguments, files=files, kills=30, seed=1)
    assert hit >= 30


LONGER = """\
mining: { train: { epochs: 8 } }
segmentation: { train: { epochs: 8 } }
runtime: { workers: 1 }
"""


@pytest.mark.slow
def test_two_hundred_kills_change_no_byte(finished_miniature, tmp_path):
    files = {"mini.yaml": (finished_miniature / "mini.yaml").read_text(), "longer.yaml": LONGER}
    undisturbed = tmp_path / "undisturbed"
    undisturbed.mkdir()
    new_project(undisturbed)
    for name, text in files.items():
        (undisturbed / name).write_text(text)
    arguments = ("--configfile", "mini.yaml", "longer.yaml")
    run_snakemake(undisturbed, *arguments)
    expected = digests(undisturbed)
    hit = disturb(expected, tmp_path, arguments=arguments, files=files, kills=200, seed=2)
    assert hit >= 200
