"""Photographs as people have them, through the real workflow."""

import json
import re

import numpy as np
import pytest
import yaml
from conftest import new_project
from PIL import Image

from aepsl.stores.records import Store

CRACKS = {
    "run": "cracks",
    "data": {
        "adapter": "folder",
        "root": "my photographs",
        "class_names": ["a crack"],
        "mask_folder": "masks",
        "eval_fraction": 0.4,
    },
    "networks": {"width": 0.0625},
    "mining": {"loss": "sigmoid", "steps": 2, "train": {"epochs": 1, "batch_size": 3, "crop": 65}},
    "segmentation": {"relabel_rounds": 1, "train": {"epochs": 1, "batch_size": 3, "crop": 65}},
    "saliency": {"superpixels": 40},
    "report": {"predictions": 2},
    "runtime": {"cache": None},
}


def photographs_of_cracks(root):
    """Write five photographs of a crack and five of a wall, with masks of the cracks."""
    random = np.random.default_rng(0)
    for number in range(10):
        wall = random.integers(90, 120, (66, 70, 3), np.uint8)
        folder = root / "background" if number % 2 else root / "a crack" / "façade"
        mask = np.zeros(wall.shape[:2], np.uint8)
        if not number % 2:
            wall[:, 30:36], mask[:, 30:36] = 10, 1
        folder.mkdir(parents=True, exist_ok=True)
        name = f"photo {number}"
        Image.fromarray(wall).save(folder / f"{name}.png")
        (root / "masks").mkdir(exist_ok=True)
        Image.fromarray(mask).save(root / "masks" / f"{name}.png")


@pytest.mark.slow
def test_one_class_and_photographs_that_show_nothing(tmp_path, snakemake):
    folder = new_project(tmp_path)
    photographs_of_cracks(folder / "my photographs")
    (folder / "cracks.yaml").write_text(yaml.safe_dump(CRACKS))
    result = snakemake(folder, "--configfile", "cracks.yaml")
    results = folder / "results/cracks"
    scores = json.loads((results / "scores.json").read_text())
    assert "a crack" in json.dumps(scores)
    assert "pseudo-labels" in result.stdout
    labels = Store([results / "labels/main/0.json"], kind="labels")
    empty = [image_id for image_id in labels.ids() if image_id.startswith("background")]
    assert len(empty) == 3  # two of five are in the other split
    for image_id in empty:
        assert not labels[image_id].arrays["mask"].any()
    cracked = next(image_id for image_id in labels.ids() if image_id not in empty)
    assert cracked.startswith("a crack__façade__photo ")
    assert labels[cracked].arrays["mask"].any()
    assert (
        json.dumps("a crack__façade__photo")[:-1] in (results / "report/data/0000.js").read_text()
    )


@pytest.mark.slow
def test_the_paper_s_loss_refuses_what_it_cannot_learn(tmp_path, snakemake):
    folder = new_project(tmp_path)
    photographs_of_cracks(folder / "my photographs")
    squared = CRACKS | {"mining": CRACKS["mining"] | {"loss": "squared"}}
    (folder / "cracks.yaml").write_text(yaml.safe_dump(squared))
    result = snakemake(folder, "--configfile", "cracks.yaml", check=False)
    assert "data.class_names: one class only" in result.stderr
    assert "set mining.loss: sigmoid" in result.stderr
    two = squared | {"data": squared["data"] | {"class_names": ["a crack", "a stain"]}}
    (folder / "cracks.yaml").write_text(yaml.safe_dump(two))
    result = snakemake(folder, "--configfile", "cracks.yaml", check=False)
    assert result.returncode == 1
    assert re.search(r"image background__photo \d: has no labels", result.stderr)
    assert "with mining.loss: sigmoid, it may show background only" in result.stderr
