"""Saliency as supervision of the class maps, and the suppression of the strongest responses."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from aepsl.grid import Grid
from aepsl.mining.cam import class_probability_maps
from aepsl.mining.supervision import (
    DECIDED,
    FULL_SALIENCY,
    estimated_saliency,
    on_cells,
    saliency_loss,
)
from aepsl.networks.layers import suppress
from aepsl.networks.models import Classifier, NetworkShape, SalientClassifier

THIN = NetworkShape(width=1 / 16, fc6_dilation=1)


def scores_of(probabilities):
    """Return the scores whose softmax is given, (1 + classes, h, w), as a batch of one."""
    return torch.tensor(np.array(probabilities, np.float32)).log()[None]


def test_saliency_on_cells_literal():
    # Stride 2: cells are aligned with pixels 0 and 2, and average up to 3 x 3 pixels.
    pixels = torch.tensor([[[0, 254, 254], [127, 255, 255], [0, 0, 255]]], dtype=torch.uint8)
    saliency, known = on_cells(pixels, grid=Grid(2))
    top = [(0 + 1 + 0.5) / 3, (1 + 1) / 2]
    bottom = [(0.5 + 0 + 0) / 3, 0]
    assert saliency[0].numpy() == pytest.approx(np.array([top, bottom]))
    assert known[0].numpy() == pytest.approx(np.array([[3 / 4, 2 / 4], [3 / 4, 1 / 4]]))


def test_every_cell_of_a_network_has_a_saliency():
    for side in (1, 8, 9, 161, 321):
        cells = Classifier(classes=1, shape=THIN).eval().features(torch.zeros(1, 3, side, side))
        pixels = torch.zeros(1, side, side, dtype=torch.uint8)
        assert on_cells(pixels, grid=Grid(8)).saliency.shape[1:] == cells.shape[2:]


def test_composed_saliency_literal():
    # Two classes, two cells; only the first class is present.
    cells = scores_of([[[0.2, 0.7]], [[0.6, 0.2]], [[0.2, 0.1]]])
    present = torch.tensor([[1.0, 0.0]])
    # Its region, the first cell, is salient: (p1 + 1 - p0) / 2.
    salient = estimated_saliency(cells, present, torch.tensor([[[1.0, 0.0]]]), overlap=0.4)
    assert salient[0, 0].tolist() == pytest.approx([(0.6 + 0.8) / 2, (0.2 + 0.3) / 2])
    # It is not salient, so the class is part of what is not: (0 + 1 - p0 - p1) / 2.
    hidden = estimated_saliency(cells, present, torch.tensor([[[0.0, 1.0]]]), overlap=0.4)
    assert hidden[0, 0].tolist() == pytest.approx([(1 - 0.2 - 0.6) / 2, (1 - 0.7 - 0.2) / 2])


def test_the_overlap_decides_which_classes_are_foreground():
    # The region is both cells, of which one is salient: a half.
    cells = scores_of([[[0.1, 0.1]], [[0.9, 0.9]]])
    one, saliency = torch.ones(1, 1), torch.tensor([[[1.0, 0.0]]])
    assert estimated_saliency(cells, one, saliency, overlap=0.4)[0, 0, 0].item() > 0.5
    assert estimated_saliency(cells, one, saliency, overlap=0.5)[0, 0, 0].item() < 0.5


def plain_loss(cells, labels, pixels, stride, overlap):
    """Return the loss by a loop over images, classes and cells."""
    total = weight = 0.0
    for scores, present, image in zip(cells, labels, pixels, strict=True):
        probabilities = np.exp(scores) / np.exp(scores).sum(axis=0)
        height, width = scores.shape[1:]
        saliency, known = np.zeros((height, width)), np.zeros((height, width))
        for y in range(height):
            for x in range(width):
                rows = slice(max(0, y * stride - stride // 2), y * stride + stride // 2 + 1)
                columns = slice(max(0, x * stride - stride // 2), x * stride + stride // 2 + 1)
                window = image[rows, columns]
                seen = window[window != 255]
                known[y, x] = len(seen) / window.size
                saliency[y, x] = seen.mean() / 254 if len(seen) else 0
        composed = np.full((height, width), 0.5) - 0.5 * probabilities[0]
        for number in np.flatnonzero(present):
            own = probabilities[1 + number]
            inside = (saliency > 0.5)[own > 0.5]
            foreground = len(inside) > 0 and inside.mean() > overlap
            composed += 0.5 * own if foreground else -0.5 * own
        total += (known * (composed - saliency) ** 2).sum()
        weight += known.sum()
    return total / max(weight, 1)


@given(st.integers(0, 9999), st.integers(1, 3), st.integers(1, 4), st.sampled_from([2, 4, 8]))
def test_loss_against_a_plain_loop(seed, images, classes, stride):
    rng = np.random.default_rng(seed)
    side = int(rng.integers(2, 40))
    grid = -(-side // stride)
    cells = rng.normal(0, 3, (images, 1 + classes, grid, grid))
    labels = (rng.random((images, classes)) < 0.5).astype(float)
    pixels = rng.integers(0, 256, (images, side, side)).astype(np.uint8)
    pixels[:, : int(rng.integers(0, side))] = 255
    overlap = float(rng.random())
    averages = on_cells(torch.tensor(pixels), grid=Grid(stride)).saliency
    assume(((averages - DECIDED).abs() > 1e-5).all())  # in another order, sums round to either side
    ours = saliency_loss(
        torch.tensor(cells),
        torch.tensor(labels),
        torch.tensor(pixels),
        grid=Grid(stride),
        overlap=overlap,
    )
    expected = plain_loss(cells, labels, pixels, stride, overlap)
    assert ours.item() == pytest.approx(expected, rel=1e-5, abs=1e-7)


def test_unknown_saliency_teaches_nothing():
    cells = torch.randn(1, 3, 4, 4, requires_grad=True)
    loss = saliency_loss(
        cells,
        torch.ones(1, 2),
        torch.full((1, 32, 32), 255, dtype=torch.uint8),
        grid=Grid(8),
        overlap=0.4,
    )
    loss.backward()
    assert loss.item() == 0
    assert not cells.grad.any()


def test_training_by_saliency_finds_the_region():
    # A class map without any cue but saliency takes its form.
    saliency = torch.zeros(1, 32, 32, dtype=torch.uint8)
    saliency[:, 4:21, 4:21] = FULL_SALIENCY  # all around the cells 1 and 2
    cells = torch.zeros(1, 2, 4, 4, requires_grad=True)
    with torch.no_grad():
        cells[:, 1, 1:3, 1:3] = 0.5
    optimizer = torch.optim.SGD([cells], lr=20)
    for _ in range(200):
        optimizer.zero_grad()
        saliency_loss(cells, torch.ones(1, 1), saliency, grid=Grid(8), overlap=0.4).backward()
        optimizer.step()
    found = (cells.softmax(dim=1)[0, 1] > 0.5).numpy()
    assert found.astype(int).tolist() == [[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]


def test_probability_maps_literal():
    cells = scores_of([[[0.2]], [[0.4]], [[0.4]]])
    maps = class_probability_maps(cells, torch.tensor([[1.0, 0.0]]))
    assert maps[0, :, 0, 0].tolist() == pytest.approx([0.4 / 0.6, 0])
    nothing = class_probability_maps(cells, torch.tensor([[0.0, 0.0]]))
    assert nothing[0, :, 0, 0].tolist() == [0, 0]


def test_suppression_literal():
    features = torch.tensor([[[[1.0, 4.0]], [[0.0, 0.0]]]])
    assert suppress(features, fraction=0.5).tolist() == [[[[1.0, 2.0]], [[0.0, 0.0]]]]


def test_suppression_is_of_each_image_and_changes_the_maps_only():
    plain = Classifier(classes=2, shape=THIN).eval()
    shape = NetworkShape(width=1 / 16, fc6_dilation=1, suppression=0.5)
    suppressed = Classifier(classes=2, shape=shape).eval()
    suppressed.load_state_dict(plain.state_dict())  # it has no weights of its own
    images = torch.rand(2, 3, 65, 65) * 255
    with torch.inference_mode():
        both, features = suppressed.features(images), plain.features(images)
        alone = torch.cat([suppressed.features(image[None]) for image in images])
    assert torch.allclose(both, alone, atol=1e-5)
    expected = torch.minimum(features, features.amax(dim=(2, 3), keepdim=True) / 2)
    assert torch.equal(both, expected)


def test_scores_of_a_classifier_with_background_are_the_means_of_its_cells():
    network = SalientClassifier(classes=3, shape=THIN).eval()
    with torch.inference_mode():
        cells, image = network(torch.rand(2, 3, 65, 65) * 255)
    assert cells.shape == (2, 4, 9, 9)
    assert torch.allclose(cells[:, 1:].mean(dim=(2, 3)), image, atol=1e-5)
