"""Faults of a real SLURM: each run gives the bytes of an undisturbed one."""

import os
import signal
import time
from pathlib import Path

import cluster_setup
import pytest
from slurm_runs import Run, jobs, locally, project, until
from test_kill import digests

pytestmark = pytest.mark.slurm

MODEL = "results/mini/classifier/main/step1/model.safetensors"
RESUMED = "resumes in epoch"


def settings(epochs, **runtime):
    """Return a run whose one training takes as long as it should."""
    mining = {
        "steps": 1,
        "train": {"epochs": epochs, "batch_size": 5, "crop": 65, "decay_every": 100},
    }
    return {"mining": mining, "runtime": {"cache": None, **runtime}}


SHORT, LONG = settings(200), settings(1500)
OVER_A_MINUTE = settings(4000)
"""Longer than the shortest time limit on a fast processor; a slow one needs more attempts."""


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """Return a function that gives the digests of a run on this machine."""
    known = {}

    def run(settings):
        key = str(settings)
        if key not in known:
            folder = project(tmp_path_factory.mktemp("undisturbed") / "project", **settings)
            locally(folder, MODEL)
            known[key] = digests(folder)
        return known[key]

    return run


def go(folder, *arguments, **options):
    """Start the workflow, up to the model."""
    return Run(folder, MODEL, *arguments, "--configfile", "mini.yaml", **options)


def training(folder):
    """Wait until a job trains and has saved something; return its number."""
    checkpoint = folder / "results/mini/work/train_classifier/main-step1/checkpoint.safetensors"
    until("a checkpoint", checkpoint.exists)
    (number,) = [n for n, state in jobs("train_classifier").items() if state == "RUNNING"]
    return number


def log_of(folder):
    """Return what the training output, the last time that it ran; Snakemake empties its log."""
    log = folder / "results/mini/logs/train_classifier/main-step1.log"
    return log.read_text() if log.exists() else ""


def trainers(folder):
    """Return the processes that train in a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            if b"train-classifier" in words and (process / "cwd").resolve() == folder.resolve():
                found.append(int(process.name))
        except OSError:
            continue
    return found


def processes_of(number):
    """Return the processes of a job, those of SLURM that watch it first."""
    watching, working = [], []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            name = (process / "cmdline").read_bytes()
            variables = (process / "environ").read_bytes().split(b"\0")
            if name.startswith(f"slurmstepd: [{number}.".encode()):
                watching.append(int(process.name))
            elif f"SLURM_JOB_ID={number}".encode() in variables:
                working.append(int(process.name))
        except OSError:
            continue
    return watching + working


def out_of_memory(folder):
    """Return the logs of SLURM that report a lack of memory."""
    logs = (folder / "logs" / "slurm" / "rule_train_classifier").rglob("*.log")
    return [log for log in logs if "exceeded memory limit" in log.read_text()]


def state_of(number):
    """Return the state of a job in SLURM."""
    facts = cluster_setup.call("scontrol", "show", "job", "-o", str(number)).split()
    return next(fact.partition("=")[2] for fact in facts if fact.startswith("JobState="))


# Ended jobs: another attempt resumes


def cancelled(number, folder):
    cluster_setup.call("scancel", str(number))
    until("its end", lambda: state_of(number) == "CANCELLED")


def killed(number, folder):
    for process in trainers(folder):
        os.kill(process, signal.SIGKILL)
    until("its end", lambda: state_of(number) == "FAILED")


def requeued(number, folder):
    cluster_setup.call("scontrol", "requeue", str(number))
    until("its place in the queue", lambda: state_of(number) == "PENDING")
    cluster_setup.call("scontrol", "update", f"JobId={number}", "StartTime=now")


def node_lost(number, folder):
    cluster_setup.stop_daemon("slurmd.gpunode", signal.SIGKILL)
    for process in processes_of(number):
        os.kill(process, signal.SIGKILL)
    until("that SLURM misses it", lambda: cluster_setup.states()["gpunode"].startswith("down"))
    cluster_setup.start_node("gpunode")  # SLURM starts the job again by itself, after two minutes


@pytest.mark.parametrize("fault", [cancelled, killed, requeued, node_lost])
def test_an_ended_job_resumes_in_another_attempt(fresh, undisturbed, fault):
    folder = fresh(**SHORT)
    run = go(folder)
    fault(training(folder), folder)
    run.wait()
    assert RESUMED in log_of(folder)
    assert digests(folder) == undisturbed(SHORT)


def test_a_job_out_of_time_resumes_in_another_attempt(fresh, undisturbed):
    folder = fresh(**OVER_A_MINUTE)
    limits = ("train_classifier:runtime=1", "train_classifier:mem_mb=2000")  # of every attempt
    run = go(folder, "--set-resources", *limits, "--retries", "9")
    number = training(folder)
    until("its time limit", lambda: state_of(number) == "TIMEOUT", seconds=240)
    run.wait(seconds=1200)
    assert RESUMED in log_of(folder)
    assert digests(folder) == undisturbed(OVER_A_MINUTE)


def test_a_job_out_of_memory_gets_more_in_another_attempt(fresh, undisturbed):
    folder = fresh(**SHORT)
    go(folder, "--set-resources", "train_classifier:mem_mb=1500*attempt-1350").wait()
    assert len(out_of_memory(folder)) == 1
    assert digests(folder) == undisturbed(SHORT)


def test_a_job_that_is_always_out_of_memory_fails_with_its_log(fresh, undisturbed):
    folder = fresh(**SHORT)
    output = go(folder, "--set-resources", "train_classifier:mem_mb=150").wait(status=1)
    assert "Error in rule train_classifier" in output
    assert len(out_of_memory(folder)) == 3
    assert "logs/train_classifier/main-step1.log" in output
    assert output.count("Trying to restart job") == 2
    assert not (folder / MODEL).exists()
    again = go(folder).wait()
    assert "index_images" not in again  # only what is missing
    assert digests(folder) == undisturbed(SHORT)


# Faults that do not affect a job


def node_daemon_restarted(number, folder):
    cluster_setup.stop_daemon("slurmd.gpunode")
    time.sleep(5)
    cluster_setup.start_node("gpunode")


def controller_restarted(number, folder):
    cluster_setup.stop_daemon("slurmctld")
    time.sleep(5)
    cluster_setup.start_controller()


def node_drained(number, folder):
    cluster_setup.call("scontrol", "update", "NodeName=gpunode", "State=DRAIN", "Reason=test")


@pytest.mark.parametrize("fault", [node_daemon_restarted, controller_restarted, node_drained])
def test_faults_around_a_job_do_not_affect_it(fresh, undisturbed, fault):
    folder = fresh(**SHORT)
    run = go(folder)
    fault(training(folder), folder)
    try:
        run.wait()
    finally:
        cluster_setup.call("scontrol", "update", "NodeName=gpunode", "State=RESUME", check=False)
    assert RESUMED not in log_of(folder)
    assert digests(folder) == undisturbed(SHORT)


def test_jobs_wait_for_a_drained_node(fresh, undisturbed):
    folder = fresh(**SHORT)
    node_drained(None, folder)
    run = go(folder)
    until("a job that waits", lambda: "PENDING" in jobs("train_classifier").values())
    cluster_setup.call("scontrol", "update", "NodeName=gpunode", "State=RESUME")
    run.wait()
    assert digests(folder) == undisturbed(SHORT)


# Faults of Snakemake: no file has two writers


def test_orphaned_jobs_are_waited_for(fresh, undisturbed):
    folder = fresh(**settings(1500, cache="kept"))
    first = go(folder)
    orphan = training(folder)
    first.kill()
    assert "cannot be locked" in go(folder).wait(status=1)
    locally(folder, "--unlock")
    second = go(folder)
    until("another job", lambda: len(jobs("train_classifier")) == 2)
    until("two processes", lambda: len(trainers(folder)) == 2)
    until("its message", lambda: f"(SLURM job {orphan})" in log_of(folder))
    assert state_of(orphan) == "RUNNING"
    second.wait()
    assert state_of(orphan) == "COMPLETED"
    assert "reused from the cache" in log_of(folder)  # not trained a second time
    assert digests(folder) == undisturbed(LONG)


def test_orphaned_jobs_may_be_cancelled(fresh, undisturbed):
    folder = fresh(**SHORT)
    first = go(folder)
    orphan = training(folder)
    first.kill()
    locally(folder, "--unlock")
    cluster_setup.call("scancel", str(orphan))
    go(folder).wait()
    assert RESUMED in log_of(folder)
    assert digests(folder) == undisturbed(SHORT)


def test_a_stopped_snakemake_cancels_its_jobs(fresh, undisturbed):
    folder = fresh(**SHORT)
    first = go(folder)
    number = training(folder)
    first.process.send_signal(signal.SIGINT)
    first.process.wait(timeout=120)
    until("its end", lambda: state_of(number) == "CANCELLED")
    go(folder).wait()
    assert RESUMED in log_of(folder)
    assert digests(folder) == undisturbed(SHORT)
