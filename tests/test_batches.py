"""Batches of photographs for a network: read ahead, results in order, equal to single ones."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import settings_of

from aepsl.config.sections import StageSettings
from aepsl.device import Compute
from aepsl.stages import _batches, extract_cams, predict, relabel
from aepsl.stages._batches import batches_of_one_size, in_batches
from aepsl.stores.manifests import ImageEntry
from aepsl.stores.records import Store


def image(name, height=2, width=3):
    return ImageEntry(name, f"{name}.png", height, width, (0, 0, 0), "", ())


def test_batches_have_one_size_and_few_pixels():
    images = [
        image("a"),
        image("b", 3, 2),
        image("c"),
        image("d"),
        image("e", 3, 2),
        image("f", 9, 9),
    ]
    batches = batches_of_one_size(images, pixels=12)
    assert [[one.id for one in batch] for batch in batches] == [
        ["a", "c"],
        ["b", "e"],
        ["d"],
        ["f"],
    ]
    assert [len(batch) for batch in batches_of_one_size(images, pixels=0)] == [1] * 6
    assert batches_of_one_size([], pixels=12) == []


class Recorder:
    """Reads, launches and collects, and remembers in which order."""

    def __init__(self, broken=None):
        self.events, self.broken = [], broken

    def read(self, one):
        if one.id == self.broken:
            raise OSError("broken")
        return np.zeros((one.height, one.width, 3), np.uint8)

    def launch(self, images, pixels):
        assert all(
            a.shape == (one.height, one.width, 3) for a, one in zip(pixels, images, strict=True)
        )
        names = "".join(one.id for one in images)
        self.events.append(f"launch {names}")

        def results():
            self.events.append(f"collect {names}")
            return [one.id.upper() for one in images]

        return results

    def __call__(self, images, monkeypatch, pixels):
        monkeypatch.setattr(_batches, "BATCH_PIXELS", {"cpu": pixels})
        compute = Compute(torch.device("cpu"))
        return in_batches(images, read=self.read, launch=self.launch, compute=compute, what="x")


@pytest.mark.parametrize("pixels", [0, 6, 12, 1000])
def test_results_come_in_order(monkeypatch, pixels):
    images = [image(name, *((2, 3) if n % 3 else (3, 2))) for n, name in enumerate("abcdefghij")]
    assert "".join(Recorder()(images, monkeypatch, pixels)) == "ABCDEFGHIJ"
    assert list(Recorder()([], monkeypatch, pixels)) == []


def test_a_batch_is_collected_after_the_next_is_launched(monkeypatch):
    recorder = Recorder()
    list(recorder([image(name) for name in "abcde"], monkeypatch, 12))
    assert recorder.events == [
        *("launch ab", "launch cd", "collect ab"),
        *("launch e", "collect cd", "collect e"),
    ]


def test_an_unreadable_photograph_reaches_the_caller(monkeypatch):
    results = Recorder(broken="d")([image(name) for name in "abcdef"], monkeypatch, 6)
    with pytest.raises(OSError, match="broken"):
        list(results)


RUN = Path("results/mini")


def stage(which, config, where, out, **more):
    """Run a stage on the miniature; return its store."""
    images = where / RUN / f"{more.pop('role', 'train')}_images/main/manifest.jsonl"
    root = next((where / RUN / "scenes").glob("*"))
    which(StageSettings(config), images, root, output=out / "0.h5", device="cpu", **more)
    return Store([out / "0.json"], kind=None)


def both_ways(monkeypatch, tmp_path, *arguments, **more):
    """Return the records of a stage computed one by one, and in one batch."""
    found = []
    for name, pixels in (("single", 0), ("batched", 10**9)):
        monkeypatch.setattr(_batches, "BATCH_PIXELS", {"cpu": pixels})
        store = stage(*arguments, tmp_path / name, **more)
        found.append({name: store[name] for name in store.ids()})
    single, batched = found
    assert list(single) == list(batched)
    return [(single[name], batched[name]) for name in single]


CAMS = {"cam_scales": [0.5, 1], "cam_flip": True, "cam_merge": "normalised_mean"}


def test_cams_of_a_batch_are_those_of_single_photographs(finished_miniature, tmp_path, monkeypatch):
    where = finished_miniature / RUN
    pairs = both_ways(
        monkeypatch,
        tmp_path,
        extract_cams.extract_cams,
        settings_of("extract_cams", {"mining": CAMS}, step=2),
        finished_miniature,
        model=where / "classifier/main/step2/model.safetensors",
        regions=[where / "regions/main/step1/0.json"],
        step=2,
    )
    for single, batched in pairs:
        assert list(single.facts["classes"]) == list(batched.facts["classes"])
        np.testing.assert_allclose(single.arrays["cam"], batched.arrays["cam"], atol=2e-2)


@pytest.mark.parametrize("which", ["predict", "relabel"])
def test_masks_of_a_batch_are_those_of_single_photographs(
    finished_miniature, tmp_path, monkeypatch, which
):
    where = finished_miniature / RUN
    model = where / "segmentation/main/round0/model.safetensors"
    function = {"predict": predict.predict, "relabel": relabel.relabel}[which]
    config = {"segmentation": {"relabel_rounds": 1}, "prediction": {"flip": True}}
    extra = {"corrected": []} if which == "relabel" else {}
    settings = settings_of(which, config, round=1 if which == "relabel" else 0)
    pairs = both_ways(
        monkeypatch, tmp_path, function, settings, finished_miniature, model=model, **extra
    )
    for single, batched in pairs:
        assert (single.arrays["mask"] == batched.arrays["mask"]).mean() > 0.99
