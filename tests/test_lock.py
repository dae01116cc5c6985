"""Locks: one process at a time, also after others were killed."""

import errno
import fcntl
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aepsl.cli.gpus import reserve_gpus
from aepsl.cli.job import job_files
from aepsl.host import gpu_device_files, usable_gpus
from aepsl.stores.checksums import read_checksums
from aepsl.stores.lock import FileLock, locked

SPAWN = multiprocessing.get_context("spawn")


def hold_lock(path, queue):
    lock = FileLock(path)
    assert lock.take()
    queue.put(os.getpid())
    time.sleep(600)


@pytest.fixture
def holder(tmp_path):
    """Return another process that holds a lock, and the lock file."""
    queue, path = SPAWN.Queue(), tmp_path / "locks" / "x.lock"
    process = SPAWN.Process(target=hold_lock, args=(path, queue), daemon=True)
    process.start()
    queue.get(timeout=60)
    yield process, path
    process.kill()


def test_a_lock_belongs_to_one_process_at_a_time(holder):
    process, path = holder
    lock = FileLock(path)
    assert not lock.take()
    assert lock.holder.startswith(f"process {process.pid} on ")
    process.kill()
    process.join()
    assert lock.take()
    assert path.read_text().startswith(f"process {os.getpid()} on ")
    lock.release()
    assert FileLock(path).take()


def test_a_look_at_a_lock_does_not_take_it(holder):
    process, path = holder
    assert FileLock(path).is_held() is True
    process.kill()
    process.join()
    assert FileLock(path).is_held() is False
    assert FileLock(path.with_name("absent.lock")).is_held() is False
    assert FileLock(path.parent).is_held() is None
    assert path.read_text().startswith(f"process {process.pid} on ")


def test_the_cluster_job_is_named_in_the_lock_file(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    lock = FileLock(tmp_path / "x.lock")
    assert lock.take()
    assert "(SLURM job 4711)" in (tmp_path / "x.lock").read_text()


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"\xff\xfe", b"process 1 on elsewhere, since 2020"]
)
def test_a_file_without_a_holder_can_be_locked(tmp_path, content):
    path = tmp_path / "x.lock"
    path.write_bytes(content)
    assert FileLock(path).holder in ("another process", content.decode(errors="replace"))
    assert FileLock(path).take()
    assert path.read_text().startswith(f"process {os.getpid()} on ")
    assert len(path.read_text().splitlines()) == 1


def count_alone(path, folder, turns, queue):
    inside = folder / "inside"
    for _ in range(turns):
        with locked(path, what="x"):
            inside.touch(exist_ok=False)  # no other process is inside
            inside.unlink()
    queue.put(os.getpid())


@pytest.mark.slow
def test_waiting_processes_enter_one_at_a_time(tmp_path):
    queue = SPAWN.Queue()
    arguments = (tmp_path / "x.lock", tmp_path, 200, queue)
    all_of_them = [SPAWN.Process(target=count_alone, args=arguments) for _ in range(4)]
    for process in all_of_them:
        process.start()
    for process in all_of_them:
        process.join()
    assert [process.exitcode for process in all_of_them] == [0] * 4


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_gives_a_warning(tmp_path, monkeypatch, caplog, number):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "lockf", refuse)
    caplog.set_level("WARNING", logger="aepsl")
    monkeypatch.setattr("aepsl.console.log.propagate", True)
    assert FileLock(tmp_path / "x.lock").take()
    assert "another job may do the same work at the same time" in caplog.text


def test_a_job_s_files_are_named_after_its_log():
    assert job_files(Path("results/a/logs/predict/main-0.log")) == (
        Path("results/a/checksums/predict/main-0.sha256"),
        Path("results/a/locks/predict/main-0.lock"),
    )
    assert job_files(Path("/logs/results/a.b/logs/report.log")) == (
        Path("/logs/results/a.b/checksums/report.sha256"),
        Path("/logs/results/a.b/locks/report.lock"),
    )
    assert job_files(Path("elsewhere/predict.log")) is None
    assert job_files(Path("logs")) is None


def test_a_job_waits_for_another_with_the_same_output(tmp_path):
    queue = SPAWN.Queue()
    log = tmp_path / "logs" / "rule" / "0.log"
    checksums, lock = job_files(log)
    other = SPAWN.Process(target=hold_lock, args=(lock, queue), daemon=True)
    other.start()
    pid = queue.get(timeout=60)
    output = tmp_path / "out" / "0.json"
    command = [sys.executable, "-m", "aepsl", "start-mining", "--output", output]
    job = subprocess.Popen([*command, "--log", log])
    until = time.monotonic() + 60
    while not (log.exists() and "waiting" in log.read_text()):
        assert time.monotonic() < until
        time.sleep(0.05)
    assert f"{output} is being written by process {pid} on " in log.read_text()
    assert job.poll() is None
    assert not output.exists()
    other.kill()
    assert job.wait(timeout=60) == 0
    assert output.exists()
    assert list(read_checksums(checksums)) == [output]


def test_without_a_log_there_is_neither_a_lock_nor_a_list(tmp_path):
    command = [sys.executable, "-m", "aepsl", "start-mining", "--output", "out/0.json"]
    subprocess.run(command, cwd=tmp_path, check=True)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_waiting_job_can_be_stopped(tmp_path, holder):
    log = tmp_path / "logs" / "x.log"
    command = [sys.executable, "-m", "aepsl", "start-mining", "--output", tmp_path / "0.json"]
    job = subprocess.Popen([*command, "--log", log], stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 60
    while not log.exists() or "waiting" not in log.read_text():
        assert time.monotonic() < until
        time.sleep(0.05)
    job.terminate()
    assert job.wait(timeout=60) == 128 + signal.SIGTERM
    assert not (tmp_path / "0.json").exists()


# GPUs


def fake(folder, *names):
    folder.mkdir()
    for name in names:
        (folder / name).touch()
    return folder


def test_the_gpus_of_a_machine(tmp_path, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    two = fake(tmp_path / "two", "nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm")
    assert [path.name for path in gpu_device_files(two)] == ["nvidia0", "nvidia1"]
    assert usable_gpus(two) == ["0", "1"]
    assert usable_gpus(fake(tmp_path / "amd", "kfd")) == ["0"]
    assert usable_gpus(fake(tmp_path / "none", "null")) == []


@pytest.mark.parametrize(
    ("given", "usable"),
    [
        ("1", ["1"]),
        ("1,0", ["1", "0"]),
        ("GPU-ab12, MIG-7", ["GPU-ab12", "MIG-7"]),
        ("", []),
        ("-1", []),
        ("NoDevFiles", []),
    ],
)
def test_cuda_visible_devices_is_respected(tmp_path, monkeypatch, given, usable):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    assert usable_gpus(fake(tmp_path / "dev", "nvidia0", "nvidia1")) == usable


def work(name, folder, count, queue, environment, together):
    os.environ.update(environment)
    from aepsl.cli import gpus

    gpus.usable_gpus = lambda: ["0", "1"]
    with gpus.reserve_gpus("auto", count, folder=Path(folder)) as taken:
        assert os.environ["CUDA_VISIBLE_DEVICES"] == ",".join(taken)
        queue.put((name, "takes", tuple(taken), time.monotonic()))
        if together:
            together.wait(60)
        time.sleep(0.5)
        queue.put((name, "leaves", tuple(taken), time.monotonic()))


def played(tmp_path, counts, environments=None, *, together=False):
    """Let processes that want so many GPUs each work a while; return what happened.

    With ``together`` each works until all do: a process that has to wait fails.
    """
    queue, barrier = SPAWN.Queue(), SPAWN.Barrier(len(counts)) if together else None
    environments = environments or [{}] * len(counts)
    everyone = [
        SPAWN.Process(
            target=work, args=(n, tmp_path / "leases", count, queue, environment, barrier)
        )
        for n, (count, environment) in enumerate(zip(counts, environments, strict=True))
    ]
    for process in everyone:
        process.start()
    events = sorted((queue.get(timeout=90) for _ in range(2 * len(counts))), key=lambda e: e[3])
    for process in everyone:
        process.join()
        assert process.exitcode == 0
    return events


def in_use(events):
    """Return how many GPUs were in use after each event; fail if one was used twice."""
    used, counts = set(), []
    for _, what, taken, _ in events:
        if what == "takes":
            assert not used & set(taken)
            used |= set(taken)
        else:
            used -= set(taken)
        counts.append(len(used))
    return counts


def test_two_jobs_get_one_gpu_each_without_waiting(tmp_path):
    events = played(tmp_path, [1, 1], together=True)
    assert max(in_use(events)) == 2
    assert {taken for _, _, taken, _ in events} == {("0",), ("1",)}


@pytest.mark.slow
def test_more_jobs_than_gpus_never_share_one(tmp_path):
    events = played(tmp_path, [1, 2, 1, 2, 1])
    assert max(in_use(events)) == 2
    assert sorted(name for name, what, _, _ in events if what == "leaves") == [0, 1, 2, 3, 4]


def test_cluster_jobs_number_their_own_gpus(tmp_path):
    # Each sees its only GPU as number 0.
    jobs = [{"SLURM_JOB_ID": "1"}, {"SLURM_JOB_ID": "2"}]
    events = played(tmp_path, [1, 1], jobs, together=True)
    assert [what for _, what, _, _ in events] == ["takes", "takes", "leaves", "leaves"]
    assert {taken for _, _, taken, _ in events} == {("0",)}


@pytest.mark.parametrize("device", ["cpu", "cuda:1"])
def test_no_lock_is_taken_for_other_devices(tmp_path, monkeypatch, device):
    monkeypatch.setattr("aepsl.cli.gpus.usable_gpus", lambda: ["0"])
    with reserve_gpus(device, 1, folder=tmp_path / "leases") as taken:
        assert taken == []
    assert not (tmp_path / "leases").exists()
