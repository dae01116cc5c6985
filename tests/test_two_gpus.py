"""The real Snakemake with two simulated GPUs: device files in a private /dev."""

import fcntl
import os
import re
import struct
import subprocess
import time

import pytest
import yaml
from conftest import ROOT, new_project

NEW_DEV = """
mkdir -p "$FAKE"
mount -t tmpfs tmpfs "$FAKE"
for name in null zero full random urandom tty; do cp -a /dev/$name "$FAKE"; done
mkdir "$FAKE/shm" "$FAKE/pts"
mount --bind /dev/shm "$FAKE/shm"
mount --bind /dev/pts "$FAKE/pts"
ln -s /proc/self/fd "$FAKE/fd"
touch "$FAKE/nvidia0" "$FAKE/nvidia1"
mount --bind "$FAKE" /dev
exec "$@"
"""
"""In a mount namespace of its own."""

COMMAND = ("unshare", "--mount", "bash", "-euc", NEW_DEV, "-")
SNAKEMAKE = ("snakemake", "--cores", "4", "--configfile", "mini.yaml")


@pytest.fixture
def two_gpus(tmp_path):
    """Return a function that starts a command where there are two GPUs."""
    environment = os.environ | {"FAKE": str(tmp_path / "dev"), "TMPDIR": str(tmp_path)}
    environment.pop("CUDA_VISIBLE_DEVICES", None)
    if os.geteuid() or subprocess.run([*COMMAND, "true"], env=environment, check=False).returncode:
        pytest.skip("this machine does not let a test mount a /dev")

    def start(folder, *command):
        return subprocess.Popen(
            [*COMMAND, *command],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    return start


def project(folder):
    folder.mkdir()
    mini = yaml.safe_load((ROOT / "tests" / "mini.yaml").read_text())
    del mini["variants"], mini["ablations"]
    mini["mining"]["steps"] = 1
    mini["runtime"] |= {"shards": 3}
    (folder / "mini.yaml").write_text(yaml.safe_dump(mini))
    return new_project(folder)


FLOCK = "hhqqi"
"""Linux's struct flock: type, whence, start, length, pid."""


def holders(folder):
    """Return the process that holds each GPU now."""
    found = {}
    for lock in folder.glob("aepsl-gpus-*/machine-*.lock"):
        with lock.open("r+") as file:
            wanted_lock = struct.pack(FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
            found_lock = struct.unpack(FLOCK, fcntl.fcntl(file, fcntl.F_GETLK, wanted_lock))
        if found_lock[0] != fcntl.F_UNLCK:
            found[lock.stem] = found_lock[-1]
    return found


@pytest.mark.slow
def test_gpu_jobs_run_two_at_a_time_and_none_waits(two_gpus, tmp_path):
    folder, seen = project(tmp_path / "project"), []
    mini = yaml.safe_load((folder / "mini.yaml").read_text())
    mini["mining"]["train"]["epochs"] = 100  # seconds, so that the two trainings overlap
    mini["variants"] = {"slower": {"mining": {"train": {"learning_rate": 0.01}}}}
    (folder / "mini.yaml").write_text(yaml.safe_dump(mini))
    run = two_gpus(folder, *SNAKEMAKE, "--until", "train_classifier")
    while run.poll() is None:
        seen.append(holders(tmp_path))
        time.sleep(0.05)
    assert run.returncode == 0, run.stdout.read()
    assert any(set(now) == {"machine-0", "machine-1"} for now in seen)
    assert all(len(set(now.values())) == len(now) for now in seen)
    logs = sorted((folder / "results/mini/logs/train_classifier").glob("*.log"))
    used = [re.findall(r" GPU ([01])$", log.read_text(), re.M) for log in logs]
    assert sorted(used) == [["0"], ["1"]]
    assert not any("waiting for" in log.read_text() for log in logs)


@pytest.mark.long
def test_two_runs_on_one_machine_take_turns(two_gpus, tmp_path):
    folders = [project(tmp_path / name) for name in ("one", "two")]
    runs = [two_gpus(folder, *SNAKEMAKE, "--until", "extract_cams") for folder in folders]
    outputs = [run.communicate()[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], outputs
    models = [next(folder.glob("results/mini/classifier/main/step1/*.saf*")) for folder in folders]
    assert models[0].read_bytes() == models[1].read_bytes()
