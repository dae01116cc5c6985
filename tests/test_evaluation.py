import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics

from aepsl.evaluation import confusion
from aepsl.evaluation.boundary import boundary_f, boundary_pixels, fill_void
from aepsl.evaluation.confusion import (
    bootstrap_miou,
    confusion_matrix,
    error_rate,
    foreground_fraction,
    intersection_over_union,
    labelled_fraction,
    mean_iou,
    objects,
    overlap,
    precision_and_recall,
)
from aepsl.evaluation.saliency import max_f, saliency_counts


def test_confusion_literal():
    truth = np.array([[0, 0, 1], [1, 2, 255]], np.uint8)
    prediction = np.array([[0, 1, 1], [255, 0, 2]], np.uint8)
    # columns: 0, 1, 2, ignored
    assert confusion_matrix(truth, prediction, classes=3).tolist() == [
        [1, 1, 0, 0],
        [0, 1, 0, 1],
        [1, 0, 0, 0],
    ]


def test_iou_literal():
    matrix = np.array([[1, 1, 0, 0], [0, 1, 0, 1], [1, 0, 0, 0]])
    # 1 / (2 + 2 - 1); 1 / (2 + 2 - 1): the ignored pixel is a miss; 0 / 1
    assert intersection_over_union(matrix).tolist() == pytest.approx([1 / 3, 1 / 3, 0])
    assert mean_iou(matrix) == pytest.approx(2 / 9)


def test_a_class_that_never_occurs_does_not_count():
    matrix = confusion_matrix(np.zeros(4, np.uint8), np.zeros(4, np.uint8), classes=3)
    assert mean_iou(matrix) == 1
    assert np.isnan(mean_iou(np.zeros((3, 4), int)))


def test_leaving_pixels_out_never_earns_anything():
    truth = np.array([0, 0, 1, 1], np.uint8)
    wrong = np.array([0, 0, 1, 0], np.uint8)
    left_out = np.array([0, 0, 1, 255], np.uint8)
    iou = [
        intersection_over_union(confusion_matrix(truth, prediction, classes=2))[1]
        for prediction in (wrong, left_out)
    ]
    assert iou[0] == iou[1] == 0.5


@given(st.integers(0, 9999))
def test_against_another_library(seed):
    rng = np.random.default_rng(seed)
    truth, prediction = rng.integers(0, 4, (2, 50)).astype(np.uint8)
    truth[:5] = 255
    matrix = confusion_matrix(truth, prediction, classes=4)
    kept = truth != 255
    theirs = metrics.confusion_matrix(truth[kept], prediction[kept], labels=range(4))
    assert matrix[:, :4].tolist() == theirs.tolist()
    jaccard = metrics.jaccard_score(truth[kept], prediction[kept], labels=range(4), average=None)
    np.testing.assert_allclose(np.nan_to_num(intersection_over_union(matrix)), jaccard)


def test_wrong_input_is_refused():
    with pytest.raises(ValueError, match="shape"):
        confusion_matrix(np.zeros(3, np.uint8), np.zeros(4, np.uint8), classes=2)
    with pytest.raises(ValueError, match="prediction holds 7"):
        confusion_matrix(np.zeros(3, np.uint8), np.full(3, 7, np.uint8), classes=2)


def test_precision_recall_area_coverage_and_error_literally():
    # rows: truth 0, 1; columns: predictions 0, 1, ignored
    matrix = np.array([[6, 2, 2], [1, 3, 1]])
    precision, recall = precision_and_recall(matrix)
    assert precision.tolist() == [6 / 7, 3 / 5]
    assert recall.tolist() == [6 / 10, 3 / 5]
    assert foreground_fraction(matrix) == 5 / 15
    assert labelled_fraction(matrix) == 12 / 15
    assert error_rate(matrix) == 3 / 12


def test_missed_objects_literally():
    # rows: truth 0, 1, 2; columns: predictions 0, 1, 2, ignored. Class 1 is only found elsewhere.
    assert objects(np.array([[5, 1, 1, 0], [3, 0, 1, 0], [0, 0, 2, 0]])) == (2, 0)
    assert objects(np.array([[5, 0, 1, 0], [3, 0, 1, 0], [0, 0, 2, 0]])) == (2, 1)
    assert objects(np.array([[5, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 4]])) == (1, 0)
    assert objects(np.array([[5, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 4]])) == (1, 1)


def test_without_predictions_precision_is_nan():
    matrix = np.array([[0, 0, 4], [0, 0, 0]])
    precision, recall = precision_and_recall(matrix)
    assert np.isnan(precision).all()
    assert recall[0] == 0
    assert np.isnan(recall[1])
    assert foreground_fraction(matrix) == 0
    assert labelled_fraction(matrix) == 0
    assert np.isnan(error_rate(matrix))


@given(st.integers(0, 9999))
def test_precision_and_recall_against_another_library(seed):
    rng = np.random.default_rng(seed)
    truth, prediction = rng.integers(0, 4, (2, 60)).astype(np.uint8)
    precision, recall = precision_and_recall(confusion_matrix(truth, prediction, classes=4))
    theirs = metrics.precision_recall_fscore_support(
        truth, prediction, labels=range(4), zero_division=np.nan
    )
    np.testing.assert_allclose(precision, theirs[0])
    np.testing.assert_allclose(recall, theirs[1])


def test_bootstrap_against_a_plain_loop():
    rng = np.random.default_rng(5)
    truth, prediction = rng.integers(0, 3, (2, 12, 40)).astype(np.uint8)
    matrices = np.stack(
        [confusion_matrix(t, a, classes=3) for t, a in zip(truth, prediction, strict=True)]
    )
    low, high = bootstrap_miou(overlap(matrices), resamples=4000, confidence=0.9, seed=1)
    drawn = [mean_iou(matrices[rng.integers(12, size=12)].sum(axis=0)) for _ in range(4000)]
    assert (low, high) == pytest.approx(tuple(np.quantile(drawn, [0.05, 0.95])), abs=0.005)
    assert low < mean_iou(matrices.sum(axis=0)) < high
    again = bootstrap_miou(overlap(matrices), resamples=4000, confidence=0.9, seed=1)
    assert again == (low, high)


def test_overlap_literal():
    matrix = np.array([[5, 1, 2], [3, 4, 0]])  # columns: 0, 1, ignored
    assert overlap(matrix).tolist() == [[5, 4], [5 + 1 + 2 + 3, 3 + 4 + 0 + 1]]


def test_resamples_drawn_in_parts_are_the_same(monkeypatch):
    overlaps = overlap(np.random.default_rng(2).integers(0, 9, (7, 3, 4)))
    whole = bootstrap_miou(overlaps, resamples=50, confidence=0.9, seed=3)
    monkeypatch.setattr(confusion, "DRAWN", 20)
    assert bootstrap_miou(overlaps, resamples=50, confidence=0.9, seed=3) == whole


def test_one_image_has_no_spread():
    matrix = confusion_matrix(np.array([0, 1, 1]), np.array([0, 1, 0]), classes=2)[None]
    low, high = bootstrap_miou(overlap(matrix), resamples=50, confidence=0.95, seed=0)
    assert low == high == pytest.approx(float(mean_iou(matrix[0])))


def test_outline_literal():
    mask = np.array([[1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 0], [0, 0, 0, 0]], np.uint8)
    # neither the border of the image nor that of the unknown pixel is an outline
    unknown = np.zeros((4, 4), bool)
    assert boundary_pixels(mask, unknown=unknown).astype(int).tolist() == [
        [0, 0, 1, 1],
        [0, 0, 1, 1],
        [1, 1, 1, 1],
        [1, 1, 1, 0],
    ]
    unknown[2, 2] = True
    assert boundary_pixels(mask, unknown=unknown).astype(int).tolist() == [
        [0, 0, 1, 1],
        [0, 0, 1, 1],
        [1, 1, 0, 0],
        [1, 1, 0, 0],
    ]


@given(hnp.arrays(np.uint8, (12, 15), elements=st.sampled_from([0, 1, 2, 255])), st.data())
def test_boundary_f_is_that_of_its_definition(truth, data):
    prediction = data.draw(hnp.arrays(np.uint8, (12, 15), elements=st.sampled_from([0, 1, 2, 255])))
    tolerance = 2.5 / np.hypot(12, 15)
    found = boundary_f(truth, prediction, classes=3, tolerance=tolerance)
    filled = fill_void(truth, reach=2.5)

    def boundary(mask, number):
        return [
            (y, x)
            for y, x in np.argwhere((mask == number) & (filled != 255))
            if any(
                mask[y + dy, x + dx] != number and filled[y + dy, x + dx] != 255
                for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0))
                if 0 <= y + dy < 12 and 0 <= x + dx < 15
            )
        ]

    def near(some, others):
        close = [any(np.hypot(a - c, b - d) <= 2.5 for c, d in others) for a, b in some]
        return np.mean(close) if some and others else 0.0

    for number in range(3):
        true, own = boundary(filled, number), boundary(prediction, number)
        if not true and not own:
            assert np.isnan(found[number])
            continue
        precision, recall = near(own, true), near(true, own)
        both = precision + recall
        assert found[number] == pytest.approx(2 * precision * recall / both if both else 0.0)


def test_void_goes_to_the_nearest_class():
    truth = np.array([[0, 0, 255, 255, 1, 1]], np.uint8)
    assert fill_void(truth, reach=2).tolist() == [[0, 0, 0, 1, 1, 1]]
    wide = np.array([[0, 255, 255, 255, 255, 1]], np.uint8)
    assert fill_void(wide, reach=1).tolist() == wide.tolist()
    everything = np.full((2, 2), 255, np.uint8)
    assert fill_void(everything, reach=5).tolist() == everything.tolist()


def test_a_void_object_beside_it_does_not_spoil_an_outline():
    truth = np.zeros((60, 80), np.uint8)
    truth[20:40, 10:40] = 1
    prediction = truth.copy()
    truth[10:50, 40:70] = 255  # another object, of a class that is not used
    values = boundary_f(truth, prediction, classes=2, tolerance=0.02)
    assert values.tolist() == [1, 1]


def plain_boundary_f(truth, prediction, reach):
    """Slow, for two classes, without void."""

    def lines(mask):
        return [
            (y, x)
            for y, x in zip(*np.nonzero(mask), strict=True)
            for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0))
            if 0 <= y + dy < mask.shape[0]
            and 0 <= x + dx < mask.shape[1]
            and not mask[y + dy, x + dx]
        ]

    values = []
    for number in (0, 1):
        mine, true = set(lines(prediction == number)), set(lines(truth == number))
        near = [
            [min((np.hypot(a - c, b - d) for c, d in others), default=np.inf) for a, b in points]
            for points, others in ((mine, true), (true, mine))
        ]
        precision, recall = (
            sum(d <= reach for d in part) / len(part) if part else 0.0 for part in near
        )
        both = precision + recall
        empty = not mine and not true
        values.append(np.nan if empty else 2 * precision * recall / both if both else 0.0)
    return values


@given(st.integers(0, 9999), st.floats(0.02, 0.3))
def test_boundary_f_against_a_plain_loop(seed, tolerance):
    rng = np.random.default_rng(seed)
    truth, prediction = (rng.random((2, 7, 9)) < 0.5).astype(np.uint8)
    ours = boundary_f(truth, prediction, classes=2, tolerance=tolerance)
    plain = plain_boundary_f(truth, prediction, tolerance * np.hypot(7, 9))
    np.testing.assert_allclose(ours, plain, atol=1e-6)


def test_a_perfect_outline_has_an_f_of_one_and_an_absent_one_of_zero():
    truth = np.zeros((20, 20), np.uint8)
    truth[5:15, 5:15] = 2
    assert np.nan_to_num(boundary_f(truth, truth, classes=4, tolerance=0.01)).tolist() == [
        1,
        0,
        1,
        0,
    ]
    missed = boundary_f(truth, np.zeros_like(truth), classes=4, tolerance=0.01)
    assert missed[[0, 2]].tolist() == [0, 0]
    assert np.isnan(missed[[1, 3]]).all()


def test_saliency_against_another_library():
    from py_sod_metrics import MAE, FmeasureV2
    from py_sod_metrics.fmeasurev2 import FmeasureHandler

    rng = np.random.default_rng(2)
    mae = MAE()
    theirs = FmeasureV2({"fm": FmeasureHandler(beta=0.3, with_adaptive=False, with_dynamic=True)})
    counts = []
    for _ in range(3):
        truth = rng.random((30, 40)) < 0.4
        grey = (255 * (0.5 * truth + 0.5 * rng.random((30, 40)))).astype(np.uint8)
        grey[0, 0], grey[0, 1] = 0, 255  # the library stretches each map to 0..1
        mae.step(grey, 255 * truth.astype(np.uint8))
        theirs.step(grey, 255 * truth.astype(np.uint8))
        counts.append(saliency_counts(grey / 255, truth))
    error, precision, recall = (np.mean(part, axis=0) for part in zip(*counts, strict=True))
    assert error == pytest.approx(float(mae.get_results()["mae"]), abs=1e-6)
    # the library averages F over images, we average precision and recall first
    curve = np.asarray(theirs.get_results()["fm"]["dynamic"])
    assert max_f(precision, recall) == pytest.approx(float(curve.max()), abs=0.01)
