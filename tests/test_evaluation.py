import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from aepsl.evaluation.confusion import confusion_matrix, intersection_over_union, mean_iou


def test_confusion_literal():
    truth = np.array([[0, 0, 1], [1, 2, 255]], np.uint8)
    answer = np.array([[0, 1, 1], [255, 0, 2]], np.uint8)
    # columns: 0, 1, 2, no answer
    assert confusion_matrix(truth, answer, classes=3).tolist() == [
        [1, 1, 0, 0],
        [0, 1, 0, 1],
        [1, 0, 0, 0],
    ]


def test_iou_literal():
    matrix = np.array([[1, 1, 0, 0], [0, 1, 0, 1], [1, 0, 0, 0]])
    # 1 / (2 + 2 - 1); 1 / (2 + 2 - 1): the pixel without an answer is a miss; 0 / 1
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
        intersection_over_union(confusion_matrix(truth, answer, classes=2))[1]
        for answer in (wrong, left_out)
    ]
    assert iou[0] == iou[1] == 0.5


@given(st.integers(0, 9999))
def test_against_another_library(seed):
    rng = np.random.default_rng(seed)
    truth, answer = rng.integers(0, 4, (2, 50)).astype(np.uint8)
    truth[:5] = 255
    matrix = confusion_matrix(truth, answer, classes=4)
    kept = truth != 255
    theirs = metrics.confusion_matrix(truth[kept], answer[kept], labels=range(4))
    assert matrix[:, :4].tolist() == theirs.tolist()
    jaccard = metrics.jaccard_score(truth[kept], answer[kept], labels=range(4), average=None)
    np.testing.assert_allclose(np.nan_to_num(intersection_over_union(matrix)), jaccard)


def test_wrong_input_is_refused():
    with pytest.raises(ValueError, match="shape"):
        confusion_matrix(np.zeros(3, np.uint8), np.zeros(4, np.uint8), classes=2)
    with pytest.raises(ValueError, match="answer holds 7"):
        confusion_matrix(np.zeros(3, np.uint8), np.full(3, 7, np.uint8), classes=2)
