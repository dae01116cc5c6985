"""``aepsl check`` on folders of photographs."""

import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from aepsl.cli import app
from aepsl.errors import AepslError


@pytest.fixture
def photographs(tmp_path, monkeypatch):
    """Return a folder with 40 photographs of two classes, half of each for training."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    root = tmp_path / "photos"
    for split in ("train", "val"):
        for name in ("my cat", "dog"):
            (root / split / name).mkdir(parents=True)
            for number in range(20 if split == "train" else 2):
                cells = random.integers(0, 255, (8, 9, 3), np.uint8)
                image = Image.fromarray(cells).resize((300, 320))
                image.save(root / split / name / f"{number}.png")
    (tmp_path / "photos.yaml").write_text(
        "base: photographs\n"
        "data: { adapter: folder, root: photos, class_names: [dog, my cat] }\n"
        "networks: { weights: random, frozen_blocks: 0 }\n"
    )
    return root


def run(*arguments):
    result = CliRunner().invoke(app, ["check", "photos.yaml", *arguments])
    if isinstance(result.exception, AepslError):
        raise result.exception
    return result


def test_a_good_dataset(photographs):
    result = run()
    assert result.exit_code == 0, result.output
    lines = [" ".join(line.strip("│ ").split()) for line in result.output.splitlines()]
    assert "dog │ 20 │ 2" in lines
    assert "photographs │ 40 │ 4" in lines
    assert "Longer side: 320 to 320 px, median 320 px." in lines
    # VGG-16's convolutions, fc6 and fc7 with 1024 channels, the classes' weights
    assert "Network: vgg16 and largefov, 20.5 million parameters." in lines
    # three trainings of 8 epochs and one of 16, 40 photographs
    assert re.fullmatch(r"Trainings: about [1-9]\d* min on this machine \(cpu\)\.", lines[-2])
    assert lines[-1] == "Enough to start with: at least 20 photographs of each class."


def test_what_is_wrong_is_told_once_and_ends_with_status_1(photographs):
    for number in range(5):
        (photographs / f"train/dog/{number}.png").write_bytes(b"no image")
    shutil.copy(photographs / "train/dog/7.png", photographs / "val/dog/again.png")
    with Image.open(photographs / "train/dog/8.png") as image:
        image.resize((200, 210)).save(photographs / "val/dog/near.jpg", quality=60)
    (photographs / "train/my cta").mkdir()
    shutil.copy(photographs / "val/my cat/0.png", photographs / "train/my cta/new.png")
    result = run()
    said = " ".join(result.output.split())
    assert result.exit_code == 1
    assert "0.png and 4 more: not a readable image format" in said
    assert "unknown label 'my cta' Hint: did you mean my cat?" in said
    assert "! the same file in two splits: 1 pair(s)" in said
    assert "- nearly the same picture in two splits: 1 pair(s)" in said
    assert said.endswith("Not yet: 6 problems.")


def test_small_photographs_are_cropped_less_and_are_not_small(photographs):
    """A crop of 256 px takes at most the largest photograph: half of it is 35 px, not 128."""
    for file in photographs.rglob("*.png"):
        with Image.open(file) as image:
            small = image.resize((60, 70))
        small.save(file)
    assert "training crop" not in run().output


def test_for_programs(photographs):
    (photographs / "train/dog/0.png").write_bytes(b"no image")
    result = run("--json")
    about = json.loads(result.stdout)
    assert result.exit_code == 1
    assert about["photographs"] == {"train": 39, "val": 4}
    assert about["classes"]["train"] == {"dog": 19, "my cat": 20}
    assert about["problems"][0]["what"] == "not a readable image format"
    assert about["findings"][0]["what"] == "fewer than 20 training photographs: dog (19)"
    assert about["verdict"].startswith("Not yet")


def test_a_configuration_that_cannot_be_used(photographs):
    with pytest.raises(AepslError, match="the file or folder does not exist"):
        run("--config", "data={root: nowhere}")
    with pytest.raises(AepslError, match="scenes are generated"):
        run("--config", "data={adapter: scenes}")
