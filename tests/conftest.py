"""Shared fixtures: where the photographs are, small datasets in VOC's layout, real runs."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data():
    """Return the folder of real photographs and weights, or skip and say how to set it."""
    folder = Path(os.environ.get("AEPSL_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "voc").is_dir():
        pytest.skip(f"no real data: {folder}/voc is absent; set AEPSL_DATA to where it lies")
    return folder


class VocFolder:
    """A tiny dataset in VOC's layout, to break in one way at a time."""

    def __init__(self, root: Path, ids=("a", "b", "c")):
        self.root, self.ids = root, list(ids)
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


@pytest.fixture
def voc_folder(tmp_path):
    """Return a valid tiny dataset."""
    return VocFolder(tmp_path / "photographs")


def run_snakemake(folder, *arguments, check=True):
    """Run the real Snakemake in a folder."""
    result = subprocess.run(
        ["timeout", "-k", "30", "600", "snakemake", "--cores", "2", *arguments],
        cwd=folder,
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
