"""System errors in a stage: full disks, unwritable folders, lack of memory."""

import contextlib
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT, VocFolder, run_snakemake, settings_of
from test_resume import CONFIG as TRAINING
from test_resume import Project

from aepsl.config.data import Data
from aepsl.data.adapters import described
from aepsl.errors import AepslError, system_error
from aepsl.report.figures import plot_losses
from aepsl.report.page import write_file
from aepsl.workflow.content_digests import ContentDigests
from aepsl.workflow.project import unwritable


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, "x", "a/b"), "a/b: the disk is full (No space left on device)"),
        (OSError(errno.EROFS, "x", "a/b"), "a/b: permission denied (Read-only file sys"),
        (PermissionError(errno.EACCES, "x", "a"), "a: permission denied (Permission den"),
        (OSError(errno.ESTALE, "x", "a"), "a: the file system does not respond (Stale file handle"),
        (OSError(errno.EIO, "x"), "unknown file: the file system does not respond (Input/output "),
        (
            OSError("[Errno 5] Unable to write (errno = 28, error message = ...)"),
            "the disk is full",
        ),
        (MemoryError(), "memory: out of memory"),
        (RuntimeError("CUDA out of memory. Tried to"), "memory: out of memory"),
        (RuntimeError("DataLoader worker (pid 3) is killed by signal: Killed."), "was killed"),
    ],
)
def test_system_errors_are_distinguished_from_bugs(error, message):
    fault = system_error(error)
    assert message in str(fault)
    assert "Hint:" in str(fault)


@pytest.mark.parametrize("error", [OSError(errno.ENOENT, "x"), ValueError("x"), RuntimeError("x")])
def test_other_errors_are_not_system_errors(error):
    assert system_error(error) is None


SCENES = {"data": {"scenes": {"train_images": 4, "val_images": 1, "size": 65}}}
CONFIG = settings_of("generate_scenes", SCENES).canonical()


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
def test_a_full_disk_is_reported_and_the_rerun_succeeds(small_disk):
    result = generate(small_disk)
    assert result.returncode == 1
    assert "the disk is full" in result.stderr
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
from aepsl.errors import system_error
try:
    with writing_shard(Path(sys.argv[1]) / "0.h5", kind="cams", facts={}) as writer:
        for n in range(50):
            noise = np.random.default_rng(n).random((100, 100))
            writer.add(str(n), Record({"cam": noise}))
except OSError as error:
    print(system_error(error))
"""
    command = [sys.executable, "-c", code, str(small_disk)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert f"{small_disk}/0.h5: the disk is full" in result.stdout, result.stderr
    assert not list(Path(small_disk).iterdir())


@root_only
def test_a_read_only_folder_is_reported(small_disk):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    result = generate(small_disk)
    assert result.returncode == 1
    assert "permission denied" in result.stderr
    assert "Traceback" not in result.stderr


# Real faults: a loader without memory, a failing disk, a lost mount


def run(command):
    return subprocess.run(command, capture_output=True, text=True, check=False)


def loaders_of(process):
    """Yield the number of each loader process of a training, until it ends."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while process.poll() is None:
        with contextlib.suppress(OSError):
            yield from map(int, children.read_text().split())
        time.sleep(0.005)


MEMORY = Path("/sys/fs/cgroup/memory")


@pytest.fixture
def little_memory():
    """Return what puts a process where there is none left."""
    group = MEMORY / f"aepsl-test-{os.getpid()}"
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text("0")
    except OSError:
        pytest.skip("this machine does not let a test limit memory (cgroup v1)")
    yield lambda pid: (group / "cgroup.procs").write_text(str(pid))
    group.rmdir()


@root_only
@pytest.mark.slow
def test_a_loader_out_of_memory_is_reported_and_resumed(tmp_path, little_memory):
    project = Project(tmp_path)
    longer = TRAINING | {"mining.train": TRAINING["mining.train"] | {"epochs": 40}}
    whole = project.train("whole", config=longer)
    command = project.command("starved", "--workers", "1", config=longer)
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    for loader in loaders_of(process):
        with contextlib.suppress(OSError):  # it has ended
            little_memory(loader)
    message = process.communicate()[1]
    assert process.returncode == 1
    assert "a data loading worker: was killed, probably because it ran out of memory" in message
    assert "lower runtime.workers" in message
    assert "Traceback" not in message
    assert not (tmp_path / "starved" / "model.safetensors").exists()
    assert run(project.command("starved", config=longer)).returncode == 0
    assert project.result("starved") == whole


@pytest.mark.parametrize(
    "workers",
    [
        pytest.param("0", marks=pytest.mark.long),
        pytest.param("1", marks=pytest.mark.slow),
    ],
)
@root_only
def test_a_lost_mount_is_reported_and_resumed(tmp_path, workers):
    project = Project(tmp_path)
    whole = project.train("whole")
    photographs, mount = project.data.root, ["mount", "-t", "tmpfs", "tmpfs"]
    if run([*mount, str(photographs)]).returncode:
        pytest.skip("this machine does not let a test mount a file system")
    result = run(project.command("lost", "--workers", workers))
    assert run(["umount", str(photographs)]).returncode == 0
    assert result.returncode == 1
    assert f"{photographs}/JPEGImages/" in result.stderr
    assert ".png: the image does not exist" in result.stderr
    assert "Hint:" in result.stderr
    assert "Traceback" not in result.stderr
    assert run(project.command("lost")).returncode == 0
    assert project.result("lost") == whole


@pytest.fixture
def failing_disk(tmp_path):
    """Return a disk with photographs, and what makes it fail and mends it."""
    image, good, folder = tmp_path / "disk.img", tmp_path / "good.img", tmp_path / "photographs"
    image.write_bytes(b"\0" * 8_000_000)
    make = ["mkfs.ext4", "-q", "-F", "-O", "^has_journal", str(image)]
    folder.mkdir()
    if not shutil.which("mkfs.ext4") or run(make).returncode:
        pytest.skip("this machine has no mkfs.ext4")
    attach = ["mount", "-o", "loop", str(image), str(folder)]
    if run(attach).returncode:
        pytest.skip("this machine does not let a test mount a disk")
    VocFolder(folder)
    run(["umount", str(folder)])
    shutil.copy(image, good)
    assert run(attach).returncode == 0

    def fail():
        os.truncate(image, 65_536)
        Path("/proc/sys/vm/drop_caches").write_text("3")

    def mend():
        run(["umount", "-l", str(folder)])
        shutil.copy(good, image)
        assert run(attach).returncode == 0

    yield VocFolder(folder, make=False), fail, mend
    run(["umount", "-l", str(folder)])


def data_of(folder):
    labels = {"labels": "csv", "labels_csv": str(folder.labels)}
    return Data(adapter="voc", root=str(folder.root), class_names=("cat", "dog"), **labels)


@pytest.mark.slow
@root_only
def test_a_failing_disk_is_reported_and_resumed(failing_disk, tmp_path):
    data, fail, mend = failing_disk
    data.index(tmp_path / "images.json")
    config = json.dumps({"saliency.method": "robust_background", "saliency.superpixels": 20})
    command = [sys.executable, "-m", "aepsl", "detect-saliency", "--config", config]
    command += ["--dataset", tmp_path / "images.json", "--root", data.root]
    command += ["--output", tmp_path / "out" / "0.h5"]
    fail()
    result = run(command)
    assert result.returncode == 1
    assert f"{data.root}/JPEGImages/a.png: the file system does not respond" in result.stderr
    assert "check the disk or the mount, then run the same command again" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "out" / "0.h5").exists()
    with pytest.raises(AepslError, match="does not respond"):
        ContentDigests().digest(described(data_of(data)).images_content("train"))
    mend()
    assert run(command).returncode == 0


# Blocked reads, as on a lost network mount


BLOCKED = """
import multiprocessing, os, sys
from functools import partial
from pathlib import Path
from aepsl import cli
from aepsl.data import index
from aepsl.stages import _parallel
from aepsl.signals import ignore_signals

def block(folder, item, *rest):
    (folder / f"blocked-{os.getpid()}").touch()
    os.read(os.pipe()[0], 1)

def index_images(folder):
    index._digest = partial(block, folder)
    cli.main()

def map_images(folder):
    work = partial(block, folder)
    cli.app = lambda: list(_parallel.parallel_map(work, range(99), threads=2, what=""))
    cli.main()

def load(folder):
    ignore_signals()
    block(folder, None)

def load_images(folder):
    context = multiprocessing.get_context("fork")
    loader = context.Process(target=load, args=(folder,), daemon=True)
    loader.start()
    cli.app = loader.join
    cli.main()

if __name__ == "__main__":
    globals()[sys.argv.pop(1)](Path(sys.argv.pop(1)))
"""


@pytest.fixture
def blocked(tmp_path, voc_folder):
    """Return a function that starts work whose reads block, and the processes that they block."""
    (tmp_path / "blocked.py").write_text(BLOCKED)
    config = voc_folder.settings().canonical()
    command = ["index-images", "--config", config, "--role", "train", "--root", voc_folder.root]
    command += ["--labels-csv", voc_folder.labels, "--threads", "2"]
    command += ["--output", tmp_path / "train.json"]

    def start(what, processes):
        folder = tmp_path / "processes"
        folder.mkdir()
        process = subprocess.Popen(
            [sys.executable, tmp_path / "blocked.py", what, folder, *command],
            stderr=subprocess.PIPE,
            text=True,
        )
        while len(names := list(folder.glob("blocked-*"))) < processes:
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.02)
        return process, [int(path.name.removeprefix("blocked-")) for path in names]

    return start


def alive(pid):
    """Return whether a process is there, and no zombie."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def wait_until_gone(pids):
    deadline = time.monotonic() + 20
    while any(map(alive, pids)):
        assert time.monotonic() < deadline, "a process outlived the one that started it"
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    ("what", "processes"), [("index_images", 1), ("map_images", 2), ("load_images", 1)]
)
def test_jobs_with_blocked_reads_can_be_stopped(blocked, what, processes, number):
    process, pids = blocked(what, processes)
    process.send_signal(number)
    assert f"stopped by {number.name}" in process.communicate(timeout=20)[1]
    assert process.returncode == 128 + number
    wait_until_gone(pids)


def test_worker_processes_end_when_their_parent_is_killed(blocked):
    process, pids = blocked("map_images", 2)
    assert process.pid not in pids
    process.kill()
    process.communicate(timeout=20)
    wait_until_gone(pids)


def test_an_unwritable_folder_is_found_before_anything_runs(tmp_path, monkeypatch):
    folder = tmp_path / "checkout"
    folder.mkdir()
    assert unwritable(folder / "results" / "scenes") is None
    (folder / "link").symlink_to("not mounted")
    assert unwritable(folder / "link" / "scenes") == folder / "link"
    monkeypatch.setattr(os, "access", lambda place, mode: place != folder)  # root may do anything
    assert unwritable(folder) == folder
    assert unwritable(folder / "results" / "scenes") == folder
    assert unwritable(tmp_path / "results") is None


def test_a_run_in_another_folder_starts_from_the_same_configuration(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mine.yaml").write_text("run: mine\n")
    target = "results/mine/classifier/main/step1/model.safetensors"
    options = ("-n", "-p", "--snakefile", ROOT / "Snakefile", "--configfile", "mine.yaml")
    output = run_snakemake(elsewhere, target, *options).stdout
    assert '"batch_norm": true' in output  # as in config.yaml; a network's own default is false


def test_a_picture_on_a_full_disk_is_an_error():
    full = Path("/dev/full")
    for write in (
        lambda: write_file(full, b"picture"),
        lambda: plot_losses({}, full),
    ):
        with pytest.raises(OSError, match="No space left") as raised:
            write()
        assert str(system_error(raised.value)).startswith("/dev/full: the disk is full")
