"""What the report says about a run and its images, on literal arrays and scores."""

import json
import re

import numpy as np
import pytest

from aepsl.evaluation.confusion import confusion_matrix
from aepsl.labels.assemble import assemble_label, ignore_reasons
from aepsl.report import measures, pictures
from aepsl.report.gallery import Shown, Step, entry
from aepsl.report.page import as_script
from aepsl.report.palettes import safe_palette
from aepsl.report.summary import percent, summary_of, verdict_with_truth, verdict_without_truth

IGNORED = 255


def mask(*rows):
    return np.array(rows, np.uint8)


@pytest.mark.parametrize(
    ("truth", "found", "expected"),
    [
        ([1] * 10 + [0] * 10, [1] * 10 + [0] * 10, []),
        ([1] * 10 + [0] * 10, [0] * 20, [("missed", 1)]),
        ([1] * 10 + [0] * 10, [1] + [0] * 19, [("small", 1)]),  # a tenth is found
        ([1] * 10 + [0] * 10, [IGNORED] * 20, [("missed", 1)]),
        ([1] * 10 + [0] * 10, [1] * 5 + [0] * 15, []),  # an IoU of one half
        ([1] * 4 + [0] * 16, [1] * 20, [("large", 1)]),
        ([1] * 10 + [0] * 10, [2] * 10 + [0] * 10, [("missed", 1), ("false", 2)]),
        ([0] * 200, [2] * 2 + [0] * 198, []),  # a hundredth of the image
        ([0] * 200, [2] * 3 + [0] * 197, [("false", 2)]),
        ([0] * 100 + [IGNORED] * 100, [0] * 100 + [2] * 100, []),
    ],
)
def test_causes_by_truth_literally(truth, found, expected):
    matrix = confusion_matrix(mask(truth), mask(found), classes=3)
    assert list(measures.causes_by_truth(matrix)) == expected


@pytest.mark.parametrize(
    ("found", "labels", "expected"),
    [
        ([1, 1, 0, 0], [1], []),
        ([IGNORED, IGNORED, 0, 0], [1], [("missed", 1)]),
        ([2, 0, 0, 0], [1], [("missed", 1), ("false", 2)]),
        ([2] + [0] * 99, [], []),  # a hundredth of the image
        ([2] * 2 + [0] * 98, [], [("false", 2)]),
    ],
)
def test_causes_by_labels_literally(found, labels, expected):
    assert list(measures.causes_by_labels(mask(found), labels)) == expected


def test_kinds_of_errors_literally():
    truth = mask([0, 0, 1, 1, 1, 2, IGNORED, 0])
    found = mask([0, 1, 1, 0, IGNORED, 1, 1, IGNORED])
    assert measures.kinds_of_errors(truth, found).tolist() == [[0, 2, 0, 1, 1, 3, 0, 0]]


def test_disagreement_is_of_the_pixels_that_both_label():
    assert measures.disagreement(mask([0, 1, 1, IGNORED]), mask([0, 2, 1, 1])) == 1 / 3
    assert measures.disagreement(mask([IGNORED, 1]), mask([1, IGNORED])) is None


def test_confidence_is_the_mean_of_the_largest_probability():
    probabilities = np.array([[[0.5, 0.1]], [[0.25, 0.9]], [[0.25, 0.0001]]])
    assert measures.confidence(np.log(probabilities)) == pytest.approx(0.7)


def test_reasons_of_ignored_pixels_literally():
    # columns: no claim and salient; one claim, not salient; two claims; one claim; background
    regions = np.array([[[0, 1, 1, 1, 0]], [[0, 0, 1, 0, 0]]], bool)
    saliency = np.array([[0.9, 0.01, 0.9, 0.9, 0.01]])
    label = assemble_label(regions, saliency, classes=[0, 1], background_threshold=0.06)
    assert label.mask.tolist() == [[IGNORED, IGNORED, IGNORED, 1, 0]]
    assert ignore_reasons(label.mask, regions).tolist() == [[3, 2, 1, 0, 0]]
    assert (label.conflict, label.low_saliency, label.unclaimed) == (1, 1, 1)


def test_the_page_reads_every_number_of_a_layer():
    """An SVG filter with n colours takes grey g of 0..255 for number floor(n g / 255)."""
    for entries in range(2, 257):
        grey = pictures.grey_values(np.arange(entries), entries=entries).astype(int)
        read = np.minimum(entries * grey // 255, entries - 1)
        assert read.tolist() == list(range(entries))
        if entries <= 64:  # and with an error of one, from a browser's rounding
            for wrong in (grey - 1, grey + 1):
                assert (entries * wrong // 255).tolist() == list(range(entries))


def test_a_mask_layer_keeps_its_values_and_255_is_the_last():
    layer = pictures.mask_layer(mask([0, 1, 2, IGNORED]), classes=3, height=1, width=4)
    assert layer.tolist() == pictures.grey_values(np.array([[0, 1, 2, 3]]), entries=4).tolist()


def test_reasons_are_hatched_in_three_directions():
    size = {"height": 16, "width": 16}
    drawn = [pictures.reasons_layer(np.full((16, 16), k, np.uint8), **size) > 40 for k in (1, 2, 3)]
    assert all(layer.mean() == 0.5 for layer in drawn)
    up, down, across = drawn
    assert (up[:, ::-1] == down).mean() in (0, 1)
    assert (across == across[0]).all()
    assert not (up == up[0]).all()


def test_a_sheet_holds_the_layers_row_by_row():
    layers = [np.full((1, 2), value, np.uint8) for value in (1, 2, 3)]
    assert pictures.sheet(layers).tolist() == [[1, 1, 2, 2], [3, 3, 0, 0]]


def test_thumbnails_are_not_enlarged():
    assert pictures.thumbnail_size(100, 50) == (100, 50)
    assert pictures.thumbnail_size(1000, 10) == (256, 3)
    assert pictures.thumbnail_size(5000, 1) == (256, 1)


def shown(**changes):
    """Return an image of two classes, of which the label knows the left half."""
    half = mask([1, 1, IGNORED, IGNORED], [1, 1, 0, 0])
    about = {"id": "a", "split": "train", "labels": [1], "label": half}
    return Shown(**about | {"photograph": np.zeros((2, 4, 3), np.uint8)} | changes)


def test_the_entry_of_an_image_literally():
    truth = mask([1, 1, 0, 0], [1, 1, 0, 2])
    prediction = mask([1, 1, 0, 0], [1, 1, 1, 2])
    step = Step([1], np.ones((1, 2, 4), np.float32), mask([1, 0, 0, 0], [0, 0, 0, 0]))
    reasons = mask([0, 0, 3, 1], [0, 0, 0, 0])
    image = shown(truth=truth, prediction=prediction, steps=[step], reasons=reasons)
    record = entry(image, classes=3).record
    assert record == {
        "id": "a",
        "split": "train",
        "labels": [1],
        "size": (4, 2),
        "layers": [
            *[("cam", 1, 1), ("mined", 1), ("label",), ("prediction",), ("truth",)],
            *[("reasons",), ("errors",)],
        ],
        "judged": "prediction",
        "found": [1, 2],
        "causes": [],
        "iou": round((2 / 3 + 4 / 5 + 1) / 3, 4),
        "by_class": [[0, 0.6667], [1, 0.8], [2, 1.0]],
        "ignored": 0.25,
        "lost": [],
        "reasons": [0.125, 0.0, 0.125],
        "disagreement": round(2 / 6, 4),
    }


def test_an_image_is_judged_by_its_last_mask():
    prediction, refined = mask([0] * 4, [0] * 4), mask([1] * 4, [1] * 4)
    assert shown().judged[0] == "label"
    assert shown(prediction=prediction).judged[0] == "prediction"
    judged = shown(label=None, prediction=prediction, refined=refined)
    assert judged.judged == ("crf", refined)
    assert entry(judged, classes=2).record["disagreement"] == 1


def test_without_truth_training_images_are_judged_by_their_labels():
    nothing = mask([IGNORED] * 4, [IGNORED] * 3 + [0])
    record = entry(shown(label=nothing), classes=2).record
    assert record["causes"] == [("missed", 1), ("ignored", 0)]
    assert record["lost"] == [1]
    assert "iou" not in record
    other = entry(shown(split="eval", label=None, prediction=nothing), classes=2).record
    assert "causes" not in other  # the labels of other photographs may be incomplete
    unchecked = entry(shown(split="eval", label=nothing), classes=2).record
    assert unchecked["causes"] == [("ignored", 0)]


def test_an_image_without_any_mask_has_no_sheet():
    made = entry(shown(label=None), classes=2)
    assert made.sheet == b""
    assert made.record["layers"] == []


def row(target, miou, **changes):
    classes = {"background": 0.9, "cat": 0.5, "dog": miou}
    each = dict.fromkeys(("iou", "precision", "recall", "boundary_f"), classes)
    about = {"variant": "main", "step": None, "seed": 0, "split": "val", "images": 60}
    about |= {"miou_interval": [miou - 0.05, miou + 0.04], "confidence": 0.9}
    about |= {"coverage": 0.8, "error": 0.125, "target": target, "miou": miou}
    return about | each | changes


ROWS = [
    row("regions", 0.3, step=1),
    row("regions", 0.275, step=2),
    row("labels", 0.6),
    row("predictions", 0.7),
    row("predictions", 0.5, variant="other", seed=1),
    row("predictions_crf", 0.76),
    row("predictions_crf", 0.56, variant="other", seed=1),
]


def test_the_verdict_in_words_literally():
    assert verdict_with_truth(ROWS, "main") == [
        "The final masks reach 76.0 % mIoU on 60 images (90 % interval 71.0 to 80.0 %).",
        "The weakest class is cat (50.0 %), the strongest dog (76.0 %).",
        "The pseudo-labels cover 80.0 % of the pixels; 12.5 % of these are wrong.",
        "The last erasing step (step 2) took away 2.5 points of mIoU from the mined regions.",
        "The CRF added 6.0 points.",
        "The 2 variants reach 56.0 to 76.0 % mIoU, each with its own seed: 66.0 ± 14.1 (mean and"
        " standard deviation).",
    ]


def test_variants_with_one_seed_have_a_range_only():
    rows = [row("predictions", 0.7), row("predictions", 0.5, variant="other")]
    assert verdict_with_truth(rows, "main")[-1] == "The 2 variants reach 50.0 to 70.0 % mIoU."


def test_the_verdict_of_a_short_run():
    assert verdict_with_truth([row("predictions", 0.5)], "main") == [
        "The final masks reach 50.0 % mIoU on 60 images (90 % interval 45.0 to 54.0 %).",
        "The weakest class is cat (50.0 %), the strongest cat (50.0 %).",
    ]


def without_truth(given):
    return {**given, "miou": None, "miou_interval": [None, None], "coverage": None, "error": None}


def test_the_verdict_with_truth_for_the_evaluation_images_only():
    rows = [given if "predictions" in given["target"] else without_truth(given) for given in ROWS]
    assert verdict_with_truth(rows, "main")[:3] == [
        "The final masks reach 76.0 % mIoU on 60 images (90 % interval 71.0 to 80.0 %).",
        "The weakest class is cat (50.0 %), the strongest dog (76.0 %).",
        "The CRF added 6.0 points.",
    ]


RECORDS = [
    {"split": "train", "ignored": 0.2, "disagreement": 0.1, "causes": [("missed", 1)]},
    {"split": "train", "ignored": 0.4, "causes": [("missed", 1), ("missed", 2), ("ignored", 0)]},
    {"split": "eval", "disagreement": 0.02, "confidence": 0.9},
]


def test_without_truth_the_verdict_is_about_the_stages():
    rows = [without_truth(given) for given in ROWS]
    assert verdict_without_truth(rows, "main", RECORDS) == [
        "There are no true masks, so this page cannot say how good the masks are.",
        "The pseudo-labels leave 30.0 % of the pixels open (2 images).",
        "The network disagrees with its labels on 10.0 % of the pixels (1 images).",
        "The CRF changed 2.0 % of the pixels of the predictions (1 images).",
        "The mean confidence of the predictions is 90.0 % (1 images).",
    ]


def test_the_verdict_with_truth_for_the_training_images_only():
    rows = [without_truth(given) if "predictions" in given["target"] else given for given in ROWS]
    assert verdict_without_truth(rows, "main", RECORDS[2:]) == [
        "The evaluation images have no true masks, so this page cannot say how good the final masks"
        " are.",
        "The pseudo-labels cover 80.0 % of the pixels; 12.5 % of these are wrong.",
        "The last erasing step (step 2) took away 2.5 points of mIoU from the mined regions.",
        "The CRF changed 2.0 % of the pixels of the predictions (1 images).",
        "The mean confidence of the predictions is 90.0 % (1 images).",
    ]


def test_the_summary_counts_images_with_and_without_truth():
    nothing = without_truth(row("predictions", 0.5))
    for rows, details in ((ROWS, len(ROWS)), ([nothing], 0)):
        summary = summary_of(rows, RECORDS, variant="main", class_names=[])
        assert summary["shown"] == {"train": 2, "eval": 1}
        assert len(summary["details"]) == details
        assert bool(summary["final"]) == bool(details)
        assert [finding["text"] for finding in summary["findings"]] == [
            "2 images miss a class",
            "1 label is mostly ignored",
        ]


def test_a_class_that_no_mask_shows_is_told():
    records = [
        {"labels": [1, 2], "split": "train", "lost": [2], "found": [1, 2]},
        {"labels": [2, 3], "split": "train", "lost": [2, 3], "found": [2]},
        {"labels": [1, 3], "split": "train", "lost": [], "found": [1]},
        {"labels": [4], "split": "eval", "found": []},
    ]
    names = ["a", "b", "c", "d", "e"]
    row = {"target": "labels", "variant": "main", "miou": None}
    said = summary_of([row], records, variant="main", class_names=names)["sentences"][-3:]
    assert said == [
        "No pseudo-label shows b, which 2 training images are labelled with, so the network"
        " cannot have learnt it.",
        "No mask shows c, which 2 images are labelled with.",
        "No mask shows d, which 1 image is labelled with.",
    ]


def test_numbers_as_text():
    assert percent(0.005) == "0.5"
    assert percent(None) == "–"
    assert measures.rounded(float("nan")) is None


def test_data_of_the_page_cannot_leave_their_script():
    value = {"</script><!--": ["\u2028", "é", '"', "\\"]}
    text = as_script(value)
    assert json.loads(text) == value
    assert not re.search(r"[<\u0080-\uffff]", text)


def test_the_safe_palette_repeats_no_colour_for_vocs_classes():
    colours = safe_palette(21)
    assert len({tuple(colour) for colour in colours.tolist()}) == 21
    assert colours[0].tolist() == [0, 0, 0]
