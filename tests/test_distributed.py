"""Training in several processes: as torchrun starts them, stopped, killed, and on two nodes."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest
import torch
from conftest import settings_of
from test_resume import CONFIG, NETWORK, Project
from torch.distributed import HashStore

from aepsl.cli import launch
from aepsl.errors import AepslError
from aepsl.stages import copy_true_labels
from aepsl.stores.models import load_model
from aepsl.training import distributed
from aepsl.workflow.codedigest import code_digest

TWO = ("--training-gpus", "2")
PLAIN = CONFIG | {
    "networks": CONFIG["networks"] | {"dropout": 0.0, "batch_norm": False},
    "mining.train": CONFIG["mining.train"] | {"learning_rate": 0.05},
}
"""Without the layers in which parts of a batch differ from the whole."""


def curve(project, name):
    header, *rows = (project.folder / name / "curve.csv").read_text().splitlines()
    return [dict(zip(header.split(","), map(float, row.split(",")), strict=True)) for row in rows]


def agree(project, first, second):
    """Assert that curves and weights are the same within rounding, and those of a training."""
    rows = curve(project, first)
    assert curve(project, second) == [pytest.approx(row, rel=1e-5) for row in rows]
    assert rows[0]["loss"] > rows[-1]["loss"] * 1.01
    weights, same = (
        load_model(project.folder / name / "model.safetensors")[0] for name in (first, second)
    )
    assert weights.keys() == same.keys()
    for name, tensor in weights.items():
        torch.testing.assert_close(same[name], tensor, rtol=1e-4, atol=1e-6)


ADAMW = PLAIN | {
    "mining.train": CONFIG["mining.train"] | {"optimizer": "adamw", "learning_rate": 0.0003},
}


@pytest.mark.parametrize(
    "config",
    [
        pytest.param(PLAIN, marks=pytest.mark.slow, id="sgd"),
        pytest.param(ADAMW, marks=pytest.mark.long, id="adamw"),
    ],
)
def test_two_processes_train_as_one(tmp_path, config):
    project = Project(tmp_path)
    subprocess.run(project.command("of-1", config=config), check=True)
    result = subprocess.run(
        project.command("of-2", *TWO, config=config),
        check=True,
        capture_output=True,
        text=True,
    )
    agree(project, "of-1", "of-2")
    assert result.stderr == ""
    log = (tmp_path / "of-2.log").read_text()
    assert log.count("epoch 3 of 3: 3 of 3") == 1
    assert not project.work.exists()


SEGMENTATION = settings_of(
    "train_segmentation",
    {
        "seed": 3,
        "networks": NETWORK | {"dropout": 0.0, "batch_norm": False},
        "segmentation": {
            "psl_after": 1,
            "train": {"epochs": 2, "batch_size": 4, "crop": 33, "learning_rate": 0.05},
        },
    },
)


@pytest.mark.long
def test_two_processes_train_a_segmentation_network_as_one(tmp_path):
    project = Project(tmp_path)
    project.data.index_truth(project.dataset, tmp_path / "truth.jsonl")
    labels = tmp_path / "labels" / "0.h5"
    of = {"dataset": project.dataset, "truth": tmp_path / "truth.jsonl", "root": project.data.root}
    copy_true_labels.copy_true_labels(**of, output=labels, shard=0, shards=1)
    for size in (1, 2):
        folder = tmp_path / f"of-{size}"
        command = [sys.executable, "-m", "aepsl", "train-segmentation"]
        command += ["--config", json.dumps(SEGMENTATION), "--dataset", project.dataset]
        command += ["--root", project.data.root, "--labels", labels.with_suffix(".json")]
        command += ["--output", folder / "model.safetensors", "--curve", folder / "curve.csv"]
        command += ["--device", "cpu", "--training-gpus", str(size)]
        subprocess.run(command, check=True)
    agree(project, "of-1", "of-2")


# Stopped and killed


LONG = CONFIG | {"mining.train": CONFIG["mining.train"] | {"epochs": 12}}


def processes_of(launcher):
    """Return the processes that torchrun started, by rank, when all are there."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        found = {}
        for child in psutil.Process(launcher.pid).children():
            try:
                found[child.environ().get("RANK")] = child
            except psutil.Error:
                continue
        if {"0", "1"} <= found.keys():
            return found
        time.sleep(0.05)
    raise AssertionError("torchrun started nothing")


def checkpointed(project):
    until = time.monotonic() + 120
    while not (project.work / "checkpoint.safetensors").exists():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    project = Project(tmp_path_factory.mktemp("undisturbed"))
    subprocess.run(project.command("whole", *TWO, config=LONG), check=True)
    return project.result("whole")


WAYS = {
    "torchrun, SIGTERM": (143, "stopped in epoch"),
    "torchrun, SIGINT": (130, "stopped in epoch"),
    "torchrun, SIGKILL": (-9, "stopped in epoch"),
    "all, SIGTERM": (143, "stopped in epoch"),
    "0, SIGKILL": (1, "process 0 was ended by SIGKILL"),
    "1, SIGKILL": (1, "another process ended"),
    "1, SIGTERM": (143, "stopped in epoch"),
}
"""Who gets which signal: the exit status, and the message."""

IN_CI = ("torchrun, SIGTERM", "1, SIGKILL")
"""One that is asked to stop, and one that is killed."""


@pytest.mark.parametrize(
    "way",
    [
        pytest.param(way, marks=pytest.mark.slow if way in IN_CI else pytest.mark.long)
        for way in WAYS
    ],
)
def test_a_stopped_or_killed_distributed_training_resumes_to_the_same_bytes(
    tmp_path, undisturbed, way
):
    project, (whom, number) = Project(tmp_path), way.split(", ")
    command = project.command("killed", *TWO, config=LONG)
    launcher = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    ranks = processes_of(launcher)
    checkpointed(project)
    everybody = {"torchrun": launcher} | ranks
    for name, process in everybody.items():
        if whom in (name, "all"):
            process.send_signal(getattr(signal, number))
    _, stderr = launcher.communicate(timeout=120)
    status, expected = WAYS[way]
    assert launcher.returncode == status
    assert expected in stderr
    assert "Traceback" not in stderr
    psutil.wait_procs(ranks.values(), timeout=60)
    assert not any(process.is_running() for process in ranks.values())
    assert (project.work / "checkpoint.safetensors").exists()
    subprocess.run(command, check=True)
    assert "resumes in epoch" in (project.folder / "killed.log").read_text()
    assert project.result("killed") == undisturbed


@pytest.mark.long
def test_three_processes_that_are_stopped_go_on_to_the_same_bytes(tmp_path):
    # Three numbers are summed in an order, and that must not depend on the stop.
    project, three = Project(tmp_path), ("--training-gpus", "3")
    config = LONG | {"mining.train": LONG["mining.train"] | {"batch_size": 3}}
    subprocess.run(project.command("whole", *three, config=config), check=True)
    command = project.command("parts", *three, config=config)
    launcher = subprocess.Popen(command)
    checkpointed(project)
    launcher.terminate()
    assert launcher.wait(timeout=120) == 143
    subprocess.run(command, check=True)
    assert "resumes in epoch" in (project.folder / "parts.log").read_text()
    assert project.result("parts") == project.result("whole")


# Started by the user's own torchrun


def torchrun(project, name, *more, nodes=1, config=CONFIG):
    """Return the commands of each node: a training of two processes on all nodes together."""
    command = project.command(name, *TWO, *more, config=config)
    options = ["--nproc-per-node", str(2 // nodes), "--nnodes", str(nodes)]
    options += ["--rdzv-backend", "c10d", "--rdzv-id", name, "--local-addr", "localhost"]
    options += ["--rdzv-endpoint", f"localhost:{20000 + os.getpid() % 10000}"]
    return [sys.executable, "-m", "torch.distributed.run", *options, "-m", "--", *command[2:]]


def run_on_nodes(command, nodes):
    environment = os.environ | {"GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    agents = [
        subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        for _ in range(nodes)
    ]
    outputs = [agent.communicate(timeout=240)[1] for agent in agents]
    return [agent.returncode for agent in agents], outputs


@pytest.mark.slow
def test_two_nodes_train_as_one_and_reuse_a_cached_model(tmp_path):
    project = Project(tmp_path)
    subprocess.run(project.command("one", *TWO), check=True)
    code = code_digest("aepsl.stages.train_classifier")
    keep = ("--cache", tmp_path / "cache", "--code", code)
    command = torchrun(project, "two", *keep, nodes=2)
    assert run_on_nodes(command, 2)[0] == [0, 0]
    assert project.result("two") == project.result("one")
    model = project.folder / "two" / "model.safetensors"
    made = model.stat().st_mtime_ns
    assert run_on_nodes(command, 2)[0] == [0, 0]
    assert "reused from the cache" in (tmp_path / "two.log").read_text()
    assert model.stat().st_mtime_ns > made
    assert project.result("two") == project.result("one")


def test_a_wrong_number_of_processes_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(AepslError, match="is 2, but torchrun started 4 processes"):
        launch.in_processes(lambda: None)(training_gpus=2, device="cpu")


def test_more_gpus_than_there_are_are_refused(monkeypatch):
    monkeypatch.setattr(launch, "usable_gpus", lambda: ["0"])
    with pytest.raises(AepslError, match="2 GPUs requested, 1 found"):
        launch.in_processes(lambda: None)(training_gpus=2, device="auto")


class Ranks:
    """Two processes of a training as threads: they share the store, and only that."""

    def __init__(self, monkeypatch):
        self.store, self.rank, self.done = HashStore(), threading.local(), []
        monkeypatch.setattr(distributed, "connect", lambda: self.store)
        monkeypatch.setattr(distributed, "is_main", lambda: not hasattr(self.rank, "other"))
        monkeypatch.setattr(launch, "ignore_signals", lambda: None)
        monkeypatch.setattr(launch.log, "setLevel", lambda level: None)

    def run(self, command):
        """Return who has trained, when both have ended."""
        other = threading.Thread(target=self._beside, daemon=True)
        other.start()
        try:
            launch.take_part(command, None)
        finally:
            other.join(timeout=20)
            assert not other.is_alive(), "it waits for rank 0"

    def _beside(self):
        self.rank.other = True
        launch.take_part(None, lambda: self.done.append("other"))


def test_the_others_train_if_rank_0_does(monkeypatch):
    ranks = Ranks(monkeypatch)
    ranks.run(lambda: ranks.store.set(distributed.MAIN_TRAINS, "yes"))
    assert ranks.done == ["other"]


def test_the_others_end_with_a_rank_0_that_need_not_train(monkeypatch):
    ranks = Ranks(monkeypatch)
    ranks.run(lambda: None)
    assert ranks.done == []


def test_the_others_end_with_a_rank_0_that_fails(monkeypatch):
    def fail():
        raise AepslError.of("photograph", "is broken", "mend it")

    ranks = Ranks(monkeypatch)
    with pytest.raises(AepslError, match="is broken"):
        ranks.run(fail)
    assert ranks.done == []


@pytest.mark.parametrize(
    ("size", "parts"),
    [
        (1, [[4, 5, 6]]),
        (2, [[4, 5], [6, 4]]),
        (3, [[4], [5], [6]]),
        (4, [[4], [5], [6], [4]]),
        (7, [[4], [5], [6], [4], [5], [6], [4]]),
    ],
)
def test_parts_of_a_batch_are_equally_large(monkeypatch, size, parts):
    monkeypatch.setenv("WORLD_SIZE", str(size))
    for rank, part in enumerate(parts):
        monkeypatch.setenv("RANK", str(rank))
        assert distributed.local_batch([4, 5, 6]) == part
