import math

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from aepsl.grid import Grid, resample
from aepsl.mining.cam import class_activation_maps
from aepsl.mining.erase import (
    delta_for_area,
    erase,
    mine_region,
    mined_fraction,
    union_of_regions,
)
from aepsl.mining.loss import LABEL_LOSSES, label_recall, sigmoid_label_loss, squared_label_loss
from aepsl.mining.merge import ScaledCam, merge_cams, scaled_to_max
from aepsl.mining.rules import ERASE_RULES
from aepsl.mining.success import training_succeeds, uniform_loss
from aepsl.networks.models import Classifier, NetworkShape


def test_loss_literal():
    # softmax of (ln 3, 0) is (3/4, 1/4): 0.5 * ((3/4 - 1)^2 + (1/4)^2) = 1/16
    logits = torch.tensor([[np.log(3), 0.0]])
    assert squared_label_loss(logits, torch.tensor([[1.0, 0.0]])).item() == pytest.approx(1 / 16)


def test_loss_of_uniform_scores_over_twenty_classes():
    # one label: 0.5 * ((0.05 - 1)^2 + 19 * 0.05^2) = 0.475; two labels: 0.225
    logits = torch.zeros(2, 20)
    labels = torch.zeros(2, 20)
    labels[0, 3] = labels[1, 3] = labels[1, 7] = 1
    assert squared_label_loss(logits[:1], labels[:1]).item() == pytest.approx(0.475)
    assert squared_label_loss(logits[1:], labels[1:]).item() == pytest.approx(0.225)


def plain_loss(logits, labels):
    total = 0.0
    for z, y in zip(logits, labels, strict=True):
        exps = [np.exp(value) for value in z]
        for c in range(len(z)):
            total += 0.5 * (exps[c] / sum(exps) - y[c] / sum(y)) ** 2
    return total / len(logits)


@given(st.integers(1, 4), st.integers(1, 6), st.integers(0, 999))
def test_loss_against_a_plain_loop(images, classes, seed):
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, (images, classes))
    labels = (rng.random((images, classes)) < 0.4).astype(float)
    labels[:, rng.integers(classes)] = 1
    ours = squared_label_loss(torch.tensor(logits), torch.tensor(labels)).item()
    assert ours == pytest.approx(plain_loss(logits, labels), rel=1e-9)


def test_cam_literal():
    features = torch.tensor([[[[1.0, 2.0]], [[3.0, 0.0]]]])  # two channels, 1 x 2
    weight = torch.tensor([[1.0, -1.0], [0.5, 2.0]])
    expected = [[[[0.0, 2.0]], [[6.5, 1.0]]]]  # 1 - 3 = -2 is rectified
    assert class_activation_maps(features, weight).tolist() == expected


def test_cam_pools_to_the_classifiers_score():
    # The identity behind CAM: the mean of the unrectified map is the class score without bias.
    torch.manual_seed(0)
    model = Classifier(classes=3, shape=NetworkShape(width=1 / 16, fc6_dilation=1)).eval()
    images = torch.rand(2, 3, 65, 49) * 255
    with torch.no_grad():
        features = model.features(images)
        maps = torch.einsum("nkhw,ck->nchw", features, model.classify.weight)
        scores = model(images) - model.classify.bias
        rectified = class_activation_maps(features, model.classify.weight)
    torch.testing.assert_close(maps.mean(dim=(2, 3)), scores, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(rectified, maps.clamp(min=0), rtol=1e-4, atol=1e-5)


def test_interpolation_literal():
    pixels, cells = np.arange(6.0), np.arange(2.0)
    expected = [[1, 0], [0.75, 0.25], [0.5, 0.5], [0.25, 0.75], [0, 1], [0, 1]]
    assert Grid(4).interpolation(pixels, cells).tolist() == expected
    patches = [[1, 0], [1, 0], [0.875, 0.125], [0.625, 0.375], [0.375, 0.625], [0.125, 0.875]]
    assert Grid(4, 1.5).interpolation(pixels, cells).tolist() == patches


@pytest.mark.parametrize(("stride", "cells"), [(4, 5), (8, 3), (14, 2), (16, 1)])
def test_upsampling_patches_is_torchs_unaligned_bilinear(stride, cells):
    maps = np.random.default_rng(0).random((2, cells, cells)).astype(np.float32)
    size = (cells * stride, cells * stride)
    ours = resample(maps, size, source=Grid(stride, (stride - 1) / 2))
    theirs = torch.nn.functional.interpolate(
        torch.from_numpy(maps)[None], size, mode="bilinear", align_corners=False
    )[0].numpy()
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize("factor", [0.5, 1.25, 2])
def test_a_scaled_grid_is_that_of_the_resized_image(factor):
    """A ramp, resized as an image, has its values where the scaled grid says."""
    ramp = np.arange(40, dtype=np.float32)
    resized = cv2.resize(ramp[None], None, fx=factor, fy=1, interpolation=cv2.INTER_LINEAR)[0]
    positions = Grid(1).scaled(1 / factor).positions(np.arange(len(resized)))
    inner = slice(2, -2)
    np.testing.assert_allclose(resized[inner], positions[inner], atol=1e-4)


@given(st.integers(1, 70), st.integers(1, 70))
def test_upsampling_is_torchs_aligned_bilinear_on_the_grid(height, width):
    cells = (-(-height // 8), -(-width // 8))
    maps = np.random.default_rng(height * 71 + width).random((2, *cells)).astype(np.float32)
    ours = resample(maps, (height, width), source=Grid(8))
    size = [(n - 1) * 8 + 1 for n in cells]
    theirs = torch.nn.functional.interpolate(
        torch.from_numpy(maps)[None], size, mode="bilinear", align_corners=True
    )[0].numpy()
    inner = theirs[:, :height, :width]
    np.testing.assert_allclose(ours[:, : inner.shape[1], : inner.shape[2]], inner, atol=1e-5)
    assert ours.shape == (2, height, width)


def test_normalised_literal():
    maps = np.array([[[1.0, 4.0]], [[0.0, 0.0]]])
    assert scaled_to_max(maps).tolist() == [[[0.25, 1.0]], [[0.0, 0.0]]]


HEATMAP = np.array([[0.0, 1.0, 2.0, 4.0], [4.0, 3.0, 0.5, 10.0]])


@pytest.mark.parametrize(
    ("rule", "delta", "expected"),
    [
        ("fraction_of_max", 0.3, [[0, 0, 0, 1], [1, 0, 0, 1]]),  # above 3: 3 itself is not
        ("fraction_of_max", 0.05, [[0, 1, 1, 1], [1, 1, 0, 1]]),  # above 0.5
        ("absolute", 1.5, [[0, 0, 1, 1], [1, 1, 0, 1]]),
        ("absolute", 10.0, [[0, 0, 0, 0], [0, 0, 0, 0]]),
        ("top_fraction", 0.5, [[0, 0, 0, 1], [1, 1, 0, 1]]),  # 4 of 8
        ("top_fraction", 0.25, [[0, 0, 0, 0], [0, 0, 0, 1]]),  # the tie at 4 stays out
    ],
)
def test_erase_rules_literal(rule, delta, expected):
    region, _ = mine_region(HEATMAP, rule=rule, delta=delta)
    assert region.astype(int).tolist() == expected


def plain_region(heatmap, rule, delta):
    values = sorted(heatmap.ravel(), reverse=True)
    threshold = {
        "fraction_of_max": delta * values[0],
        "absolute": delta,
        "top_fraction": values[min(int(delta * len(values)), len(values) - 1)],
    }[rule]
    return [[bool(v > threshold and v > 0) for v in row] for row in heatmap]


@settings(max_examples=60)
@given(
    hnp.arrays(np.float32, (5, 7), elements=st.floats(0, 4, width=16)),
    st.sampled_from(sorted(ERASE_RULES)),
    st.floats(0.05, 0.95),
)
def test_erase_rules_against_a_plain_loop(heatmap, rule, delta):
    region, _ = mine_region(heatmap, rule=rule, delta=delta)
    assert region.tolist() == plain_region(heatmap, rule, delta)


@pytest.mark.parametrize("rule", sorted(ERASE_RULES))
def test_a_map_without_activation_mines_nothing(rule):
    assert not mine_region(np.zeros((3, 3)), rule=rule, delta=0.5)[0].any()


def test_union_keeps_mined_pixels():
    before = np.array([[[True, False, False]]])
    mined = np.array([[[False, False, True]]])
    assert union_of_regions(before, mined).tolist() == [[[True, False, True]]]


def test_erase_fills_a_copy_of_the_photograph():
    image = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    erased = erase(image, np.array([[True, False], [False, True]]), fill=(124, 116, 104))
    assert erased.tolist() == [[[124, 116, 104], [3, 4, 5]], [[6, 7, 8], [124, 116, 104]]]
    assert image.ravel().tolist() == list(range(12))


@pytest.mark.parametrize("backbone", ["vgg16", "timm/resnet18"])
def test_cam_is_another_librarys(backbone):
    from torchcam.methods import CAM

    torch.manual_seed(1)
    width = 1 / 16 if backbone == "vgg16" else 1
    shape = NetworkShape(backbone=backbone, width=width, fc6_dilation=1)
    model = Classifier(classes=4, shape=shape).eval()
    torch.nn.init.normal_(model.classify.weight)
    images = torch.rand(1, 3, 64, 48) * 255
    with torch.no_grad():
        ours = class_activation_maps(model.features(images), model.classify.weight)[0]
    assert (ours.amax(dim=(1, 2)) > 0).sum() >= 2

    class Deepest(torch.nn.Module):
        """The deepest features of a backbone."""

        def __init__(self, backbone):
            super().__init__()
            self.backbone = backbone

        def forward(self, images):
            return self.backbone(images)[-1]

    class Chain(torch.nn.Sequential):
        """The same layers in the form that the library reads: pooling, then one linear layer."""

    chain = Chain()
    for name, layer in (
        ("normalise", model.normalise),
        ("backbone", Deepest(model.backbone)),
        ("head", model.head),
        ("pool", torch.nn.AdaptiveAvgPool2d(1)),
        ("flatten", torch.nn.Flatten()),
        ("classify", model.classify),
    ):
        chain.add_module(name, layer)
    with CAM(chain, target_layer="head", fc_layer="classify") as extractor:
        scores = chain(images)
        for number in range(4):
            theirs = extractor(number, scores, normalized=False)[0][0]
            torch.testing.assert_close(ours[number], theirs.relu(), rtol=1e-4, atol=1e-4)


def symmetric_classifier():
    """A classifier whose kernels are their own mirror images: it cannot tell left from right."""
    torch.manual_seed(2)
    model = Classifier(classes=3, shape=NetworkShape(width=1 / 16, fc6_dilation=1)).eval()
    with torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, torch.nn.Conv2d):
                layer.weight.copy_((layer.weight + layer.weight.flip(3)) / 2)
        torch.nn.init.normal_(model.classify.weight)
    return model


def views_of(image, **options):
    from aepsl.config.mining import Mining
    from aepsl.stages.extract_cams import _Extraction

    with torch.inference_mode():
        extraction = _Extraction(
            symmetric_classifier(), None, Mining(**options), torch.device("cpu")
        )
        return list(extraction._views([image], torch.ones((1, 3))))


@pytest.mark.parametrize("width", [65, 66, 72])
def test_the_mirrored_view_lies_on_the_same_cells(width):
    image = np.random.default_rng(0).integers(0, 255, (40, width, 3), dtype=np.uint8)
    padding = (1 - width) % 8  # until the last pixel has a cell
    padded = np.pad(image, ((0, 0), (0, padding), (0, 0)), mode="edge")
    plain = views_of(padded)[0].maps[..., : -(-width // 8)]
    _, mirrored = views_of(image, cam_flip=True)
    scale = plain.max()
    assert scale > 0
    torch.testing.assert_close(mirrored.maps / scale, plain / scale, atol=1e-3, rtol=0)


def test_views_of_scales_know_their_grid():
    image = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    views = views_of(image, cam_scales=(1, 2), cam_flip=True)
    assert [view.grid for view in views] == [Grid(8)] * 2 + [Grid(4, -0.25)] * 2
    assert [view.maps.shape for view in views] == [(1, 3, 5, 8)] * 2 + [(1, 3, 10, 15)] * 2


def test_one_view_is_left_as_it_is():
    maps = np.random.default_rng(0).random((2, 3, 4)).astype(np.float16)
    merged = merge_cams([ScaledCam(maps, Grid(16))], normalise_first=False)
    assert merged.maps is maps
    assert merged.grid == Grid(16)


def test_views_are_merged_on_the_finest_grid():
    coarse = ScaledCam(np.array([[[0.0, 4.0]]]), Grid(16))
    fine = ScaledCam(np.array([[[2.0, 2.0, 0.0]]]), Grid(8))
    # the coarse one, between its cells: 0, 2, 4
    assert merge_cams([coarse, fine], normalise_first=False).maps.tolist() == [[[1, 2, 2]]]
    assert merge_cams([coarse, fine], normalise_first=True).maps.tolist() == [[[0.5, 0.75, 0.5]]]
    assert merge_cams([coarse, fine], normalise_first=True).grid == Grid(8)


@pytest.mark.parametrize("rule", sorted(ERASE_RULES))
@pytest.mark.parametrize("area", [0.05, 0.2, 0.5])
def test_rules_are_set_to_mine_the_same_area(rule, area):
    rng = np.random.default_rng(3)
    heatmaps = [rng.gamma(1, scale, (40, 50)) for scale in (1, 2, 5)]
    delta = delta_for_area(heatmaps, rule=rule, area=area)
    assert mined_fraction(heatmaps, rule=rule, delta=delta) == pytest.approx(area, abs=0.002)


def test_no_maps_have_a_delta_all_the_same():
    assert delta_for_area([], rule="absolute", area=0.1) == 0


def test_recall_literal():
    logits = torch.tensor([[3.0, 2.0, 1.0], [0.0, 5.0, 1.0]])
    labels = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    # image 1: two labels, places one and two are classes 0 and 1: half found; image 2: found
    assert label_recall(logits, labels).item() == 0.75


def test_uniform_loss_is_the_loss_of_equal_scores():
    labels = (np.random.default_rng(0).random((50, 7)) < 0.3).astype(np.float32)
    labels[:, 2] = 1
    equal = squared_label_loss(torch.zeros(50, 7), torch.from_numpy(labels)).item()
    assert uniform_loss(labels) == pytest.approx(equal, rel=1e-5)


def last_step(losses, recalls):
    """Return how many steps a made-up curve gives under the criterion."""
    for step, (loss, recall) in enumerate(zip(losses, recalls, strict=True), start=1):
        verdict = training_succeeds(
            loss=loss, recall=recall, uniform=0.362, largest_loss=0.36, smallest_recall=0.5
        )
        if not verdict.success:
            return step - 1, verdict.reason
    return len(losses), ""


def test_mining_stops_at_the_criterion():
    # the paper's last-epoch losses: three steps, and the fourth is one too many
    steps, reason = last_step([0.048, 0.087, 0.10, 0.16], [0.9] * 4)
    assert steps == 3
    assert reason == "loss 0.160 is 0.442 of the loss of uniform predictions, above 0.36"
    steps, reason = last_step([0.05, 0.06], [0.8, 0.49])
    assert steps == 1
    assert reason == "recall 0.49 is below 0.5"
    assert last_step([0.05, 0.05], [0.5, 0.5])[0] == 2


def test_sigmoid_loss_literal():
    logits = torch.tensor([[0.0, 2.0], [0.0, -2.0]])
    labels = torch.tensor([[1.0, 1.0], [0.0, 0.0]])
    # log 2 and log(1 + e^-2) in both rows
    wanted = (math.log(2) + math.log1p(math.exp(-2))) / 2
    assert sigmoid_label_loss(logits, labels).item() == pytest.approx(wanted)


def test_the_losses_agree_with_their_probabilities_and_with_uniform_predictions():
    labels = torch.tensor([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]])
    for name, about in LABEL_LOSSES.items():
        equal = about.loss(torch.zeros(2, 3), labels).item()
        assert uniform_loss(labels.numpy(), loss=name) == pytest.approx(equal)
        logits = torch.zeros(2, 3, requires_grad=True)
        with torch.no_grad():
            before = about.probabilities(logits)
        about.loss(logits, labels).backward()
        after = about.probabilities(logits.detach() - 0.1 * logits.grad)
        assert (after[0, 0] > before[0, 0]) and (after[0, 1] < before[0, 1])


@pytest.mark.parametrize(("scores", "recall"), [([-1.0, -2.0], 1.0), ([-1.0, 0.5], 0.0)])
def test_nothing_is_recalled_where_no_score_is_positive(scores, recall):
    logits, labels = torch.tensor([scores, [1.0, 0.0]]), torch.tensor([[0.0, 0.0], [1.0, 0.0]])
    assert label_recall(logits, labels).item() == (recall + 1) / 2
