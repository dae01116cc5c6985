"""A stopped or killed training resumes to bit-identical results, or reports why not."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import VocFolder, settings_of

from aepsl.config.sections import StageSettings
from aepsl.errors import AepslError
from aepsl.signals import Stopped, StopRequest, stop_request
from aepsl.stages import _checkpointing, start_mining, train_classifier
from aepsl.stores.checkpoint import locked
from aepsl.stores.manifests import read_images, write_manifest

NETWORK = {
    "width": 0.0625,
    "fc6_dilation": 1,
    "batch_norm": True,
    "dropout": 0.5,
    "precision": "float32",
}
TRAIN = {"epochs": 3, "batch_size": 2, "crop": 33, "decay_every": 1}
CONFIG = settings_of(
    "train_classifier", {"seed": 3, "networks": NETWORK, "mining": {"train": TRAIN}}, step=1
)
STEPS = 9  # three epochs of six images, two at a time


class Project:
    """A project with six indexed photographs."""

    def __init__(self, folder):
        data = VocFolder(folder / "photographs", ids="abcdefg")
        data.write_split("train", "abcdef")
        data.write_split("val", "g")
        data.write_labels(
            [(name, ["cat", "dog", "cat dog"][n % 3]) for n, name in enumerate("abcdefg")]
        )
        self.folder, self.work = folder, folder / "work"
        self.dataset, self.regions = folder / "manifest.json", folder / "regions" / "0.json"
        data.index(self.dataset)
        self.data = data
        start_mining.start_mining(output=self.regions)

    def train(self, name, *, workers=0, config=CONFIG, work=None):
        """Train; return the bytes of the model and of the curve."""
        output, curve = self.folder / name / "model.safetensors", self.folder / name / "curve.csv"
        train_classifier.train_classifier(
            StageSettings(config),
            dataset=self.dataset,
            root=self.data.root,
            regions=[self.regions],
            saliency=[],
            step=1,
            output=output,
            curve=curve,
            device="cpu",
            workers=workers,
            work=work or self.work,
        )
        return output.read_bytes(), curve.read_bytes()

    def command(self, name, *more, config=CONFIG):
        """Return the same training as a command."""
        return [
            *(sys.executable, "-m", "aepsl", "train-classifier", "--config", json.dumps(config)),
            *(
                "--dataset",
                self.dataset,
                "--root",
                self.data.root,
                "--regions",
                self.regions,
                "--saliency",
                "",
                "--step",
                "1",
            ),
            *("--output", self.folder / name / "model.safetensors"),
            *("--curve", self.folder / name / "curve.csv", "--work", self.work),
            *("--device", "cpu", "--log", self.folder / f"{name}.log", *more),
        ]

    def result(self, name):
        """Return the bytes of a model and its curve."""
        return tuple(
            (self.folder / name / f).read_bytes() for f in ("model.safetensors", "curve.csv")
        )


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def stop_after(monkeypatch, *steps):
    """Ask for a stop after these steps, counted over all attempts."""
    count = iter(range(1, 1000))
    save_if_due = _checkpointing.Checkpoints.save_if_due

    def asking(self, progress, *, stop):
        save_if_due(self, progress, stop=signal.SIGTERM if next(count) in steps else stop)

    monkeypatch.setattr(_checkpointing.Checkpoints, "save_if_due", asking)


@pytest.mark.parametrize(
    ("stops", "workers"),
    [
        ([1], 0),
        ([4, 6], 2),
        (range(1, 10), 0),
        *(
            pytest.param(stops, workers, marks=pytest.mark.long)
            for stops, workers in [([3], 0), ([9], 0), ([3], 2), ([9], 2), (range(1, 10), 2)]
        ),
    ],
)
def test_a_stopped_training_resumes_to_the_same_bytes(project, monkeypatch, stops, workers):
    whole = project.train("whole")
    stop_after(monkeypatch, *stops)
    for _ in stops:
        with pytest.raises(Stopped, match=r"stopped in epoch \d after step \d by SIGTERM"):
            project.train("parts", workers=workers)
    assert project.train("parts", workers=workers) == whole
    assert not project.work.exists()


def test_every_step_is_taken_once(project, monkeypatch):
    stop_after(monkeypatch, 4)
    seen = []
    save_if_due = _checkpointing.Checkpoints.save_if_due

    def noting(self, progress, *, stop):
        seen.append((progress.epoch, progress.step))
        save_if_due(self, progress, stop=stop)

    monkeypatch.setattr(_checkpointing.Checkpoints, "save_if_due", noting)
    with pytest.raises(Stopped):
        project.train("parts")
    project.train("parts")
    assert seen == [(epoch, step) for epoch in range(3) for step in (1, 2, 3)]
    assert len(seen) == STEPS


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 4},
        {"mining.train": CONFIG["mining.train"] | {"learning_rate": 0.5}},
        {"networks": CONFIG["networks"] | {"dropout": 0.1}},
    ],
)
def test_a_checkpoint_with_other_settings_is_not_resumed(project, monkeypatch, change):
    other = project.train("other", config=CONFIG | change)
    stop_after(monkeypatch, 4)
    with pytest.raises(Stopped):
        project.train("left")
    assert project.train("again", config=CONFIG | change) == other


def test_a_checkpoint_of_other_photographs_is_not_resumed(project, monkeypatch):
    stop_after(monkeypatch, 4)
    with pytest.raises(Stopped):
        project.train("left")
    manifest = read_images(project.dataset)
    first, *others = manifest.images
    images = (replace(first, labels=("cat", "dog")), *others)
    write_manifest(project.dataset, replace(manifest, images=images))
    whole = project.train("whole", work=project.folder / "elsewhere")
    assert project.train("again") == whole


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", None])
def test_a_broken_checkpoint_is_not_resumed(project, monkeypatch, content):
    whole = project.train("whole")
    stop_after(monkeypatch, 4)
    with pytest.raises(Stopped):
        project.train("left")
    checkpoint = project.work / "checkpoint.safetensors"
    checkpoint.write_bytes(checkpoint.read_bytes()[:-1000] if content is None else content)
    assert project.train("left") == whole


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, marks=pytest.mark.long),
        pytest.param(signal.SIGKILL, marks=pytest.mark.slow),
    ],
)
def test_a_killed_training_resumes_from_its_checkpoint(project, number):
    # Long enough that the signal comes before its end.
    config = CONFIG | {"mining.train": CONFIG["mining.train"] | {"epochs": 60}}
    whole = project.train("whole", config=config)
    slow = subprocess.Popen(
        project.command("killed", "--workers", "1", config=config),
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
    )
    checkpoint = project.work / "checkpoint.safetensors"
    while not checkpoint.exists():
        assert slow.poll() is None
        time.sleep(0.01)
    os.killpg(slow.pid, number)
    message = slow.communicate()[1]
    if number != signal.SIGKILL:
        assert slow.returncode == 128 + number
        assert f"by {signal.Signals(number).name}; run the same command to resume" in message
        assert "Traceback" not in message
    assert not (project.folder / "killed" / "model.safetensors").exists()
    subprocess.run(project.command("killed", config=config), check=True)
    assert "resumes in epoch" in Path(project.folder / "killed.log").read_text()
    assert project.result("killed") == whole


def test_a_second_training_reports_the_holder_of_the_lock(project):
    with locked(project.work, key="x"):
        result = subprocess.run(
            project.command("second"), capture_output=True, text=True, check=False
        )
        assert result.returncode == 1
        assert f"{project.work}: is in use by process {os.getpid()} on " in result.stderr
        assert "wait for it, or stop it with kill" in result.stderr
        assert "Traceback" not in result.stderr


def test_a_lock_file_without_a_holder_is_no_obstacle(project):
    project.work.mkdir()
    (project.work / "lock").write_text('{"pid": 1, "host": "elsewhere", "since": "2020"}')
    project.train("model")


def test_a_work_folder_with_other_things_keeps_them(project):
    project.work.mkdir()
    (project.work / "thesis.txt").write_text("years of work")
    project.train("model")
    assert [path.name for path in project.work.iterdir()] == ["thesis.txt"]


def test_an_error_keeps_the_checkpoint(tmp_path):
    with pytest.raises(AepslError), locked(tmp_path / "work", key="x") as work:
        work.save({"a": torch.ones(2)}, {"epoch": 1})
        raise AepslError.of("x", "y", "z")
    with locked(tmp_path / "work", key="x") as work:
        tensors, progress = work.load()
        assert tensors["a"].tolist() == [1, 1]
        assert progress == {"epoch": 1}


def test_torchrun_may_pass_on_a_signal_that_has_already_come():
    with stop_request(obeys_second=False) as request:
        for number in (signal.SIGTERM, signal.SIGTERM):
            os.kill(os.getpid(), number)
        assert request.number == signal.SIGTERM


def test_signals_are_noted_and_the_second_is_obeyed():
    with stop_request() as request:
        assert request.number is None
        os.kill(os.getpid(), signal.SIGTERM)
        assert request.number == signal.SIGTERM
        with pytest.raises(Stopped, match="SIGINT"):
            os.kill(os.getpid(), signal.SIGINT)
    assert isinstance(request, StopRequest)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
