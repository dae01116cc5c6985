"""Local refinement: against its definition, pixel by pixel."""

import numpy as np
import torch

from aepsl.config.root import Config
from aepsl.segmentation.crf import LocalOptions, refine, refine_options
from aepsl.segmentation.local import DILATIONS, TEMPERATURE, affinities, refine_locally


def by_definition(image, probabilities):
    """Refine once, one pixel at a time; (3, h, w) and (classes, h, w)."""
    height, width = image.shape[1:]
    refined = np.zeros_like(probabilities)
    for y in range(height):
        for x in range(width):
            places = [
                (min(max(y + dy * step, 0), height - 1), min(max(x + dx * step, 0), width - 1))
                for step in DILATIONS
                for dy in (-1, 0, 1)
                for dx in (-1, 0, 1)
                if (dy, dx) != (0, 0)
            ]
            colours = np.array([image[:, a, b] for a, b in places])
            scale = TEMPERATURE * colours.std(axis=0) + 1e-3
            similar = -(np.abs(colours - image[:, y, x]) / scale).mean(axis=1)
            weights = np.exp(similar - similar.max())
            weights /= weights.sum()
            refined[:, y, x] = sum(
                weight * probabilities[:, a, b]
                for weight, (a, b) in zip(weights, places, strict=True)
            )
    return refined


def test_it_is_the_weighted_mean_over_the_neighbours():
    rng = np.random.default_rng(0)
    image, probabilities = rng.random((3, 9, 7)) * 255, rng.dirichlet([1, 1, 1], (9, 7))
    probabilities = np.moveaxis(probabilities, -1, 0)
    batch = torch.tensor(image)[None], torch.tensor(probabilities)[None]
    ours = refine_locally(*batch, iterations=1)[0].numpy()
    np.testing.assert_allclose(ours, by_definition(image, probabilities), atol=1e-6)
    twice = refine_locally(*batch, iterations=2)[0].numpy()
    np.testing.assert_allclose(twice, by_definition(image, ours), atol=1e-6)
    np.testing.assert_allclose(twice.sum(axis=0), 1)


def test_in_one_colour_all_neighbours_weigh_the_same():
    weights = affinities(torch.full((1, 3, 4, 5), 200.0))
    assert weights.shape == (1, 8 * len(DILATIONS), 4, 5)
    torch.testing.assert_close(weights, torch.full_like(weights, 1 / weights.shape[1]))


def test_a_class_fills_its_colour_and_stops_at_its_edge():
    image = torch.zeros(1, 3, 60, 80)
    image[..., 40:] = 250
    probabilities = torch.full((1, 2, 60, 80), 0.5)
    probabilities[0, :, 25:35, 45:60] = torch.tensor([0.1, 0.9])[:, None, None]
    probabilities[0, :, 25:35, 20:35] = torch.tensor([0.9, 0.1])[:, None, None]
    mask = refine_locally(image, probabilities, iterations=20).argmax(dim=1)[0]
    assert mask[5:55, 41:75].all()
    assert not mask[5:55, 5:39].any()


def test_a_batch_is_refined_as_its_images():
    images, probabilities = torch.rand(3, 3, 12, 15) * 255, torch.rand(3, 4, 12, 15)
    together = refine_locally(images, probabilities, iterations=3)
    for number in range(3):
        one = slice(number, number + 1)
        alone = refine_locally(images[one], probabilities[one], iterations=3)
        torch.testing.assert_close(together[one], alone)


def test_masks_have_the_classes_that_reach_the_threshold():
    rng = np.random.default_rng(1)
    image = rng.integers(0, 255, (20, 30, 3), dtype=np.uint8)
    probabilities = rng.dirichlet([2, 1, 1], (20, 30)).transpose(2, 0, 1).astype(np.float32) * 0.9
    probabilities = np.insert(probabilities, 2, 0.05, axis=0)  # class 2 stays below p
    mask = refine(image, probabilities, threshold=0.1, options=LocalOptions(4))
    present = torch.from_numpy(probabilities[[0, 1, 3]])[None]
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    best = refine_locally(pixels, present, iterations=4)[0].argmax(dim=0).numpy()
    assert mask.tolist() == np.array([0, 1, 3])[best].tolist()
    sure = np.stack([np.full((20, 30), 0.95), np.full((20, 30), 0.05)]).astype(np.float32)
    assert not refine(image, sure, threshold=0.1, options=LocalOptions(4)).any()


def test_it_needs_no_pydensecrf(monkeypatch):
    from aepsl.workflow import stages

    monkeypatch.setattr(stages, "has_crf", lambda: False)
    assert not stages.uses_crf(Config(run="x"))
    local = Config(run="x", crf={"method": "local"})
    assert stages.uses_crf(local)
    assert refine_options(**local.crf.kernels()) == LocalOptions(10)
