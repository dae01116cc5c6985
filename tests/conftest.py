"""Shared fixtures: paths of real data, small datasets in VOC's layout, finished runs."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from hypothesis import settings
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent

# The same inputs in each run, whatever the order of the tests; make fuzz draws new ones.
settings.register_profile("fixed", deadline=None, derandomize=True)
settings.register_profile("drawn", deadline=None, database=None, print_blob=True)
settings.load_profile("drawn" if "AEPSL_FUZZ" in os.environ else "fixed")


def pytest_configure(config):
    """Make the tests independent of how they are started.

    A shell that starts a command in the background lets it and all its children ignore Ctrl-C.
    Each of several workers gets one thread: those of torch wait for each other by spinning.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(config, "workerinput"):
        torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def fixed_seed():
    """Let a test draw the same numbers, whichever tests ran before it."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def shared_data():
    """Return the folder of real photographs and weights, or skip the test."""
    folder = Path(os.environ.get("AEPSL_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "voc").is_dir():
        pytest.skip(f"no real data: {folder}/voc is absent; set AEPSL_DATA to where it lies")
    return folder


class VocFolder:
    """A tiny dataset in VOC's layout, which tests corrupt."""

    def __init__(self, root: Path, ids=("a", "b", "c"), make=True):
        self.root, self.ids = root, list(ids)
        if not make:
            return
        for name in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
            (root / name).mkdir(parents=True)
        rng = np.random.default_rng(0)
        for image_id in self.ids:
            pixels = rng.integers(0, 255, (40, 48, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(self.image(image_id))
            Image.fromarray(np.zeros((40, 48), np.uint8)).save(self.mask(image_id))
        self.write_split("train", self.ids[:2])
        self.write_split("val", self.ids[2:])
        self.write_labels([(image_id, "cat") for image_id in self.ids])

    def image(self, image_id, suffix=".png"):
        return self.root / "JPEGImages" / f"{image_id}{suffix}"

    def mask(self, image_id):
        return self.root / "SegmentationClass" / f"{image_id}.png"

    @property
    def labels(self):
        return self.root / "labels.csv"

    def write_split(self, name, ids):
        path = self.root / "ImageSets" / "Segmentation" / f"{name}.txt"
        path.write_text("".join(f"{image_id}\n" for image_id in ids))

    def write_labels(self, rows):
        lines = ["image,labels", *(f"{image_id},{labels}" for image_id, labels in rows)]
        self.labels.write_text("\n".join(lines) + "\n")

    SETTINGS: ClassVar = {
        "data.adapter": "voc",
        "data.class_names": ["cat", "dog"],
        "data.classes": None,
        "data.limit_per_class": None,
        "data.labels": "csv",
        "data.train_split": "train",
        "data.eval_split": "val",
        "data.mask_folder": "SegmentationClass",
        "mining.loss": "squared",
    }

    def settings(self, **data):
        """Return what the stages that index are given."""
        from aepsl.config.sections import StageSettings

        return StageSettings(self.SETTINGS | {f"data.{key}": value for key, value in data.items()})

    def index(self, output, role="train", threads=1, **data):
        """Index one split as its stage does; return its manifest."""
        from aepsl.stages.index_images import index_images
        from aepsl.stores.manifests import read_images

        index_images(
            self.settings(**data),
            role=role,
            root=self.root,
            labels_csv=None if data.get("labels") == "xml" else self.labels,
            output=output,
            threads=threads,
        )
        return read_images(output)

    def index_truth(self, dataset, output, **data):
        """Index the true masks of the images in a manifest; return theirs."""
        from aepsl.stages.index_truth import index_truth
        from aepsl.stores.manifests import read_truth

        index_truth(self.settings(**data), dataset=dataset, root=self.root, output=output)
        return read_truth(output)


@pytest.fixture
def voc_folder(tmp_path):
    """Return a valid tiny dataset."""
    return VocFolder(tmp_path / "photographs")


def settings_of(stage, config=None, **at):
    """Return the settings that a stage is given under a configuration of the scenes."""
    from aepsl.config.sections import StageSettings
    from aepsl.workflow.plan import Plan
    from aepsl.workflow.stages import ResultIndex

    return StageSettings(
        json.loads(Plan(config or {}).variants.settings(stage, "main", ResultIndex(**at)))
    )


def run_snakemake(folder, *arguments, check=True, env=None):
    """Run the real Snakemake in a folder."""
    result = subprocess.run(
        ["timeout", "-k", "30", "600", "snakemake", "--cores", "2", *arguments],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    if check:
        assert result.returncode == 0, result.stdout + result.stderr
    return result


@pytest.fixture
def snakemake():
    """Return a function that runs the real Snakemake in a folder."""
    return run_snakemake


def new_project(folder):
    """Copy the files of a clone that Snakemake reads into ``folder``."""
    for name in ("Snakefile", "rules", "config.yaml", "envs", "profiles", "report"):
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
    return folder


def shared_folder(tmp_path_factory, worker_id, name, make):
    """Return a folder that one of the workers of this test run makes, once; not to be changed.

    For what takes long to make and is read by many tests, which may run on different workers: who
    comes first makes it, the others wait. A partially made one is made again.

    Args:
        tmp_path_factory: pytest's fixture.
        worker_id: pytest-xdist's fixture.
        name: of the folder, its own in the whole test suite.
        make: is called with the empty folder, to fill it.
    """
    base = tmp_path_factory.getbasetemp()
    top = base if worker_id == "master" else base.parent  # one for all workers
    folder, done = top / name, top / f"{name}.done"
    with (top / f"{name}.lock").open("w") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            done.touch()
    return folder


def run_miniature(folder):
    """Run the miniature of the scenes in a new project, with a cache next to it."""
    new_project(folder)
    shutil.copy(ROOT / "tests" / "mini.yaml", folder / "mini.yaml")
    keep = f'runtime={{"cache": "{folder.with_name("cache")}"}}'
    result = run_snakemake(folder, "--configfile", "mini.yaml", "--config", keep)
    (folder / "output.txt").write_text(result.stdout)


@pytest.fixture(scope="session")
def finished_miniature(tmp_path_factory, worker_id):
    """Return a finished miniature run; tests must not change it.

    The cache of its results is the folder ``cache`` next to it.
    """
    return shared_folder(tmp_path_factory, worker_id, "finished", run_miniature)


@pytest.fixture(scope="session")
def cluster():
    """Start SLURM, unless it runs; stop it if it was started here."""
    import cluster_setup

    ran = cluster_setup.running()
    try:
        cluster_setup.start()
    except cluster_setup.LabError as error:
        sys.stderr.write(f"\n\nNO SLURM HERE, ITS TESTS ARE SKIPPED: {error}\n\n")
        pytest.skip(f"no SLURM: {error}")
    yield cluster_setup
    if not ran:
        cluster_setup.stop()


@pytest.fixture
def fresh(tmp_path, cluster):
    """Return a function that makes a project, and clear the cluster of jobs afterwards."""
    from slurm_runs import project, until

    yield lambda **changes: project(tmp_path / "project", **changes)
    cluster.call("scancel", "--partition=lab", check=False)
    until("no jobs", lambda: not cluster.call("squeue", "-h").strip())


ELSEWHERE = {
    "slow": "make test-slow",
    "long": "make test-long",
    "slurm": "make test-cluster (root on Debian: it installs SLURM), then make test-slurm",
    "real_data": "AEPSL_DATA=<folder of photographs and weights> make test-data",
}
"""Markers of the tests that README's command leaves out, and what runs them."""


def pytest_terminal_summary(terminalreporter, config):
    """Say in a line each what was not run, and how to run it."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = Counter(report.longrepr[2].removeprefix("Skipped: ") for report in skipped)
    for reason, count in sorted(reasons.items()):
        terminalreporter.write_line(f"skipped, {count}: {reason}")
    for marker, command in ELSEWHERE.items():
        if f"not {marker}" in config.option.markexpr:
            terminalreporter.write_line(f"not run, {marker}: {command}")


def pytest_collection_modifyitems(items):
    """Run the tests of the finished miniature first, in one process: no other waits for it."""
    items.sort(key=lambda item: "finished_miniature" not in getattr(item, "fixturenames", ()))
