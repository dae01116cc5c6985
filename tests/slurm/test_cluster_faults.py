"""What befalls jobs on the real SLURM: each run ends in the bytes of an undisturbed one."""

import os
import signal
import time
from pathlib import Path

import lab
import pytest
from on_cluster import Run, jobs, locally, project, until
from test_kill import digests

pytestmark = pytest.mark.slurm

MODEL = "results/mini/classifier/main/step1/model.safetensors"
GOES_ON = "goes on in epoch"


def settings(epochs, **runtime):
    """Return a run whose one training takes as long as it should."""
    mining = {
        "steps": 1,
        "train": {"epochs": epochs, "batch_size": 5, "crop": 65, "decay_every": 100},
    }
    return {"mining": mining, "runtime": {"cache": None, **runtime}}


SHORT, LONG = settings(200), settings(1500)


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
    checkpoint = folder / "results/mini/work/classifier-main-step1/checkpoint.safetensors"
    until("a checkpoint", checkpoint.exists)
    (number,) = [n for n, state in jobs("train_classifier").items() if state == "RUNNING"]
    return number


def log_of(folder):
    """Return what the training said, the last time that it ran; Snakemake empties its log."""
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
    """Return those logs of SLURM that say so."""
    logs = (folder / "logs" / "slurm" / "rule_train_classifier").rglob("*.log")
    return [log for log in logs if "exceeded memory limit" in log.read_text()]


def state_of(number):
    """Return what SLURM says of a job's state."""
    facts = lab.call("scontrol", "show", "job", "-o", str(number)).split()
    return next(fact.partition("=")[2] for fact in facts if fact.startswith("JobState="))


# What ends a job: another attempt goes on where it was


def cancelled(number, folder):
    lab.call("scancel", str(number))
    until("its end", lambda: state_of(number) == "CANCELLED")


def killed(number, folder):
    for process in trainers(folder):
        os.kill(process, signal.SIGKILL)
    until("its end", lambda: state_of(number) == "FAILED")


def requeued(number, folder):
    lab.call("scontrol", "requeue", str(number))
    until("its place in the queue", lambda: state_of(number) == "PENDING")
    lab.call("scontrol", "update", f"JobId={number}", "StartTime=now")


def node_lost(number, folder):
    lab.stop_daemon("slurmd.gpunode", signal.SIGKILL)
    for process in processes_of(number):
        os.kill(process, signal.SIGKILL)
    until("that SLURM misses it", lambda: lab.states()["gpunode"].startswith("down"))
    lab.start_node("gpunode")  # SLURM starts the job again by itself, after two minutes


@pytest.mark.parametrize("fault", [cancelled, killed, requeued, node_lost])
def test_a_job_that_is_ended_goes_on_in_another_attempt(fresh, undisturbed, fault):
    folder = fresh(**SHORT)
    run = go(folder)
    fault(training(folder), folder)
    run.wait()
    assert GOES_ON in log_of(folder)
    assert digests(folder) == undisturbed(SHORT)


def test_a_job_that_is_out_of_time_goes_on_in_another_attempt(fresh, undisturbed):
    folder = fresh(**LONG)
    run = go(folder, "--set-resources", "train_classifier:runtime=1")
    number = training(folder)
    run.wait()
    assert state_of(number) == "TIMEOUT"
    assert GOES_ON in log_of(folder)
    assert digests(folder) == undisturbed(LONG)


def test_a_job_that_is_short_of_memory_has_more_in_another_attempt(fresh, undisturbed):
    folder = fresh(**SHORT)
    go(folder, "--set-resources", "train_classifier:mem_mb=1500*attempt-1350").wait()
    assert len(out_of_memory(folder)) == 1
    assert digests(folder) == undisturbed(SHORT)


def test_a_job_that_never_has_enough_fails_with_its_log_and_the_way_on(fresh, undisturbed):
    folder = fresh(**SHORT)
    said = go(folder, "--set-resources", "train_classifier:mem_mb=150").wait(status=1)
    assert "Error in rule train_classifier" in said
    assert len(out_of_memory(folder)) == 3
    assert "logs/train_classifier/main-step1.log" in said
    assert said.count("Trying to restart job") == 2
    assert not (folder / MODEL).exists()
    again = go(folder).wait()
    assert "index_images" not in again  # only what is missing
    assert digests(folder) == undisturbed(SHORT)


# What happens around a job: it is not touched


def node_daemon_restarted(number, folder):
    lab.stop_daemon("slurmd.gpunode")
    time.sleep(5)
    lab.start_node("gpunode")


def controller_restarted(number, folder):
    lab.stop_daemon("slurmctld")
    time.sleep(5)
    lab.start_controller()


def node_drained(number, folder):
    lab.call("scontrol", "update", "NodeName=gpunode", "State=DRAIN", "Reason=test")


@pytest.mark.parametrize("fault", [node_daemon_restarted, controller_restarted, node_drained])
def test_a_job_outlives_what_happens_around_it(fresh, undisturbed, fault):
    folder = fresh(**SHORT)
    run = go(folder)
    fault(training(folder), folder)
    try:
        run.wait()
    finally:
        lab.call("scontrol", "update", "NodeName=gpunode", "State=RESUME", check=False)
    assert GOES_ON not in log_of(folder)
    assert digests(folder) == undisturbed(SHORT)


def test_jobs_wait_for_a_drained_node(fresh, undisturbed):
    folder = fresh(**SHORT)
    node_drained(None, folder)
    run = go(folder)
    until("a job that waits", lambda: "PENDING" in jobs("train_classifier").values())
    lab.call("scontrol", "update", "NodeName=gpunode", "State=RESUME")
    run.wait()
    assert digests(folder) == undisturbed(SHORT)


# What happens to Snakemake: nothing is written by two


def test_jobs_that_outlive_snakemake_are_waited_for(fresh, undisturbed):
    folder = fresh(**settings(1500, cache="kept"))
    first = go(folder)
    orphan = training(folder)
    first.kill()
    assert "cannot be locked" in go(folder).wait(status=1)
    locally(folder, "--unlock")
    second = go(folder)
    until("another job", lambda: len(jobs("train_classifier")) == 2)
    until("two processes", lambda: len(trainers(folder)) == 2)
    until("a word of it", lambda: f"(SLURM job {orphan})" in log_of(folder))
    assert state_of(orphan) == "RUNNING"
    second.wait()
    assert state_of(orphan) == "COMPLETED"
    assert "taken from the cache" in log_of(folder)  # not trained a second time
    assert digests(folder) == undisturbed(LONG)


def test_jobs_that_outlive_snakemake_may_be_cancelled(fresh, undisturbed):
    folder = fresh(**SHORT)
    first = go(folder)
    orphan = training(folder)
    first.kill()
    locally(folder, "--unlock")
    lab.call("scancel", str(orphan))
    go(folder).wait()
    assert GOES_ON in log_of(folder)
    assert digests(folder) == undisturbed(SHORT)


def test_a_stopped_snakemake_takes_its_jobs_along(fresh, undisturbed):
    folder = fresh(**SHORT)
    first = go(folder)
    number = training(folder)
    first.process.send_signal(signal.SIGINT)
    first.process.wait(timeout=120)
    until("its end", lambda: state_of(number) == "CANCELLED")
    go(folder).wait()
    assert GOES_ON in log_of(folder)
    assert digests(folder) == undisturbed(SHORT)
