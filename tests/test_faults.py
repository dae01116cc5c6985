"""What the machine does to a stage: full disks, folders that may not be written, no memory."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from aepsl.errors import fault_of_the_machine


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError(errno.ENOSPC, "x", "a/b"), "a/b: no space is left (No space left on device)"),
        (OSError(errno.EROFS, "x", "a/b"), "a/b: may not be written or read (Read-only file sys"),
        (PermissionError(errno.EACCES, "x", "a"), "a: may not be written or read (Permission den"),
        (OSError(errno.ESTALE, "x", "a"), "a: the file system does not answer (Stale file handle"),
        (OSError(errno.EIO, "x"), "a file: the file system does not answer (Input/output error)"),
        (
            OSError("[Errno 5] Unable to write (errno = 28, error message = ...)"),
            "no space is left",
        ),
        (MemoryError(), "memory: there is not enough of it"),
        (RuntimeError("CUDA out of memory. Tried to"), "memory: there is not enough of it"),
        (RuntimeError("DataLoader worker (pid 3) is killed by signal: Killed."), "was killed"),
    ],
)
def test_faults_of_the_machine_are_told_from_the_programs(error, says):
    fault = fault_of_the_machine(error)
    assert says in str(fault)
    assert "Hint:" in str(fault)


@pytest.mark.parametrize("error", [OSError(errno.ENOENT, "x"), ValueError("x"), RuntimeError("x")])
def test_faults_of_the_program_stay_what_they_are(error):
    assert fault_of_the_machine(error) is None


CONFIG = json.dumps({"data.scenes": {"train_images": 4, "val_images": 1, "size": 65}})


def generate(folder):
    command = [sys.executable, "-m", "aepsl", "generate-scenes", "--config", CONFIG]
    return subprocess.run(
        [*command, "--output", folder / "out" / "scenes.json", "--log", folder / "log.txt"],
        capture_output=True,
        text=True,
        check=False,
    )


root_only = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")


@pytest.fixture
def small_disk(tmp_path):
    """Return a file system of 64 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], check=False
    )
    if mounted.returncode:
        pytest.skip("this machine does not let a test mount a file system")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


@root_only
def test_a_full_disk_is_said_and_mended(small_disk):
    result = generate(small_disk)
    assert result.returncode == 1
    assert "no space is left" in result.stderr
    assert "run the same command again" in result.stderr
    assert "Traceback" not in result.stderr
    subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk)], check=True)
    assert generate(small_disk).returncode == 0


@root_only
def test_a_store_on_a_full_disk_leaves_nothing_under_its_name(small_disk):
    code = """
import sys
from pathlib import Path
import numpy as np
from aepsl.stores.records import Record, writing_shard
from aepsl.errors import fault_of_the_machine
try:
    with writing_shard(Path(sys.argv[1]) / "0.h5", kind="cams", facts={}) as writer:
        for n in range(50):
            noise = np.random.default_rng(n).random((100, 100))
            writer.add(str(n), Record({"cam": noise}))
except OSError as error:
    print(fault_of_the_machine(error))
"""
    command = [sys.executable, "-c", code, str(small_disk)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "no space is left" in result.stdout, result.stderr
    assert not list(Path(small_disk).iterdir())


@root_only
def test_a_folder_that_became_read_only_is_said(small_disk):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    result = generate(small_disk)
    assert result.returncode == 1
    assert "may not be written" in result.stderr
    assert "Traceback" not in result.stderr
