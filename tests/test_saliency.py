import cv2
import numpy as np
import pytest
from skimage.color import rgb2lab
from skimage.segmentation import slic

from aepsl.saliency.robust_background import (
    COMPACTNESS,
    LONGEST_SIDE,
    _Colours,
    _superpixels,
    boundary_connectivity,
    optimise,
    robust_background_saliency,
)


def test_boundary_connectivity_literal():
    # Three regions in a row, the outer two on the border; all colours far apart, so that each
    # region is its own area: length 1 / root of area 1 on the border, 0 inside.
    far = 1e4 * (1 - np.eye(3))
    on_border = np.array([True, False, True])
    neighbours = np.array([[0, 1], [1, 2]])
    assert boundary_connectivity(far, on_border, neighbours).round(6).tolist() == [1, 0, 1]
    # All alike: every region reaches all three, two of them on the border.
    alike = boundary_connectivity(np.zeros((3, 3)), on_border, neighbours)
    assert alike == pytest.approx([2 / np.sqrt(3)] * 3, abs=1e-5)


def test_optimum_has_no_slope():
    # The solution of equation 9 is where its gradient vanishes: nudging any value costs.
    rng = np.random.default_rng(0)
    foreground, background = rng.random((2, 6))
    colours = rng.random((6, 3)) * 20
    distance = np.linalg.norm(colours[:, None] - colours[None], axis=2)
    on_border = np.array([True, True, False, False, False, True])
    neighbours = np.array([[0, 2], [1, 2], [2, 3], [3, 4], [4, 5]])
    best = optimise(foreground, background, distance, neighbours, on_border)
    assert ((best > 0) & (best < 1)).all()
    certain = optimise(np.ones(6) * 1e9, background * 0, distance, neighbours, on_border)
    assert certain == pytest.approx(np.ones(6), abs=1e-6)


def test_a_disc_stands_out():
    rows, columns = np.mgrid[:120, :160]
    disc = (rows - 60) ** 2 + (columns - 80) ** 2 < 30**2
    image = np.where(disc[..., None], (200, 40, 40), (90, 120, 160)).astype(np.uint8)
    saliency = robust_background_saliency(image, superpixels=100)
    assert saliency.shape == (120, 160)
    assert (saliency.min(), saliency.max()) == (0, 1)
    assert saliency[disc].mean() > 0.9
    assert saliency[~disc].mean() < 0.1


def test_superpixels_are_those_of_slic_called_plainly():
    rng = np.random.default_rng(0)
    image = cv2.resize(rng.integers(30, 200, (9, 12, 3), np.uint8), (80, 60))
    parts = _superpixels(_Colours.of(image), 40)
    labels = slic(image, n_segments=40, compactness=COMPACTNESS, sigma=1.0, start_label=0)
    assert np.array_equal(parts.labels, labels)
    lab = rgb2lab(image)
    touching, border = set(), set()
    for y, x in np.ndindex(60, 80):
        if y in (0, 59) or x in (0, 79):
            border.add(labels[y, x])
        for other in ((y, x + 1), (y + 1, x), (y + 1, x + 1), (y + 1, x - 1)):
            if 0 <= other[0] < 60 and 0 <= other[1] < 80 and labels[other] != labels[y, x]:
                touching.add(tuple(sorted((labels[y, x], labels[other]))))
    assert parts.neighbours.tolist() == sorted(map(list, touching))
    assert set(np.flatnonzero(parts.on_border)) == border
    for number in range(len(parts.colours)):
        inside = labels == number
        assert parts.colours[number] == pytest.approx(lab[inside].mean(axis=0))
        place = np.argwhere(inside).mean(axis=0) / 79
        assert parts.places[number] == pytest.approx(place)


def test_a_large_image_is_analysed_small():
    rng = np.random.default_rng(0)
    small = cv2.resize(rng.integers(0, 255, (6, 10, 3), np.uint8), (LONGEST_SIDE, 150))
    large = small.repeat(3, axis=0).repeat(3, axis=1)
    saliency = robust_background_saliency(large)
    assert saliency.shape == large.shape[:2]
    # Linear enlargement: the middle pixel of each block of 3 x 3 keeps the value of the small map.
    assert saliency[1::3, 1::3] == pytest.approx(robust_background_saliency(small), abs=1e-6)


@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (64, 64), (2, 600)])
def test_an_image_of_one_colour_has_no_saliency(shape):
    saliency = robust_background_saliency(np.full((*shape, 3), 77, np.uint8))
    assert saliency.shape == shape
    assert not saliency.any()


@pytest.mark.real_data
def test_ecssd(shared_data):
    """Published for the method on all 1,000 images: MAE about 0.17-0.19, max F about 0.72."""
    from py_sod_metrics import MAE, FmeasureV2
    from py_sod_metrics.fmeasurev2 import FmeasureHandler

    from aepsl.data.images import read_image

    mae = MAE()
    handler = FmeasureHandler(beta=0.3, with_adaptive=False, with_dynamic=True)
    measure = FmeasureV2({"fm": handler})
    for path in sorted((shared_data / "ecssd" / "images").iterdir()):
        truth = cv2.imread(str(shared_data / "ecssd" / "masks" / f"{path.stem}.png"), 0)
        saliency = robust_background_saliency(read_image(path))
        grey = (255 * saliency).astype(np.uint8)
        mae.step(grey, truth)
        measure.step(grey, truth)
    error = float(mae.get_results()["mae"])
    best = float(np.max(measure.get_results()["fm"]["dynamic"]))
    print(f"ECSSD, 100 images: MAE {error:.3f}, max F {best:.3f}")
    assert error < 0.20
    assert best > 0.65
