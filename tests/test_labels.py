import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from aepsl.labels.assemble import assemble_label, background_threshold, region_mask


def test_the_three_ignore_rules_literally():
    regions = np.array(
        [
            [[1, 1, 1, 0, 0, 0]],
            [[0, 1, 0, 0, 1, 0]],
        ],
        bool,
    )
    saliency = np.array([[0.9, 0.9, 0.01, 0.01, 0.5, 0.06]])
    label = assemble_label(regions, saliency, classes=[3, 7], background_threshold=0.06)
    # class 3, two claims, claimed but not salient, background, class 7, unclaimed (0.06 is salient)
    assert label.mask.tolist() == [[4, 255, 255, 0, 8, 255]]
    assert label[1:] == (1, 1, 1)


def plain_label(regions, saliency, classes, threshold):
    height, width = saliency.shape
    mask = np.zeros((height, width), int)
    for y in range(height):
        for x in range(width):
            claims = [c for c, region in zip(classes, regions, strict=True) if region[y, x]]
            background = saliency[y, x] < threshold
            if len(claims) > 1 or (claims and background) or not (claims or background):
                mask[y, x] = 255
            elif claims:
                mask[y, x] = 1 + claims[0]
    return mask


@given(st.integers(0, 3), st.integers(0, 9999))
def test_against_a_plain_loop(present, seed):
    rng = np.random.default_rng(seed)
    regions = rng.random((present, 4, 5)) < 0.4
    saliency = rng.random((4, 5)) * 0.2
    classes = sorted(rng.choice(20, size=present, replace=False).tolist())
    label = assemble_label(regions, saliency, classes=classes, background_threshold=0.06)
    assert label.mask.tolist() == plain_label(regions, saliency, classes, 0.06).tolist()
    assert sum(label[1:]) == (label.mask == 255).sum()


def test_regions_alone_leave_the_rest_to_the_caller():
    regions = np.array([[[1, 0, 1]], [[0, 0, 1]]], bool)
    assert region_mask(regions, classes=[0, 4], unclaimed_value=0).tolist() == [[1, 0, 255]]


def test_without_saliency_the_rest_is_background():
    regions = np.array([[[1, 1, 0]], [[0, 1, 0]]], bool)
    label = assemble_label(regions, None, classes=[3, 7], background_threshold=0.06)
    assert label.mask.tolist() == [[4, 255, 0]]
    assert label[1:] == (1, 0, 0)


def test_an_image_takes_the_largest_of_its_classes_thresholds():
    given = {"default": 0.06, "by_class": {"sofa": 0.12, "chair": 0.1, "boat": 0.03}}
    assert background_threshold(["person"], **given) == 0.06
    assert background_threshold(["chair", "sofa", "person"], **given) == 0.12
    assert background_threshold(["boat"], **given) == 0.03
    assert background_threshold(["boat", "person"], **given) == 0.06
    assert background_threshold([], **given) == 0.06
