import math

import numpy as np
import pytest
from conftest import settings_of
from hypothesis import given
from hypothesis import strategies as st

from aepsl.labels.assemble import (
    assemble_label,
    background_threshold,
    label_probabilities,
    lost_classes,
    region_mask,
    with_lost_classes,
)
from aepsl.labels.blend import blended_probabilities, weights_of_saliency
from aepsl.stages.assemble_labels import assemble_labels
from aepsl.stores.manifests import ImageEntry, ImageManifest, write_manifest
from aepsl.stores.records import Record, Store, writing_shard


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


def test_a_class_without_a_pixel_is_lost():
    regions = np.array([[[1, 1, 0]], [[0, 0, 1]]], bool)
    saliency = np.array([[0.5, 0.5, 0.01]])
    label = assemble_label(regions, saliency, classes=[3, 7], background_threshold=0.06)
    assert label.mask.tolist() == [[4, 4, 255]]
    assert lost_classes(label.mask, classes=[3, 7]) == [7]


def test_probabilities_of_a_label_literal():
    mask = np.array([[0, 4, 255]], np.uint8)
    said = label_probabilities(mask, classes=[3, 7], certainty=0.9)
    expected = [[[0.9, 0.05, 1 / 3]], [[0.05, 0.9, 1 / 3]], [[0.05, 0.05, 1 / 3]]]
    assert said == pytest.approx(np.array(expected))
    nothing_shown = label_probabilities(np.zeros((1, 3), np.uint8), classes=[], certainty=0.9)
    assert nothing_shown.tolist() == [[[1, 1, 1]]]


BLEND = {"saliency_weight": 0.5, "background_score": 0.4, "class_peak": 0, "sharpness": 8}


def test_a_blend_decides_where_either_is_unsure():
    # Salient and in the map, salient only, in the map only, neither: one pixel each.
    maps, saliency = np.array([[[0.9, 0.3, 0.8, 0.1]]]), np.array([[1.0, 0.7, 0.1, 0.0]])
    said = blended_probabilities(maps, saliency, **BLEND)
    assert said.argmax(axis=0).tolist() == [[1, 1, 1, 0]]
    # 1 / (1 + exp(-8 * (0.95 - 0.4))), and so on
    assert said[1, 0] == pytest.approx([0.9879, 0.6900, 0.5987, 0.0573], abs=1e-4)


def test_saliency_weighs_less_beside_large_maps_and_several_classes():
    maps = np.array([[[1.0, 0.0, 0.0, 0.0]], [[1.0, 1.0, 1.0, 0.0]]])
    assert weights_of_saliency(maps[:1]).tolist() == [0.75]
    assert weights_of_saliency(maps[1:]).tolist() == [0.25]
    assert weights_of_saliency(maps).tolist() == [0.375, 0.125]
    assert weights_of_saliency(np.zeros((0, 1, 4))).tolist() == []
    # A small map where nothing is salient beside it: the pixel that is salient is the object.
    saliency, auto = np.array([[1.0, 1.0, 0.0, 0.0]]), BLEND | {"saliency_weight": None}
    assert blended_probabilities(maps[:1], saliency, **auto).argmax(axis=0).tolist() == [
        [1, 1, 0, 0]
    ]
    # A map that fills the photograph: saliency does not cut it.
    assert blended_probabilities(maps[1:], saliency, **auto).argmax(axis=0).tolist() == [
        [1, 1, 1, 0]
    ]
    alone = [
        blended_probabilities(maps, saliency, **BLEND | {"saliency_weight": w})
        for w in (0.375, 0.125)
    ]
    both = blended_probabilities(maps, saliency, **auto)
    for k, one in enumerate(alone, start=1):
        np.testing.assert_allclose(both[k] / both[0], one[k] / one[0], rtol=1e-5)


def test_without_saliency_the_maps_are_blended_with_nothing():
    maps = np.array([[[0.5, 0.3]]])
    said = blended_probabilities(maps, None, **BLEND)
    assert said == pytest.approx(blended_probabilities(maps, maps[0], **BLEND))
    nothing_shown = blended_probabilities(np.zeros((0, 1, 2)), np.ones((1, 2)), **BLEND)
    assert nothing_shown.tolist() == [[[1, 1]]]


def test_saliency_cannot_erase_a_class_of_the_image_label():
    # The first class peaks at 0.6, the second, which saliency denies, at 0.2: it is tripled.
    maps = np.array([[[1.0, 0.5, 0.0, 0.0]], [[0.0, 0.0, 0.4, 0.2]]])
    saliency = np.array([[0.2, 0.2, 0.0, 0.0]])
    blend = BLEND | {"class_peak": 0.6}
    said = blended_probabilities(maps, saliency, **blend)
    assert said.argmax(axis=0).tolist() == [[1, 0, 2, 0]]
    scores = np.array([[0.4] * 4, [0.6, 0.35, 0.0, 0.0], [0.3, 0.3, 0.6, 0.3]])
    odds = np.exp(8 * scores)
    assert said[:, 0] == pytest.approx(odds / odds.sum(axis=0), abs=1e-5)
    vetoed = blended_probabilities(maps, saliency, **BLEND)
    assert vetoed.argmax(axis=0).tolist() == [[1, 0, 0, 0]]
    nowhere = blended_probabilities(np.zeros((1, 1, 2)), np.zeros((1, 2)), **blend)
    assert nowhere.argmax(axis=0).tolist() == [[0, 0]]


def test_refinement_erases_no_class():
    before = np.array([[0, 1, 1, 2], [0, 0, 3, 2]])
    refined = np.array([[1, 1, 1, 1], [1, 1, 1, 1]])  # background may vanish, classes may not
    assert with_lost_classes(refined, before).tolist() == [[1, 1, 1, 2], [1, 1, 3, 2]]
    assert with_lost_classes(before, before).tolist() == before.tolist()
    moved = np.array([[0, 0, 0, 0], [0, 0, 0, 1]])  # 1 is only where 2 was
    assert with_lost_classes(moved, before).tolist() == before.tolist()


@given(present=st.integers(0, 3), seed=st.integers(0, 2**32 - 1))
def test_a_blend_against_a_plain_loop(present, seed):
    rng = np.random.default_rng(seed)
    maps, saliency = rng.random((present, 4, 5)), rng.random((4, 5))
    weight, background, peak, sharpness = (*rng.random(3), rng.uniform(0.1, 200))
    said = blended_probabilities(
        maps,
        saliency,
        saliency_weight=weight,
        background_score=background,
        class_peak=peak,
        sharpness=sharpness,
    )
    means = [weight * saliency + (1 - weight) * m for m in maps]
    means = [mean if mean.max() > peak else mean * peak / mean.max() for mean in means]
    for y, x in np.ndindex(4, 5):
        scores = [background, *(mean[y, x] for mean in means)]
        odds = [math.exp(sharpness * (score - max(scores))) for score in scores]
        assert said[:, y, x] == pytest.approx(np.array(odds) / sum(odds), abs=1e-4)


@pytest.fixture
def assembled(tmp_path):
    """Return a function that blends the maps of two steps of a (2, 4) px photograph."""
    image = ImageEntry("a", "a.png", 2, 4, (0, 0, 0), "", ("cat",))
    manifest = ImageManifest("train", ("cat", "dog"), (0, 0, 0), (image,))
    write_manifest(tmp_path / "i.jsonl", manifest)
    for step, maps in ((1, [[4, 2, 0, 0], [4, 0, 0, 0]]), (2, [[0, 0, 0, 0], [0, 0, 0, 0.5]])):
        where = tmp_path / f"step{step}" / "0.h5"
        with writing_shard(where, kind="cams", facts={"grid": [1, 0]}, shard=0, shards=1) as writer:
            writer.add("a", Record({"cam": np.array([maps], np.float32)}, {"classes": [0]}))
    with writing_shard(tmp_path / "s.h5", kind="saliency", facts={}, shard=0, shards=1) as writer:
        writer.add("a", Record({"saliency": np.array([[1, 1, 1, 0], [0, 0, 0, 0]], np.float32)}))

    def run(saliency=True, **labels):
        config = {"labels": {"method": "blend", "saliency_weight": 0.5} | labels}
        config |= {} if saliency else {"saliency": {"method": "none"}}
        assemble_labels(
            settings_of("assemble_labels", config),
            dataset=tmp_path / "i.jsonl",
            root=tmp_path,
            regions=[],
            cams=[tmp_path / f"step{step}" / "0.json" for step in (1, 2)],
            saliency=[tmp_path / "s.json"] if saliency else [],
            output=tmp_path / "labels.h5",
        )
        return Store([tmp_path / "labels.json"], kind="labels").array("a", "mask").tolist()

    return run


def test_the_maps_of_all_steps_are_scaled_and_averaged(assembled):
    # averages of the maps: 1/2, 1/4, 0, 0; 1/2, 0, 0, 1/2; then with saliency:
    # 3/4, 5/8, 1/2, 0; 1/4, 0, 0, 1/4
    assert assembled(background_score=0.55) == [[1, 1, 0, 0], [0, 0, 0, 0]]
    assert assembled(background_score=0.45) == [[1, 1, 1, 0], [0, 0, 0, 0]]
    assert assembled(background_score=0.2) == [[1, 1, 1, 0], [1, 0, 0, 1]]
    assert assembled(saliency=False, background_score=0.4) == [[1, 0, 0, 0], [1, 0, 0, 1]]


def test_a_class_that_the_blend_loses_is_told(assembled, caplog):
    assert assembled(background_score=0.8) == [[0] * 4] * 2  # above labels.class_peak
    assert (
        "cat: no pixel in the pseudo-labels of 1 of the 1 photographs that show it" in caplog.text
    )
