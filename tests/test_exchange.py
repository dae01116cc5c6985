"""Masks in the formats of other tools: literal files, and readers that are not ours."""

import json
import runpy
import zipfile
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import cv2
import in_process
import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pycocotools.coco import COCO

from aepsl.data.images import voc_palette
from aepsl.errors import AepslError
from aepsl.exchange.corrections import find_corrections, read_correction
from aepsl.exchange.formats import FORMATS, export
from aepsl.exchange.labelled import open_labelled
from aepsl.exchange.labelstudio import brush_runs
from aepsl.exchange.yolo import polygons
from aepsl.stores.atomic import digest_of
from aepsl.stores.checksums import files_below
from aepsl.stores.manifests import ImageEntry, ImageManifest, write_manifest
from aepsl.stores.records import Record, writing_shard

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation")  # of pycocotools

CLASSES = ("cat", 'my "big" dog', "Straßenbahn, rot")
TRAIN = {"cats/a 1.jpg": (5, 8), "cats/b.jpg": (4, 6), "dogs/a 1.jpg": (6, 6), "ü.jpg": (9, 7)}
VAL = {"val/c.jpg": (5, 5)}


def image_id(path):
    return path.removesuffix(".jpg").replace("/", "__")


def masks_of(sizes, *, ignored):
    rng = np.random.default_rng(len(sizes))
    values = [0, 1, 2, 3, 255] if ignored else [0, 1, 2, 3]
    return {
        path: np.kron(rng.choice(values, ((h + 1) // 2, (w + 1) // 2)), np.ones((2, 2)))[
            :h, :w
        ].astype(np.uint8)
        for path, (h, w) in sizes.items()
    }


MASKS = masks_of(TRAIN, ignored=True) | masks_of(VAL, ignored=False)
BY_ID = {image_id(path): mask for path, mask in MASKS.items()}


@pytest.fixture
def results(tmp_path, class_names=CLASSES):
    """Return the folder of a run: labels in two shards, and predictions."""
    folder = tmp_path / "results" / "own"
    make_run(folder, class_names)
    for path, (height, width) in (TRAIN | VAL).items():
        file = tmp_path / "photographs" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (width, height), (width, height, 0)).save(file)
    return folder


def make_run(folder, class_names):
    for role, sizes in (("train", TRAIN), ("eval", VAL)):
        entries = [
            ImageEntry(image_id(path), path, h, w, (0, 0, 0), "0" * 64, class_names[:2])
            for path, (h, w) in sizes.items()
        ]
        manifest = ImageManifest(role, tuple(class_names), (0, 0, 0), tuple(entries))
        write_manifest(folder / f"{role}_images" / "main" / "manifest.jsonl", manifest)
    paths = list(TRAIN)
    for kind, name, shards in (
        ("labels", "labels", [paths[:2], paths[2:]]),
        ("predictions", "predictions", [list(VAL)]),
        ("regions", "regions", [paths[:1]]),
    ):
        for shard, group in enumerate(shards):
            file = folder / name / "main" / f"{shard}.h5"
            facts = {"class_names": list(class_names)}
            with writing_shard(
                file, kind=kind, facts=facts, shard=shard, shards=len(shards)
            ) as writer:
                for path in group:
                    writer.add(image_id(path), Record({"mask": MASKS[path]}))


@pytest.fixture
def exported(results, tmp_path):
    """Return a function that exports labels and predictions in a format."""

    def run(name, *stores, **options):
        paths = [results / store / "main" for store in stores or ("labels", "predictions")]
        output = tmp_path / f"out-{name}"
        labelled = open_labelled(paths, root=tmp_path / "photographs", **options)
        export(labelled, output, format_name=name)
        return output

    return run


def values(path):
    with Image.open(path) as image:
        assert image.mode == "P"
        return np.asarray(image)


def test_palette_pngs(exported):
    folder = exported("png")
    assert {path.stem: values(path).tolist() for path in folder.iterdir()} == {
        name: mask.tolist() for name, mask in BY_ID.items()
    }


def loaded(path):
    with redirect_stdout(StringIO()):
        return COCO(str(path))


def test_pycocotools_gets_the_same_masks_from_coco(exported):
    folder = exported("coco")
    found = {}
    for file in sorted(folder.iterdir()):
        coco = loaded(file)
        assert {k: c["name"] for k, c in coco.cats.items()} == dict(enumerate(CLASSES, start=1))
        for number, image in coco.imgs.items():
            mask = np.zeros((image["height"], image["width"]), np.uint8)
            ids = coco.getAnnIds(imgIds=number)
            for annotation in coco.loadAnns(ids):
                region = coco.annToMask(annotation).astype(bool)
                x, y, w, h = annotation["bbox"]
                assert annotation["area"] == region.sum() == region[y : y + h, x : x + w].sum()
                assert region[y].any() and region[y + h - 1].any()
                assert region[:, x].any() and region[:, x + w - 1].any()
                mask[region] = 255 if annotation["iscrowd"] else annotation["category_id"]
            found[image["file_name"]] = mask.tolist()
            crowds = [a["category_id"] for a in coco.loadAnns(ids) if a["iscrowd"]]
            assert crowds == ([1, 2] if (mask == 255).any() else [])
    assert found == {path: mask.tolist() for path, mask in MASKS.items()}
    assert [file.name for file in sorted(folder.iterdir())] == [
        "instances_train.json",
        "instances_val.json",
    ]


def test_cvats_archive(exported):
    folder = exported("cvat", "labels")
    names = ["cats/a 1", "cats/b", "dogs/a 1", "ü"]
    with zipfile.ZipFile(folder / "upload.zip") as archive:
        assert sorted(archive.namelist()) == sorted(
            [
                "ImageSets/Segmentation/default.txt",
                "labelmap.txt",
                *(f"SegmentationClass/{name}.png" for name in names),
            ]
        )
        for name in archive.namelist():
            assert archive.read(name) == (folder / name).read_bytes()
        lines = archive.read("ImageSets/Segmentation/default.txt").decode().splitlines()
        colours = {}
        for line in archive.read("labelmap.txt").decode().splitlines()[1:]:
            label, colour, parts, actions = line.split(":")
            assert (parts, actions) == ("", "")
            colours[label] = tuple(map(int, colour.split(",")))
    assert lines == names
    assert list(colours) == ["background", *CLASSES, "ignored"]
    for name in names:
        mask = MASKS[f"{name}.jpg"]
        with Image.open(folder / "SegmentationClass" / f"{name}.png") as image:
            assert image.mode == "RGB"
            shown = np.asarray(image)
        for value, label in zip([0, 1, 2, 3, 255], colours, strict=True):
            np.testing.assert_array_equal(mask == value, (shown == colours[label]).all(axis=2))
    labels = json.loads((folder / "labels.json").read_text())
    assert [label["name"] for label in labels] == [*CLASSES, "ignored"]
    assert [label["color"] for label in labels] == ["#800000", "#008000", "#808000", "#e0e0c0"]


def test_photographs_in_one_folder_need_no_folder_in_cvat(exported, results, tmp_path):
    assert (exported("cvat", "predictions") / "SegmentationClass" / "c.png").is_file()


@pytest.mark.parametrize("name", ["cvat", "coco", "png"])
def test_what_was_exported_comes_back_as_corrections(exported, tmp_path, name):
    folder = exported(name, "labels")
    path = folder / "instances_train.json" if name == "coco" else folder
    images = [
        ImageEntry(image_id(path), path, h, w, (0, 0, 0), "", ()) for path, (h, w) in TRAIN.items()
    ]
    sources = find_corrections(path, images)
    assert {
        image.id: read_correction(sources[image.id], image, CLASSES).tolist() for image in images
    } == {image.id: BY_ID[image.id].tolist() for image in images}


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("a:b", "no colon, no # in front"),
        ("#1", "no colon, no # in front"),
        ("ignored", "ignored pixels have this label"),
    ],
)
def test_names_that_cvats_list_cannot_hold(tmp_path, name, hint):
    make_run(tmp_path / "run", (name, "cat", "dog"))
    labelled = open_labelled([tmp_path / "run" / "labels" / "main"], root=None)
    with pytest.raises(AepslError, match="cannot hold the class name") as caught:
        export(labelled, tmp_path / "out", format_name="cvat")
    assert hint in str(caught.value)
    assert not list(tmp_path.glob("out*"))


def brush_decoded(data, height, width):
    """Decode Label Studio's bytes bit by bit, as the format is described."""
    bits, place = "".join(f"{byte:08b}" for byte in data), 0

    def read(count):
        nonlocal place
        place += count
        assert place <= len(bits)
        return int(bits[place - count : place] or "0", 2)

    total, word = read(32), read(5) + 1
    widths = [read(4) + 1 for _ in range(4)]
    values = []
    while len(values) < total:
        equal = read(1)
        length = 1 + read(widths[read(2)])
        values += [read(word)] * length if equal else [read(word) for _ in range(length)]
    assert set(bits[place:]) <= {"0"}
    assert len(bits) - place < 8
    pixels = np.array(values).reshape(height, width, 4)
    assert (pixels == pixels[..., :1]).all()
    return pixels[..., 0]


def test_brush_runs_literally():
    region = np.array([[1, 1, 0]], bool)
    header = f"{12:032b}" + "00111" + "0010" + "0011" + "0111" + "1111"
    blocks = "100" + "111" + "11111111" + "100" + "011" + "00000000"
    bits = header + blocks
    bits += "0" * (-len(bits) % 8)
    assert brush_runs(region) == [int(bits[k : k + 8], 2) for k in range(0, len(bits), 8)]


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 999), st.sampled_from([0, 0.1, 0.9]))
def test_label_studios_brush_against_a_plain_decoder(height, width, seed, share):
    region = np.random.default_rng(seed).random((height, width)) < share
    np.testing.assert_array_equal(brush_decoded(brush_runs(region), height, width), region * 255)


def test_long_runs_of_label_studios_brush():
    region = np.zeros((200, 300), bool)
    region[150:, 100:] = True
    np.testing.assert_array_equal(brush_decoded(brush_runs(region), 200, 300), region * 255)


def test_label_studios_tasks(exported):
    folder = exported("labelstudio")
    tasks = json.loads((folder / "tasks.json").read_text())
    config = ElementTree.parse(folder / "config.xml").getroot()
    (image,), (brush,) = config.iter("Image"), config.iter("BrushLabels")
    names = [label.get("value") for label in brush]
    assert names == [*CLASSES, "ignored"]
    found = {}
    for task in tasks:
        ((prediction),) = task["predictions"]
        mask = None
        for result in prediction["result"]:
            assert (result["from_name"], result["to_name"]) == (
                brush.get("name"),
                image.get("name"),
            )
            assert result["type"] == "brushlabels"
            height, width = result["original_height"], result["original_width"]
            mask = np.zeros((height, width), int) if mask is None else mask
            (label,) = result["value"]["brushlabels"]
            region = brush_decoded(result["value"]["rle"], height, width) == 255
            mask[region] = 255 if label == "ignored" else 1 + CLASSES.index(label)
        place = unquote(task["data"]["image"].removeprefix("/data/local-files/?d="))
        found[place] = mask.tolist()
    assert found == {path: mask.tolist() for path, mask in MASKS.items()}


def filled(lines, height, width, whole):
    """Draw YOLO's polygons as its tools do: in whole pixels, one class after the other."""
    mask = np.zeros((height, width), np.uint8)
    for line in lines:
        number, *numbers = line.split()
        points = np.array(numbers, np.float32).reshape(-1, 2) * (width, height)
        points = whole(points).astype(np.int32)
        cv2.fillPoly(mask, [points], int(number) + 1)
    return mask


@given(st.integers(3, 40), st.integers(3, 40), st.integers(0, 9999))
def test_polygons_cover_a_region_but_for_its_thinnest_parts(height, width, seed):
    noise = np.random.default_rng(seed).random((height, width)).astype(np.float32)
    region = cv2.blur(noise, (5, 5)) > 0.5
    drawn = np.zeros((height, width), np.uint8)
    for polygon in polygons(region):
        assert ((polygon > 0) & (polygon < 1)).all()
        once = np.zeros_like(drawn)
        cv2.fillPoly(once, [(polygon * (width, height)).astype(np.int32)], 1)
        drawn |= once
    assert not (drawn.astype(bool) & ~region).any() or _only_bridges(drawn, region)
    missing = region & ~drawn.astype(bool)
    count, parts = cv2.connectedComponents(region.astype(np.uint8))
    for part in range(1, count):
        if (missing & (parts == part)).any():
            rows, columns = np.nonzero(parts == part)
            assert min(np.ptp(rows), np.ptp(columns)) == 0 or len(rows) <= 2 + np.ptp(rows)


def _only_bridges(drawn, region):
    """Return whether what is drawn too much is lines to holes: at most a row of pixels each."""
    holes = cv2.connectedComponents((~region).astype(np.uint8), connectivity=4)[0] - 1
    return (drawn.astype(bool) & ~region).sum() <= holes * max(region.shape)


def test_a_ring_keeps_its_hole():
    region = np.zeros((9, 9), bool)
    region[1:8, 1:8] = True
    region[3:6, 3:6] = False
    (polygon,) = polygons(region)
    drawn = np.zeros((9, 9), np.uint8)
    cv2.fillPoly(drawn, [(polygon * 9).astype(np.int32)], 1)
    np.testing.assert_array_equal(drawn, region)
    assert list(polygons(np.zeros((4, 4), bool))) == []


def test_yolos_folder(exported, tmp_path):
    folder = exported("yolo")
    about = yaml.safe_load((folder / "data.yaml").read_text())
    assert about == {
        "train": "images/train",
        "val": "images/val",
        "names": dict(enumerate(CLASSES)),
    }
    for path, (height, width) in (TRAIN | VAL).items():
        photograph = folder / about["val" if path in VAL else "train"] / f"{image_id(path)}.jpg"
        assert photograph.resolve() == tmp_path / "photographs" / path
        labels = str(photograph).replace("/images/", "/labels/").replace(".jpg", ".txt")
        expected = np.where(MASKS[path] == 255, 0, MASKS[path])
        # Blocks of 2 x 2 pixels have outlines; those cut by the border may be lines, without one.
        blocks = slice(height // 2 * 2), slice(width // 2 * 2)
        for whole in (np.round, np.floor):  # supervision's reader, and Ultralytics'
            drawn = filled(Path(labels).read_text().splitlines(), height, width, whole)
            np.testing.assert_array_equal(drawn[blocks], expected[blocks])


def test_mmsegs_folder(exported, tmp_path):
    folder = exported("mmseg", copy=True)
    about = runpy.run_path(str(folder / "dataset.py"))
    assert about["metainfo"]["classes"] == ["background", *CLASSES]
    assert about["metainfo"]["palette"] == voc_palette(4).tolist()
    assert about["dataset"]["reduce_zero_label"] is False
    assert about["dataset"]["img_suffix"] == ".jpg"
    for split, sizes in (("train", TRAIN), ("val", VAL)):
        photographs = sorted((folder / "img_dir" / split).iterdir())
        assert [path.stem for path in photographs] == sorted(map(image_id, sizes))
        for photograph in photographs:
            assert not photograph.is_symlink()
            mask = values(folder / "ann_dir" / split / f"{photograph.stem}.png")
            np.testing.assert_array_equal(mask, BY_ID[photograph.stem])
            with Image.open(photograph) as image:
                assert image.size == mask.shape[::-1]


@pytest.mark.parametrize(
    ("stores", "split"),
    [(["labels"], "train"), (["predictions"], "val"), (["predictions", "labels"], "train")],
)
def test_mmsegs_dataset_names_a_split_that_is_there(exported, stores, split):
    folder = exported("mmseg", *stores)
    about = runpy.run_path(str(folder / "dataset.py"))["dataset"]["data_prefix"]
    assert about == {"img_path": f"img_dir/{split}", "seg_map_path": f"ann_dir/{split}"}
    assert (folder / "img_dir" / split).is_dir()


@pytest.mark.parametrize("name", ["mmseg", "yolo"])
def test_a_photograph_that_exif_turns_is_written_upright(exported, tmp_path, name):
    height, width = TRAIN["cats/b.jpg"]
    lying = np.zeros((width, height, 3), np.uint8)
    lying[:, 0] = 255  # at the top, after a quarter turn
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(lying).save(tmp_path / "photographs" / "cats" / "b.jpg", exif=exif, quality=95)
    (file,) = exported(name).rglob("cats__b.jpg")
    with Image.open(file) as image:
        assert image.getexif().get(0x0112, 1) == 1
        assert image.size == (width, height)
        pixels = np.asarray(image)
    assert pixels[0].mean() > 200
    assert pixels[-1].mean() < 50


@pytest.mark.parametrize("name", FORMATS)
def test_equal_masks_give_equal_bytes(exported, name):
    def content(folder):
        return {path.relative_to(folder): digest_of(path) for path in files_below(folder)}

    folder = exported(name)
    again = folder.rename(folder.with_name("first"))
    assert content(exported(name)) == content(again)


@pytest.mark.parametrize("name", ["yolo", "mmseg"])
@pytest.mark.parametrize("root", [None, "elsewhere"])
def test_without_its_photographs_nothing_is_written(results, tmp_path, name, root):
    root = root and tmp_path / root
    labelled = open_labelled([results / "labels" / "main"], root=root)
    with pytest.raises(AepslError, match="--root"):
        export(labelled, tmp_path / "out", format_name=name)
    assert not list(tmp_path.glob("out*"))


def test_the_command(results, tmp_path):
    store = results / "labels" / "main"
    for arguments in ([store], [store / "0.json", store]):  # a manifest stands for its store
        done = in_process.aepsl(
            tmp_path, "export-labels", *arguments, "--format", "png", "-o", f"n{len(arguments)}"
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"n{len(arguments)}: 4 masks\n"


def test_the_help_names_every_format(tmp_path):
    shown = in_process.aepsl(tmp_path, "export-labels", "--help").stdout
    assert f"{', '.join(list(FORMATS)[:-1])} or {list(FORMATS)[-1]}." in " ".join(
        shown.replace("│", " ").split()
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["labels/main", "--format", "tiff"], "tiff is unknown"),
        (["labels/main", "--format", "png", "-o", "."], "exists"),
        (["labels", "--format", "png"], "there is no store in it"),
        (["regions/main", "--format", "png"], "holds no masks, but regions"),
        (["absent", "--format", "png"], "does not exist"),
        (["labels/main", "--format", "mmseg"], "--root: is not set"),
    ],
)
def test_what_cannot_be_exported_is_told(results, arguments, message):
    if "-o" not in arguments:
        arguments = [*arguments, "-o", "out"]
    done = in_process.aepsl(results, "export-labels", *arguments)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Hint:" in done.stderr
    assert not (results / "out").exists()


def test_a_store_outside_of_its_run(results, tmp_path):
    (results / "labels" / "main").rename(tmp_path / "labels")
    with pytest.raises(AepslError, match="the list of its photographs is not found"):
        open_labelled([tmp_path / "labels"], root=None)
