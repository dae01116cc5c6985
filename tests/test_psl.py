import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from aepsl.grid import Grid
from aepsl.networks.grids import resample
from aepsl.networks.models import NetworkShape, SegmentationNetwork
from aepsl.segmentation.inference import (
    grid_scores,
    predict_masks,
    upsample_probabilities,
    weighted_probabilities,
)
from aepsl.segmentation.psl import (
    auxiliary_masks,
    prohibitive_loss,
    segmentation_loss,
)


def log_of(pixels):
    """Return (1, classes, 1, n) log-probabilities from one row of probabilities a pixel."""
    return torch.tensor(pixels, dtype=torch.float64).T[None, :, None].log()


def test_j_literal():
    # two labelled pixels of three: -(ln 0.5 + ln 0.25) / 2
    scores = log_of([[0.5, 0.5], [0.75, 0.25], [0.1, 0.9]])
    masks = torch.tensor([[[0, 1, 255]]])
    expected = -(np.log(0.5) + np.log(0.25)) / 2
    assert segmentation_loss(scores, masks).item() == pytest.approx(expected)


def test_j_of_an_image_without_labels_is_zero():
    assert segmentation_loss(log_of([[0.5, 0.5]]), torch.tensor([[[255]]])).item() == 0


def test_auxiliary_mask_literal():
    # background, class 1, class 2; v prohibits class 2 and halves class 1
    scores = log_of([[0.2, 0.7, 0.1], [0.4, 0.6, 0.0], [0.1, 0.2, 0.7], [0.34, 0.33, 0.33]])
    v = torch.tensor([[0.5, 0.0]])
    # 0.2 < 0.35; 0.4 > 0.3; 0.1 = 0.2 * 0.5 is a tie, which the first class wins; 0.34
    assert auxiliary_masks(scores, v).tolist() == [[[1, 0, 0, 0]]]


def plain_psl(probabilities, masks, v):
    """Slow, from the paper's text alone."""
    total, auxiliary = 0.0, []
    for f, mask, scores in zip(probabilities, masks, v, strict=True):
        weights = [1.0, *scores]
        classes, height, width = f.shape
        hat = [
            [max(range(classes), key=lambda c: weights[c] * f[c][y][x]) for x in range(width)]
            for y in range(height)
        ]
        auxiliary.append(hat)
        for target in (mask, hat):
            spots = [(y, x) for y in range(height) for x in range(width) if target[y][x] != 255]
            if spots:
                total -= sum(np.log(f[target[y][x]][y][x]) for y, x in spots) / len(spots)
    return total / len(probabilities), auxiliary


@given(st.integers(0, 9999))
def test_psl_against_a_plain_loop(seed):
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (2, 4, 3, 5))
    log_probabilities = torch.tensor(logits).log_softmax(dim=1)
    masks = rng.choice([0, 1, 2, 3, 255], size=(2, 3, 5))
    v = rng.random((2, 3))
    loss, auxiliary = plain_psl(log_probabilities.exp().numpy(), masks.tolist(), v)
    assert auxiliary_masks(log_probabilities, torch.tensor(v)).tolist() == auxiliary
    ours = prohibitive_loss(log_probabilities, torch.tensor(masks), torch.tensor(v)).item()
    assert ours == pytest.approx(loss, rel=1e-9)


def test_no_gradient_through_the_auxiliary_mask():
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    v = torch.rand(1, 2, requires_grad=True)
    masks = torch.full((1, 4, 4), 255)
    prohibitive_loss(logits.log_softmax(dim=1), masks, v).backward()
    assert v.grad is None
    assert logits.grad.abs().sum() > 0


def test_threshold_p_literal():
    probabilities = torch.tensor([[0.05, 0.40, 0.09], [0.08, 0.35, 0.06], [0.87, 0.25, 0.08]])
    # column 3: every score is below p, which leaves the background
    assert predict_masks(probabilities[None, :, None], threshold=0.1).tolist() == [[[2, 0, 0]]]
    two = torch.tensor([[0.04, 0.09], [0.04, 0.11]])[:, :, None, None]
    assert predict_masks(two, threshold=0.1).tolist() == [[[0]], [[1]]]


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return SegmentationNetwork(classes=2, shape=NetworkShape(width=1 / 16, fc6_dilation=1)).eval()


@pytest.mark.parametrize("size", [(65, 49), (60, 50), (8, 9), (1, 1)])
def test_kept_scores_give_the_mask_of_the_full_scores(network, size):
    image = torch.rand(1, 3, *size) * 255
    kept = grid_scores(network, image, scales=[1.0], flip=False).log_pixels
    with torch.inference_mode():
        scores = network(image).pixels
    full = resample(scores, size, source=Grid(8)).softmax(dim=1)
    ours = upsample_probabilities(kept, size, grid=Grid(8))
    torch.testing.assert_close(ours, full, atol=1e-5, rtol=0)


def test_flipping_a_symmetric_network_changes_nothing(network):
    # An image that is its own mirror image, whose cells lie on pixels 0, 8, ..., 64.
    half = torch.rand(1, 3, 33, 33) * 255
    image = torch.cat([half, half[..., :-1].flip(3)], dim=3)
    plain = grid_scores(network, image, scales=[1.0], flip=False).log_pixels
    both = grid_scores(network, image, scales=[1.0], flip=True).log_pixels
    expected = (plain.exp() + plain.exp().flip(3)) / 2
    torch.testing.assert_close(both.exp(), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("flip", [False, True])
def test_scales_keep_the_cells(network, flip):
    image = torch.rand(1, 3, 50, 61) * 255
    scores = grid_scores(network, image, scales=[0.5, 1.0, 1.5], flip=flip)
    assert scores.log_pixels.shape == (1, 3, 7, 8)
    assert torch.isfinite(scores.log_pixels).all()
    assert scores.image.sum().item() == pytest.approx(1)


class Identity(torch.nn.Module):
    """A network of stride 1 that says of each pixel what the pixel says."""

    grid = photograph_grid = Grid(1)
    scale = 1

    def forward(self, images):
        class Scores:
            pixels = images.clamp(min=1e-6).log()
            image = images.mean(dim=(2, 3))[:, 1:]

        return Scores


def test_scores_of_scales_are_averaged_literally():
    rows = torch.tensor([[0.2, 0.5, 0.3], [0.6, 0.1, 0.3], [0.3, 0.3, 0.4]])  # row, class
    image = rows.T.reshape(1, 3, 3, 1).expand(1, 3, 3, 4)
    scores = grid_scores(Identity(), image, scales=[1, 2], flip=False)
    a, b, c = rows
    # Twice the size: a, 3/4 a + 1/4 b, 1/4 a + 3/4 b, ...; back to the size: logarithms by pairs.
    twice = [a, 0.75 * a + 0.25 * b, 0.25 * a + 0.75 * b, 0.75 * b + 0.25 * c]
    twice = torch.stack([*twice, 0.25 * b + 0.75 * c, c]).log()
    expected = (rows + ((twice[::2] + twice[1::2]) / 2).softmax(dim=1)) / 2
    for column in range(4):
        torch.testing.assert_close(scores.log_pixels[0].exp()[:, :, column].T, expected)


def test_batched_is_single(network):
    images = torch.rand(3, 3, 40, 40) * 255
    with torch.inference_mode():
        together = network(images).pixels
        alone = torch.cat([network(image[None]).pixels for image in images])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-6)


@given(st.integers(0, 9999))
def test_v_of_one_is_no_weighting(seed):
    rng = np.random.default_rng(seed)
    log_probabilities = torch.tensor(rng.normal(0, 2, (2, 4, 3, 5))).log_softmax(dim=1)
    ones = torch.ones(2, 3, dtype=torch.float64)
    plain = log_probabilities.argmax(dim=1)
    assert auxiliary_masks(log_probabilities, ones).equal(plain)
    masks = torch.tensor(rng.choice([0, 1, 2, 3, 255], size=(2, 3, 5)))
    unweighted = segmentation_loss(log_probabilities, masks) + segmentation_loss(
        log_probabilities, plain
    )
    assert prohibitive_loss(log_probabilities, masks, ones).item() == unweighted.item()


@given(st.integers(0, 9999))
def test_true_labels_never_mark_an_absent_class(seed):
    rng = np.random.default_rng(seed)
    logits = torch.tensor(rng.normal(0, 5, (3, 5, 4, 4)))
    labels = torch.tensor((rng.random((3, 4)) < 0.4).astype(float))
    masks = auxiliary_masks(logits.log_softmax(dim=1), labels)
    for mask, present in zip(masks, labels, strict=True):
        assert set(mask.unique().tolist()) <= {0, *(1 + present.nonzero().ravel()).tolist()}


def test_weighted_probabilities_literal():
    probabilities = torch.tensor([[[[0.3, 0.2]], [[0.4, 0.1]], [[0.3, 0.7]]]])
    same = {"size": (1, 2), "grid": Grid(1)}
    unweighted = weighted_probabilities(probabilities.log(), torch.ones(1, 2), **same)
    torch.testing.assert_close(unweighted, probabilities)
    # v halves class 1 and prohibits class 2: 0.3 to 0.2, and 0.2 to 0.05
    weighted = weighted_probabilities(probabilities.log(), torch.tensor([[0.5, 0.0]]), **same)
    expected = torch.tensor([[[[0.6, 0.8]], [[0.4, 0.2]], [[0.0, 0.0]]]])
    torch.testing.assert_close(weighted, expected)


@pytest.mark.parametrize("flip", [False, True])
def test_scores_of_a_batch_are_those_of_its_images(network, flip):
    images = torch.rand(3, 3, 41, 50) * 255
    options = {"scales": [0.5, 1.0], "flip": flip}
    together = grid_scores(network, images, **options)
    for number, image in enumerate(images):
        alone = grid_scores(network, image[None], **options)
        torch.testing.assert_close(together.log_pixels[number], alone.log_pixels[0])
        torch.testing.assert_close(together.image[number], alone.image[0])
