"""Processes that train together come to what one comes to."""

import csv
import json
import signal
import subprocess
import sys
import time

import psutil
import pytest
import torch
from test_resume import CONFIG, Project

from aepsl.stages import copy_true_labels
from aepsl.training.team import Team


def curve(project, name):
    with (project.folder / name / "curve.csv").open() as file:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]


def agree(project, *names):
    """Assert that the curves are the same within rounding, and of a network that learns."""
    first, *others = (curve(project, name) for name in names)
    for other in others:
        for row, same in zip(first, other, strict=True):
            assert same == pytest.approx(row, rel=1e-4)
    assert first[0]["loss"] != first[-1]["loss"]


def classifier(project, name, processes, **networks):
    config = CONFIG | {"networks": CONFIG["networks"] | networks}
    return project.command(name, "--training-gpus", str(processes), config=config)


@pytest.mark.parametrize(
    ("dropout", "batch_norm", "sizes"),
    [(0.0, False, [2]), (0.5, True, [2, 3])],
)
def test_a_classifier_of_several_processes_is_that_of_one(tmp_path, dropout, batch_norm, sizes):
    # Batches are of two images: of three processes one has nothing to do.
    project = Project(tmp_path)
    for size in (1, *sizes):
        networks = {"dropout": dropout, "batch_norm": batch_norm}
        subprocess.run(classifier(project, f"of-{size}", size, **networks), check=True)
    agree(project, *(f"of-{size}" for size in (1, *sizes)))


SEGMENTATION = {
    "seed": 3,
    "networks": CONFIG["networks"],
    "segmentation.head": "largefov",
    "segmentation.psl": "scores",
    "segmentation.psl_after": 1,
    "segmentation.train": {
        "epochs": 2,
        "batch_size": 4,
        "crop": 33,
        "poly_power": 0.9,
        "precision": "float32",
    },
}


def test_a_segmentation_network_of_two_processes_is_that_of_one(tmp_path):
    project = Project(tmp_path)
    project.data.index_truth(project.dataset, tmp_path / "truth.jsonl")
    labels = tmp_path / "labels" / "0.h5"
    of = {"dataset": project.dataset, "truth": tmp_path / "truth.jsonl", "root": project.data.root}
    copy_true_labels.run(**of, output=labels, shard=0, shards=1)
    for size in (1, 2):
        folder = tmp_path / f"of-{size}"
        command = [sys.executable, "-m", "aepsl", "train-segmentation"]
        command += ["--config", json.dumps(SEGMENTATION), "--dataset", project.dataset]
        command += ["--root", project.data.root, "--labels", labels.with_suffix(".json")]
        command += ["--output", folder / "model.safetensors", "--curve", folder / "curve.csv"]
        command += ["--device", "cpu", "--training-gpus", str(size)]
        subprocess.run(command, check=True)
    agree(project, "of-1", "of-2")


def helpers(process, *, count):
    """Return the processes that train beside the one that leads, when they are there."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        found = [
            child
            for child in psutil.Process(process.pid).children()
            if "spawn_main" in " ".join(child.cmdline())
        ]
        if len(found) == count:
            return found
        time.sleep(0.05)
    raise AssertionError("no helpers")


LONG = CONFIG | {"mining.train": CONFIG["mining.train"] | {"epochs": 12}}


def checkpointed(project):
    until = time.monotonic() + 90
    while not (project.work / "checkpoint.safetensors").exists():
        assert time.monotonic() < until
        time.sleep(0.02)


OF_TWO = ("--training-gpus", "2")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    project = Project(tmp_path_factory.mktemp("undisturbed"))
    subprocess.run(project.command("whole", *OF_TWO, config=LONG), check=True)
    return project.result("whole")


@pytest.mark.parametrize("way", ["the leader, SIGKILL", "the leader, SIGTERM", "a helper, SIGKILL"])
def test_a_team_that_loses_somebody_goes_on_to_the_same_bytes(tmp_path, undisturbed, way):
    project = Project(tmp_path)
    command = project.command("killed", *OF_TWO, config=LONG)
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    (helper,) = helpers(process, count=1)
    checkpointed(project)
    whom = helper if "helper" in way else process
    whom.send_signal(getattr(signal, way.rpartition(" ")[2]))
    _, said = process.communicate(timeout=90)
    assert process.returncode
    if "helper" in way:
        assert "another process of the training was lost" in said
        assert "the same command goes on" in said
        assert "Traceback" not in said
    helper.wait(timeout=60)
    assert (project.work / "checkpoint.safetensors").exists()
    subprocess.run(command, check=True)
    log = (project.folder / "killed.log").read_text()
    assert "goes on in epoch" in log
    assert project.result("killed") == undisturbed


@pytest.mark.parametrize(("total", "size"), [(1, 2), (2, 2), (5, 2), (7, 3), (2, 4)])
def test_the_parts_of_a_batch_are_the_batch(total, size):
    batch = list(range(10, 10 + total))
    parts = [Team(rank, size, total).part for rank in range(size)]
    assert [number for part in parts for number in part] == list(range(total))
    for rank, part in enumerate(parts):
        assert Team(rank, size).share(batch) == ([batch[n] for n in part] or [10])
    losses = [
        torch.tensor(float(sum(batch[n] for n in part) / max(len(part), 1))) for part in parts
    ]
    weighed = [Team(rank, size, total).weigh(loss) for rank, loss in enumerate(losses)]
    assert float(sum(weighed) / size) == pytest.approx(sum(batch) / total)
