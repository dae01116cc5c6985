"""COCO's segmentations: literal masks, the reference implementation, true masks of a dataset."""

import json

import numpy as np
import pytest
from conftest import settings_of
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as reference

from aepsl.config.data import Data
from aepsl.config.sections import parse
from aepsl.data.adapters import described
from aepsl.data.coco_masks import decoded, run_lengths
from aepsl.errors import AepslError
from aepsl.stages._truth import true_mask
from aepsl.stages.index_images import index_images
from aepsl.stages.index_truth import index_truth
from aepsl.stores.manifests import read_truth
from aepsl.workflow.content_digests import ContentDigests

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation")  # of pycocotools


def drawn(segmentation, height=4, width=5):
    return decoded(segmentation, height=height, width=width).astype(int).tolist()


def test_run_lengths_go_down_the_columns():
    segmentation = {"size": [4, 5], "counts": [5, 2, 2, 2, 9]}
    assert drawn(segmentation) == [
        [0, 0, 0, 0, 0],
        [0, 1, 1, 0, 0],
        [0, 1, 1, 0, 0],
        [0, 0, 0, 0, 0],
    ]


def test_a_polygon_covers_the_pixels_between_its_points():
    square, dot = [1, 1, 3, 1, 3, 3, 1, 3], [4, 0, 5, 0, 5, 1, 4, 1]
    assert drawn([square, dot]) == [
        [0, 0, 0, 0, 1],
        [0, 1, 1, 0, 0],
        [0, 1, 1, 0, 0],
        [0, 0, 0, 0, 0],
    ]
    assert drawn([[-9, -9, 9, -9, 9, 1, -9, 1]]) == [[1] * 5] + [[0] * 5] * 3
    assert drawn([]) == [[0] * 5] * 4


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 9999), st.sampled_from([0, 0.1, 0.5]))
def test_compressed_run_lengths_are_those_of_the_reference(height, width, seed, share):
    region = np.random.default_rng(seed).random((height, width)) < share
    theirs = reference.encode(np.asfortranarray(region, np.uint8))
    ours = run_lengths(region)
    assert json.loads(json.dumps(ours)) == ours
    assert ours == {"size": [height, width], "counts": theirs["counts"].decode()}
    np.testing.assert_array_equal(decoded(ours, height=height, width=width), region)


def test_long_runs_of_a_large_image():
    region = np.zeros((700, 900), bool)
    region[100:300, 200:800] = region[350, 17] = True
    segmentation = run_lengths(region)
    np.testing.assert_array_equal(decoded(segmentation, height=700, width=900), region)
    np.testing.assert_array_equal(reference.decode(segmentation), region)


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ([[1, 1, 3, 1]], "three points"),
        ([[1, 1, 3, 1, 3]], "three points"),
        ([1, 1, 3, 1, 3, 3], "three points"),
        ([[1, 1, 3, 1, 3, 1e9]], "far outside"),
        ([[1, 1, 3, 1, 3, float("nan")]], "far outside"),
        ([["x"] * 6], "could not convert"),
        ({"size": [5, 4], "counts": [20]}, "it is 4 x 5 pixels, its image 5 x 4"),
        ({"size": [4, 5], "counts": [19]}, "do not add up to 5 x 4 pixels"),
        ({"size": [4, 5], "counts": [22, -2]}, "do not add up"),
        ({"size": [4, 5], "counts": ""}, "do not add up"),
        ({"size": [4, 5], "counts": "014000"}, "do not add up"),
        ({"size": [4, 5], "counts": "ü"}, "ascii"),
        ({"size": [4, 5]}, "counts"),
        (7, "not iterable"),
    ],
)
def test_malformed_segmentations(segmentation, message):
    with pytest.raises((ValueError, TypeError, KeyError)) as caught:
        drawn(segmentation)
    assert message in str(caught.value)


SQUARE = [[0, 0, 4, 0, 4, 4, 0, 4]]
DOT = {"size": [5, 6], "counts": [6, 2, 3, 2, 17]}
CROWD = {"size": [5, 6], "counts": [0, 15, 15]}


def coco_dataset(folder, annotations, **more):
    """Write photographs a (with annotations) and b (without); return their configuration."""
    folder.mkdir(exist_ok=True)
    for number, name in enumerate("ab"):
        Image.new("RGB", (6, 5), (number, 0, 0)).save(folder / f"{name}.png")
    rows = [
        {"image_id": 1, "category_id": category, "segmentation": segmentation, "iscrowd": crowd}
        for category, segmentation, crowd in annotations
    ]
    content = {
        "images": [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}],
        "annotations": rows,
        "categories": [{"id": 10, "name": "sofa"}, {"id": 3, "name": "cat"}],
    }
    (folder / "instances.json").write_text(json.dumps(content))
    data = {"adapter": "coco", "root": str(folder), "class_names": ["cat", "sofa"]}
    return data | {"eval_fraction": 0, **more}


def true_masks(folder, data):
    """Index a dataset; return the true masks of its training photographs."""
    config, where = {"data": data, "mining": {"loss": "sigmoid"}}, {"root": folder}
    index_images(
        settings_of("index_images", config, role="train"),
        role="train",
        output=folder / "images.jsonl",
        **where,
    )
    index_truth(
        settings_of("index_truth", config, role="train"),
        dataset=folder / "images.jsonl",
        output=folder / "truth.jsonl",
        **where,
    )
    truth = read_truth(folder / "truth.jsonl")
    return {entry.id: true_mask(entry, truth, root=folder).tolist() for entry in truth.masks}


def test_smaller_objects_are_in_front_and_crowds_are_ignored_behind_all(tmp_path):
    objects = [(3, DOT, 0), (10, SQUARE, 0), (10, CROWD, 1)]
    front = [
        [2, 2, 2, 2, 0, 0],
        [2, 1, 1, 2, 0, 0],
        [2, 1, 1, 2, 0, 0],
        [2, 2, 2, 2, 0, 0],
        [255, 255, 255, 0, 0, 0],
    ]
    for order in (objects, objects[::-1]):
        data = coco_dataset(tmp_path, order)
        assert true_masks(tmp_path, data) == {"a": front, "b": [[0] * 6] * 5}


def test_of_two_equal_objects_the_later_one_is_in_front(tmp_path):
    data = coco_dataset(tmp_path, [(3, SQUARE, 0), (10, SQUARE, 0)])
    assert true_masks(tmp_path, data)["a"][0] == [2, 2, 2, 2, 0, 0]


def test_a_class_that_is_not_used_is_ignored(tmp_path):
    data = coco_dataset(tmp_path, [(3, DOT, 0), (10, SQUARE, 0)], classes=["sofa"])
    assert true_masks(tmp_path, data)["a"][1] == [1, 255, 255, 1, 0, 0]


def test_boxes_are_no_masks(tmp_path):
    assert true_masks(tmp_path, coco_dataset(tmp_path, [(3, [], 0), (10, None, 0)])) == {}
    some = coco_dataset(tmp_path, [(3, [], 0), (10, SQUARE, 0)])
    assert list(true_masks(tmp_path, some)) == ["b"]


def test_a_png_comes_before_the_segmentations(tmp_path):
    data = coco_dataset(tmp_path, [(10, SQUARE, 0)], mask_folder="masks")
    (tmp_path / "masks").mkdir()
    Image.new("L", (6, 5), 1).save(tmp_path / "masks" / "a.png")
    assert true_masks(tmp_path, data) == {"a": [[1] * 6] * 5, "b": [[0] * 6] * 5}


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ({"size": [6, 5], "counts": [30]}, "it is 5 x 6 pixels, its image 6 x 5"),
        ({"size": [5, 6], "counts": [29]}, "do not add up"),
    ],
)
def test_an_unusable_segmentation_names_its_file_image_and_object(tmp_path, segmentation, message):
    data = coco_dataset(tmp_path, [(3, DOT, 0), (10, segmentation, 0)])
    with pytest.raises(AepslError) as caught:
        true_masks(tmp_path, data)
    (problem,) = caught.value.problems
    assert problem.where == f"{tmp_path / 'instances.json'}: a.png"
    assert "its object 2 is unusable" in problem.what
    assert message in problem.what


def test_the_truth_depends_on_the_segmentations_and_the_index_does_not(tmp_path):
    def digests(annotations):
        data = coco_dataset(tmp_path, annotations)
        dataset = described(parse(Data, data, where="data"))
        contents = (dataset.images_content("train"), dataset.truth_content("train"))
        return [ContentDigests().digest(content) for content in contents]

    images, truth = digests([(3, DOT, 0)])
    assert digests([(3, DOT, 0)]) == [images, truth]
    for changed in ((3, SQUARE, 0), (3, DOT, 1), (3, [], 0)):
        again = digests([changed])
        assert again[0] == images
        assert again[1] != truth


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["size", "counts"]), inner),
    max_leaves=12,
)


@given(ANY | st.fixed_dictionaries({"size": st.just([4, 5]), "counts": ANY}))
def test_any_json_is_a_region_or_refused(segmentation):
    try:
        region = decoded(segmentation, height=4, width=5)
    except (ValueError, TypeError, KeyError, OverflowError):
        return
    assert region.shape == (4, 5)
