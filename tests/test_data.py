import pickle
import re
import shutil
import threading

import numpy as np
import pytest
import torch
from conftest import ROOT, VocFolder, settings_of
from PIL import Image
from torch.nn import functional

from aepsl.config.presets import expanded
from aepsl.data.augment import apply_transform, random_transform, shrunk
from aepsl.data.images import read_image, voc_palette, write_mask
from aepsl.data.loading import Augmentation, TrainingImages, training_batches
from aepsl.data.photographs import photograph
from aepsl.data.voc import SPLITS, read_split
from aepsl.errors import AepslError, Problem
from aepsl.networks.grids import shrunk as shrunk_by_matrices
from aepsl.randomness import generator, shuffled_batches
from aepsl.stages import generate_scenes
from aepsl.stores.manifests import read_images

RED = (200, 30, 40)


def stored(path, image, **options):
    image.save(path, **options)
    return read_image(path)


def flat(mode, colour):
    return Image.new(mode, (4, 2), colour)


@pytest.mark.parametrize(
    ("name", "image", "expected"),
    [
        ("grey.png", flat("L", 90), (90, 90, 90)),
        ("rgb.png", flat("RGB", RED), RED),
        ("palette.png", flat("RGB", RED).convert("P", palette=Image.Palette.ADAPTIVE), RED),
        ("opaque.png", flat("RGBA", (*RED, 255)), RED),
        ("see-through.png", flat("RGBA", (*RED, 0)), (255, 255, 255)),
        ("grey-alpha.png", flat("LA", (90, 255)), (90, 90, 90)),
        ("one-bit.png", flat("1", 1), (255, 255, 255)),
        ("sixteen.png", flat("I;16", 90 * 257), (90, 90, 90)),
        ("sixteen.tif", flat("I;16", 200 * 257), (200, 200, 200)),
    ],
)
def test_every_kind_of_file_is_read_as_a_viewer_shows_it(tmp_path, name, image, expected):
    pixels = stored(tmp_path / name, image)
    assert pixels.shape == (2, 4, 3)
    assert (pixels == expected).all()


def test_cmyk_is_converted(tmp_path):
    pixels = stored(tmp_path / "a.jpg", flat("CMYK", (0, 255, 255, 0)), quality=100)
    red, green, blue = pixels[0, 0].astype(int)
    assert red > 240
    assert max(green, blue) < 15


def test_exif_rotation_is_applied(tmp_path):
    image = Image.new("RGB", (4, 2), "black")
    image.putpixel((0, 0), (255, 255, 255))
    exif = Image.Exif()
    exif[0x0112] = 6  # the viewer turns it by 90 degrees clockwise
    pixels = stored(tmp_path / "turned.png", image, exif=exif)
    assert pixels.shape == (4, 2, 3)
    assert pixels[0, 1].tolist() == [255, 255, 255]


def test_palette_is_vocs():
    assert voc_palette(6).tolist() == [
        [0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0], [0, 0, 128], [128, 0, 128],
    ]  # fmt: skip
    assert voc_palette()[[20, 255]].tolist() == [[0, 64, 128], [224, 224, 192]]


def test_masks_keep_their_values(tmp_path):
    mask = np.array([[0, 1, 255], [20, 7, 0]], np.uint8)
    write_mask(tmp_path / "m.png", mask)
    with Image.open(tmp_path / "m.png") as image:
        assert image.mode == "P"
        assert np.asarray(image).tolist() == mask.tolist()


def index_everything(folder, output):
    """Index both splits and their masks, and raise everything that is wrong together."""
    problems = []
    for part in ("train", "eval"):
        dataset = output / f"{part}.json"
        try:
            folder.index(dataset, part, threads=2)
            folder.index_truth(dataset, output / f"{part}-truth.json")
        except AepslError as error:
            problems += error.problems
    if problems:
        raise AepslError(problems)


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


BAD_INPUT = {
    "a truncated file": (lambda f: cut(f.image("a")), ["a.png: the image is broken"]),
    "an empty file": (lambda f: f.image("a").write_bytes(b""), ["a.png: the file is empty"]),
    "no image at all": (
        lambda f: f.image("a").write_text("<html>"),
        ["a.png: not a readable image format"],
    ),
    "an image without labels": (
        lambda f: f.write_labels([("a", ""), ("b", "cat"), ("c", "cat")]),
        ["image a: has no labels"],
    ),
    "an image without a row": (
        lambda f: f.write_labels([("a", "cat"), ("c", "cat")]),
        ["image b: has no labels"],
    ),
    "an unknown label": (
        lambda f: f.write_labels([("a", "cta"), ("b", "cat"), ("c", "cat")]),
        ["image a: unknown label 'cta'"],
    ),
    "labels of an absent image": (
        lambda f: f.write_labels([("a", "cat"), ("b", "cat"), ("c", "cat"), ("z", "cat")]),
        ["labels.csv:5: image z does not exist"],
    ),
    "two rows of one image": (
        lambda f: f.write_labels([("a", "cat"), ("a", "dog"), ("b", "cat"), ("c", "cat")]),
        ["labels.csv:3: a has two rows"],
    ),
    "a mask of another size": (
        lambda f: Image.new("L", (7, 5)).save(f.mask("c")),
        ["c.png: the mask is 7x5 pixels, its image 48x40"],
    ),
    "a broken mask": (
        lambda f: f.mask("c").write_bytes(b"x"),
        ["c.png: not a readable image format"],
    ),
    "a value that is no class": (
        lambda f: Image.new("L", (48, 40), 3).save(f.mask("a")),
        ["a.png: contains the value 3, but there are 2 classes"],
    ),
    "a listed image that is absent": (
        lambda f: (
            f.write_split("val", ["c", "nowhere"])
            or f.write_labels([(i, "cat") for i in ("a", "b", "c", "nowhere")])
        ),
        ["image nowhere: the image does not exist"],
    ),
    "an id listed twice": (lambda f: f.write_split("val", ["c", "c"]), ["c: listed twice"]),
    "an id that is a path": (lambda f: f.write_split("val", ["../c"]), ["../c: an id that is a"]),
    "an empty split": (lambda f: f.write_split("val", []), ["val.txt: the split is empty"]),
    "no split": (
        lambda f: (f.root / "ImageSets/Segmentation/val.txt").unlink(),
        ["val.txt: the file does not exist", "there are train, and of PASCAL VOC 2012 train_790"],
    ),
    "no label file": (lambda f: f.labels.unlink(), ["labels.csv: the file does not exist"]),
    "no header": (lambda f: f.labels.write_text("a,cat\n"), ["no columns image, labels"]),
    "everything at once": (
        lambda f: (
            cut(f.image("a")),
            f.image("b").write_bytes(b""),
            f.write_labels([("a", "cat"), ("b", "cat dgo"), ("c", "cat"), ("y", "cat")]),
        ),
        [
            "a.png: the image is",
            "b.png: the file is empty",
            "unknown label 'dgo'",
            "image y does not exist",
        ],
    ),
}


LISTS = {
    "train_five": 112, "val_five": 54,
    "train_small": 60, "val_small": 40,
    "train_790": 790, "val_250": 250,
}  # fmt: skip


def test_the_lists_of_voc_have_as_many_images_as_the_results_say(tmp_path):
    lists = {name: read_split(tmp_path, name) for name in LISTS}
    assert {path.stem for path in SPLITS.iterdir()} == set(LISTS)
    assert {name: len(ids) for name, ids in lists.items()} == LISTS
    for name, ids in lists.items():
        assert ids == sorted(ids)
        assert all(re.fullmatch(r"20(07|08|09|10|11)_\d{6}", image_id) for image_id in ids)
        assert set(ids) <= set(lists["train_790" if name.startswith("train") else "val_250"])
    assert not set(lists["train_790"]) & set(lists["val_250"])


def test_a_list_of_the_dataset_comes_before_ours(voc_folder):
    assert len(read_split(voc_folder.root, "val_five")) == 54
    voc_folder.write_split("val_five", ["c"])
    assert read_split(voc_folder.root, "val_five") == ["c"]


@pytest.mark.real_data
def test_the_lists_of_voc_are_those_of_the_data(shared_data):
    theirs = shared_data / "voc" / "ImageSets" / "Segmentation"
    for ours in SPLITS.iterdir():
        name = {"train_790": "train", "val_250": "val"}.get(ours.stem, ours.stem)
        assert ours.read_bytes() == (theirs / f"{name}.txt").read_bytes(), ours.stem


@pytest.mark.real_data
def test_the_images_of_the_five_classes_show_no_other(shared_data):
    settings = expanded({"base": ["voc-small"]})["data"]
    labels = (shared_data / "voc" / "image_labels.csv").read_text().splitlines()
    shown = {row.split(",")[0]: set(row.split(",")[1].split()) for row in labels[1:]}
    for split in (settings["train_split"], settings["eval_split"]):
        assert {name for i in read_split(ROOT, split) for name in shown[i]} == set(
            settings["classes"]
        )


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_is_reported_together_with_hints(voc_folder, tmp_path, case):
    spoil, messages = BAD_INPUT[case]
    spoil(voc_folder)
    with pytest.raises(AepslError) as caught:
        index_everything(voc_folder, tmp_path / "out")
    text = str(caught.value)
    for message in messages:
        assert message in text
    assert all(problem.hint for problem in caught.value.problems)
    assert len(list(tmp_path.glob("out/*"))) < 4


def test_a_wrong_folder_is_named(tmp_path, voc_folder):
    voc_folder.root = tmp_path / "nowhere"
    with pytest.raises(AepslError, match="nowhere: no such folder"):
        voc_folder.index(tmp_path / "m.json")


def test_the_index_describes_every_image(voc_folder, tmp_path):
    manifest = voc_folder.index(tmp_path / "train.json")
    first = manifest.images[0]
    assert (first.id, first.height, first.width, first.labels) == ("a", 40, 48, ("cat",))
    assert voc_folder.root / first.path == voc_folder.image("a")
    assert [image.id for image in manifest.images] == ["a", "b"]
    assert manifest.split == "train"
    pixels = np.stack([read_image(voc_folder.image(i)) for i in "ab"])
    assert manifest.mean_pixel == tuple(np.rint(pixels.mean(axis=(0, 1, 2))).astype(int))
    assert [i.id for i in voc_folder.index(tmp_path / "eval.json", "eval").images] == ["c"]


def test_the_truth_is_of_the_images_that_have_one(voc_folder, tmp_path):
    voc_folder.mask("a").unlink()
    voc_folder.index(tmp_path / "train.json")
    truth = voc_folder.index_truth(tmp_path / "train.json", tmp_path / "truth.json")
    assert [(m.id, voc_folder.root / m.path, m.height) for m in truth.masks] == [
        ("b", voc_folder.mask("b"), 40)
    ]
    assert truth.mask_values == (1, 2)
    shutil.rmtree(voc_folder.root / "SegmentationClass")
    assert voc_folder.index_truth(tmp_path / "train.json", tmp_path / "t.json").masks == ()


def test_the_dataset_may_be_moved(voc_folder, tmp_path):
    manifest = voc_folder.index(tmp_path / "train.json")
    moved = voc_folder.root.rename(tmp_path / "elsewhere")
    again = read_images(tmp_path / "train.json")
    assert photograph(again.images[0], root=moved).shape == (40, 48, 3)
    assert again.digest() == manifest.digest()
    assert str(tmp_path) not in (tmp_path / "train.json").read_text()


def test_images_to_predict_need_no_labels(voc_folder, tmp_path):
    voc_folder.write_labels([("a", "cat"), ("b", "dog cat")])
    for per_class in (None, 1):
        manifest = voc_folder.index(tmp_path / "m.json", "eval", limit_per_class=per_class)
        assert [(i.id, i.labels) for i in manifest.images] == [("c", ())]


def test_subset_and_limit(voc_folder, tmp_path):
    voc_folder.write_labels([("a", "cat dog"), ("b", "dog"), ("c", "dog")])
    path = tmp_path / "m.json"
    manifest = voc_folder.index(path, classes=["cat"])
    assert [(i.id, i.labels) for i in manifest.images] == [("a", ("cat",))]
    manifest = voc_folder.index(path, classes=["dog"])
    truth = voc_folder.index_truth(path, tmp_path / "t.json", classes=["dog"])
    assert truth.mask_values == (2,)
    assert [i.id for i in voc_folder.index(path, limit_per_class=1).images] == ["a"]
    assert voc_folder.index(path, "eval", classes=["cat"]).images == ()


def test_xml_labels(voc_folder, tmp_path):
    (voc_folder.root / "Annotations").mkdir()
    for image_id, names in {"a": ["dog", "cat", "dog"], "b": ["cat"], "c": ["dog"]}.items():
        boxes = "".join(f"<object><name>{name}</name></object>" for name in names)
        path = voc_folder.root / "Annotations" / f"{image_id}.xml"
        path.write_text(f"<annotation>{boxes}</annotation>")
    manifest = voc_folder.index(tmp_path / "m.json", labels="xml")
    assert [image.labels for image in manifest.images] == [("cat", "dog"), ("cat",)]


def test_a_view_of_everything_is_the_image():
    image = np.random.default_rng(0).integers(0, 255, (33, 33, 3), dtype=np.uint8)
    options = {"height": 33, "width": 33, "crop": 33, "scale_min": 1, "scale_max": 1}
    view = random_transform(np.random.default_rng(0), flip=False, **options)
    assert (apply_transform(image, view, fill_value=(0, 0, 0), interpolate=True) == image).all()


@pytest.mark.parametrize("seed", range(20))
def test_image_and_mask_stay_aligned(seed):
    # A mask that is a copy of a two-valued image must be seen exactly where the image is.
    rng = np.random.default_rng(seed)
    mask = np.zeros((50, 70), np.uint8)
    mask[rng.integers(0, 20) : 35, rng.integers(0, 30) : 60] = 1
    image = np.repeat(mask[..., None] * 255, 3, axis=2)
    view = random_transform(
        rng, height=50, width=70, crop=41, scale_min=0.7, scale_max=1.5, flip=True
    )
    seen = apply_transform(image, view, fill_value=(0, 0, 0), interpolate=True)[..., 0].astype(int)
    where = apply_transform(mask, view, fill_value=0, interpolate=False)
    sure = (seen < 5) | (seen > 250)
    assert (where[sure] == (seen[sure] > 128)).all()
    assert sure.mean() > 0.8


def test_outside_is_filled():
    options = {"height": 10, "width": 10, "crop": 33, "scale_min": 1, "scale_max": 1}
    view = random_transform(np.random.default_rng(0), flip=False, **options)
    image = np.zeros((10, 10, 3), np.uint8)
    seen = apply_transform(image, view, fill_value=(124, 116, 104), interpolate=True)
    assert (seen == (124, 116, 104)).all(axis=2).sum() >= 33 * 33 - 121
    assert (
        apply_transform(image[..., 0], view, fill_value=255, interpolate=False) == 255
    ).sum() == 33 * 33 - 100


def test_photographs_are_shrunk_as_by_torch_and_masks_by_their_middle():
    image = np.random.default_rng(0).integers(0, 255, (40, 61, 3), np.uint8)
    small = shrunk(image, scale=0.3, interpolate=True)
    assert small.shape == (12, 18, 3)
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    expected = functional.interpolate(pixels, (12, 18), mode="bilinear", antialias=True)
    assert np.abs(small - expected[0].permute(1, 2, 0).numpy()).max() < 2  # Pillow rounds twice
    torch.testing.assert_close(shrunk_by_matrices(pixels, scale=0.3), expected, atol=1e-3, rtol=0)
    mask = np.repeat([[1, 2, 3]], 3, axis=0).repeat(3, axis=1).astype(np.uint8)
    assert shrunk(mask, scale=1 / 3, interpolate=False).tolist() == [[1, 2, 3]]
    assert shrunk(image, scale=1, interpolate=True) is image


def batches_of(voc_folder, manifest, *, workers, start=(0, 0)):
    """Return the pixels of the batches of two epochs, two images in each."""
    augmentation = Augmentation(1, 33, 0.8, 1.2, flip=True, fill_value=manifest.mean_pixel)
    labels = np.ones((len(manifest.images), 1), np.float32)
    images = TrainingImages(
        manifest.images, labels, root=voc_folder.root, augmentation=augmentation, seed=3
    )
    batches = training_batches(images, batch_size=2, epochs=2, workers=workers, start=start)
    return [batch["image"].numpy().tolist() for batch in batches]


def test_loading_depends_on_seed_epoch_and_image_only(tmp_path):
    voc_folder = VocFolder(tmp_path / "photographs", ids="abcde")
    voc_folder.write_split("train", "abcd")
    manifest = voc_folder.index(tmp_path / "m.json")
    here = batches_of(voc_folder, manifest, workers=0)
    elsewhere = batches_of(voc_folder, manifest, workers=2)
    assert len(here) == 4
    assert here == elsewhere
    assert all(a != b for a in here[:2] for b in here[2:])
    for workers in (0, 1):
        assert batches_of(voc_folder, manifest, workers=workers, start=(0, 1)) == here[1:]
        assert batches_of(voc_folder, manifest, workers=workers, start=(1, 1)) == here[3:]


def test_an_unreadable_photograph_ends_the_loading(tmp_path):
    voc_folder = VocFolder(tmp_path / "photographs", ids="abcde")
    voc_folder.write_split("train", "abcd")
    manifest = voc_folder.index(tmp_path / "m.json")
    shutil.rmtree(voc_folder.root / "JPEGImages")
    # The error keeps what the loading held: no thread may wait there for its end.
    with pytest.raises(AepslError, match="does not exist") as error:
        batches_of(voc_folder, manifest, workers=0)
    assert error.tb
    assert not [t.name for t in threading.enumerate() if t.name.startswith("read-ahead")]


def test_batches_cover_each_image_once():
    batches = shuffled_batches(23, batch_size=5, seed=1, epoch=4)
    assert sorted(n for batch in batches for n in batch) == list(range(23))
    assert [len(batch) for batch in batches] == [5, 5, 5, 5, 3]
    assert [len(b) for b in shuffled_batches(21, batch_size=5, seed=1, epoch=4)] == [5, 5, 5, 6]


def test_generators_belong_to_their_key():
    draw = generator(0, 3, "2007_000032").random()
    generator(0, 4, "other").random()
    assert generator(0, 3, "2007_000032").random() == draw
    assert generator(1, 3, "2007_000032").random() != draw


# Generated scenes

SCENES = settings_of(
    "generate_scenes", {"data": {"scenes": {"train_images": 2, "val_images": 1, "size": 65}}}
)


def test_scenes_replace_scenes(tmp_path):
    output = tmp_path / "scenes" / "scenes.json"
    generate_scenes.generate_scenes(SCENES, output=output, threads=1)
    first = output.read_bytes()
    (output.parent / "JPEGImages" / "train_0000.png").unlink()
    generate_scenes.generate_scenes(SCENES, output=output, threads=2)
    assert output.read_bytes() == first
    assert len(list((output.parent / "JPEGImages").iterdir())) == 3


@pytest.mark.parametrize(
    "foreign", ["thesis.tex", "generated.txt", "JPEGImages2"], ids=lambda name: name
)
def test_other_folders_are_not_replaced(tmp_path, foreign):
    output = tmp_path / "scenes" / "scenes.json"
    generate_scenes.generate_scenes(SCENES, output=output, threads=1)
    (output.parent / foreign).write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(AepslError, match="contains files other than generated scenes"):
        generate_scenes.generate_scenes(SCENES, output=output, threads=1)
    assert sorted(tmp_path.rglob("*")) == before


def test_equal_problems_are_told_once_with_their_number():
    problems = [Problem(f"image {n}", "has no labels", "label it") for n in range(5)]
    other = [Problem("x", "is broken", "replace it"), Problem("y", "is broken", "replace it")]
    error = AepslError([*problems, *other], "7 problems:")
    assert str(error).splitlines() == [
        "7 problems:",
        "image 0 and 4 more: has no labels",
        "    Hint: label it",
        "x: is broken",
        "    Hint: replace it",
        "y: is broken",
        "    Hint: replace it",
    ]
    again = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert (again.problems, again.summary, str(again)) == (
        error.problems,
        error.summary,
        str(error),
    )
