"""Masks corrected by hand: which photograph they belong to, what they hold, what they rerun."""

import json
import shutil

import dry_run
import numpy as np
import pytest
import yaml
from conftest import run_snakemake, settings_of
from PIL import Image
from test_matrix import and_after

from aepsl.console import log
from aepsl.data.coco_masks import run_lengths
from aepsl.data.images import encode_mask, voc_palette
from aepsl.errors import AepslError
from aepsl.exchange.correction_files import corrections_content
from aepsl.exchange.corrections import find_corrections, read_correction
from aepsl.exchange.formats import export
from aepsl.exchange.labelled import open_labelled
from aepsl.exchange.labelmap import labelmap
from aepsl.stages.assemble_labels import assemble_labels
from aepsl.stores.manifests import ImageEntry, ImageManifest, write_manifest
from aepsl.stores.records import Record, Store, writing_shard
from aepsl.workflow.content_digests import ContentDigests
from aepsl.workflow.digest_cache import DigestCache

CLASSES = ("cat", "my dog")
PHOTOGRAPHS = ("train/cat/1.jpg", "train/dog/1.jpg", "train/dog/Grün 2.jpg", "beach.v2.png")
IDS = ("train__cat__1", "train__dog__1", "train__dog__Grün 2", "beach.v2")
MASK = np.array([[0, 1, 2], [255, 0, 0]], np.uint8)


def photograph(image_id, path, labels=("cat",)):
    return ImageEntry(image_id, path, 2, 3, (0, 0, 0), "0" * 64, labels)


IMAGES = [photograph(*pair) for pair in zip(IDS, PHOTOGRAPHS, strict=True)]


def write(path, mask=MASK):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_mask(mask))


def in_colours(path, mask, colours=None):
    """Write a mask as RGB, in VOC's palette or in the given colours."""
    pixels = (voc_palette() if colours is None else colours)[mask]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path)


def told(call, *arguments):
    with pytest.raises(AepslError) as caught:
        call(*arguments)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("name", "image_id"),
    [
        ("train__dog__1.png", "train__dog__1"),
        ("train/dog/1.png", "train__dog__1"),
        ("dog/1.PNG", "train__dog__1"),
        ("Grün 2.png", "train__dog__Grün 2"),
        ("Gru\u0308n 2.png", "train__dog__Grün 2"),
        ("beach.v2.png", "beach.v2"),
    ],
)
def test_a_mask_belongs_to_the_photograph_of_its_name(tmp_path, name, image_id):
    for place in (tmp_path / "plain", tmp_path / "cvat" / "SegmentationClass"):
        write(place / name)
    assert find_corrections(tmp_path / "plain", IMAGES) == {image_id: tmp_path / "plain" / name}
    Image.new("RGB", (3, 2)).save(tmp_path / "cvat" / "beach.v2.png")  # not among the masks
    assert list(find_corrections(tmp_path / "cvat", IMAGES)) == [image_id]


def test_masks_of_no_photograph_or_of_several(tmp_path):
    for name in ("1.png", "cat/1.png", "train__cat__1.png", "beach.v3.png", "bird/1.png"):
        write(tmp_path / name)
    (tmp_path / "._beach.v2.png").write_bytes(b"what macOS leaves")
    problems = told(find_corrections, tmp_path, IMAGES)
    assert [problem.partition("\n")[0].removeprefix(f"{tmp_path}/") for problem in problems] == [
        "1.png: may be the mask of 2 photographs, for instance train__cat__1",
        "cat/1.png: is another mask of image train__cat__1",
        "beach.v3.png: no training photograph has this name",
        "bird/1.png: no training photograph has this name",
    ]
    assert "did you mean beach.v2?" in problems[2]


@pytest.mark.parametrize(
    ("paths", "name", "image_id"),
    [
        (["x.jpg", "a/x.jpg"], "x.png", "x"),  # the id
        (["a/x.jpg", "b/a/x.jpg"], "a/x.png", "a__x"),  # the path
        (["b/a/x.jpg", "a/x.jpg"], "a/x.png", "a__x"),
        (["a/x.jpg", "a/b/x.jpg"], "x.png", "a__x"),  # CVAT's export of the folder a
        (["a/x.jpg", "a/b/x.jpg"], "b/x.png", "a__b__x"),
    ],
)
def test_an_exact_name_comes_before_the_end_of_a_path(tmp_path, paths, name, image_id):
    write(tmp_path / name)
    images = [photograph(path.removesuffix(".jpg").replace("/", "__"), path) for path in paths]
    assert list(find_corrections(tmp_path, images)) == [image_id]


def test_many_unknown_names_are_told_once(tmp_path):
    for number in range(5):
        write(tmp_path / f"beach{number}.png")
    with pytest.raises(AepslError) as caught:
        find_corrections(tmp_path, IMAGES)
    assert f"{tmp_path / 'beach0.png'} and 4 more: no training photograph" in str(caught.value)
    assert "beach1" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty", None, "there is no corrected mask in it"),
        ("masks.zip", b"PK", "is an archive"),
        ("absent/masks.json", None, "the file does not exist"),
        ("masks.json", b"{}", "not COCO's layout"),
        (
            "masks.json",
            b'{"images": [{"id": 1, "file_name": ""}], "categories": [{"id": 1, "name": "cat"}],'
            b' "annotations": [{"image_id": 1, "category_id": 1}]}',
            "not COCO's layout (an image without a file_name)",
        ),
        (
            "masks.json",
            b'{"images": [], "annotations": [], "categories": []}',
            "no corrected mask",
        ),
    ],
)
def test_what_holds_no_corrections(tmp_path, name, content, message):
    path = tmp_path / name
    if content:
        path.write_bytes(content)
    elif path.parent.exists():
        path.mkdir()
    (problem,) = told(find_corrections, path, IMAGES)
    assert str(path) in problem
    assert message in problem


def values(path):
    return read_correction(path, IMAGES[0], CLASSES).tolist()


def test_values_of_a_palette_or_grey_png_are_those_of_the_run(tmp_path):
    write(tmp_path / "palette.png")
    Image.fromarray(MASK).save(tmp_path / "grey.png")
    assert values(tmp_path / "palette.png") == MASK.tolist()
    assert values(tmp_path / "grey.png") == MASK.tolist()


def test_colours_are_those_of_vocs_palette(tmp_path):
    in_colours(tmp_path / "painted.png", MASK)
    assert values(tmp_path / "painted.png") == MASK.tolist()


def test_colours_are_those_of_cvats_list(tmp_path):
    text = "# label:color_rgb:parts:actions\nmy dog:9,9,9::\nbackground:0,0,0::\n\n"
    text += "unused:1,1,1::\ncat:250,50,83::\nignored:7,0,0::\n"
    (tmp_path / "labelmap.txt").write_text(text)
    colours = np.zeros((256, 3))
    colours[[1, 2, 255]] = (250, 50, 83), (9, 9, 9), (7, 0, 0)
    file = tmp_path / "SegmentationClass" / "dog" / "1.png"
    in_colours(file, MASK, colours)
    assert values(file) == MASK.tolist()
    indexed = Image.open(file).convert("P", palette=Image.Palette.ADAPTIVE)
    indexed.save(file)
    assert values(file) == MASK.tolist()


def test_the_list_of_labels_names_the_colours_of_vocs_palette():
    assert labelmap(CLASSES).splitlines() == [
        "# label:color_rgb:parts:actions",
        "background:0,0,0::",
        "cat:128,0,0::",
        "my dog:0,128,0::",
        "ignored:224,224,192::",
    ]


def coco_file(path, annotations, names=("a/cat/1.jpg", "beach.v2.png")):
    rows = [
        {"image_id": 0, "category_id": 5, "segmentation": run_lengths(value == MASK), "iscrowd": c}
        for value, c in annotations
    ]
    content = {"images": [{"id": k, "file_name": name} for k, name in enumerate(names)]}
    content |= {"annotations": rows, "categories": [{"id": 5, "name": "my dog"}]}
    path.write_text(json.dumps(content))
    return path


def test_a_coco_file_corrects_the_images_that_it_annotates(tmp_path):
    path = coco_file(tmp_path / "a.json", [(2, 0), (255, 1)], names=("cat/1.jpg", "beach.v2.png"))
    ((image_id, source),) = find_corrections(path, IMAGES).items()
    assert image_id == "train__cat__1"
    assert values(source) == [[0, 0, 2], [255, 0, 0]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: write(p, MASK[:1]), "the mask is 3x1 pixels, its image 3x2"),
        (lambda p: write(p, MASK * 3), "contains the value 3, which is no class's"),
        (lambda p: in_colours(p, MASK * 3), "contains the colour (0, 128, 128), which is no"),
        (lambda p: p.write_bytes(b"no picture"), "not a readable image format"),
        (lambda p: p.write_bytes(encode_mask(MASK)[:-30]), "the mask is broken"),
    ],
)
def test_masks_that_cannot_be_used(tmp_path, make, message):
    path = tmp_path / "dog" / "1.png"
    path.parent.mkdir()
    make(path)
    (problem,) = told(read_correction, path, IMAGES[0], CLASSES)
    assert str(path) in problem
    assert message in problem


def test_an_unknown_class_in_cvats_list(tmp_path):
    in_colours(tmp_path / "1.png", MASK)
    lines = ["background:0,0,0::", "cat:128,0,0::", "dog:0,128,0::", "ignored:224,224,192::"]
    (tmp_path / "labelmap.txt").write_text("\n".join(lines))
    (problem,) = told(read_correction, tmp_path / "1.png", IMAGES[0], CLASSES)
    assert "contains the unknown class 'dog'" in problem
    assert "the classes are cat, my dog" in problem
    (tmp_path / "labelmap.txt").write_text("cat\n")
    (problem,) = told(read_correction, tmp_path / "1.png", IMAGES[0], CLASSES)
    assert "labelmap.txt:1: not a label and its colour" in problem


def test_the_content_is_what_the_masks_hold(tmp_path):
    def digest(path):
        return ContentDigests().digest(corrections_content(path))

    write(tmp_path / "a" / "SegmentationClass" / "1.png")
    write(tmp_path / "b" / "SegmentationClass" / "1.png")
    before = digest(tmp_path / "a")
    assert digest(tmp_path / "b") == before
    (tmp_path / "a" / "notes.txt").write_text("of no account")
    assert digest(tmp_path / "a") == before
    (tmp_path / "a" / "labelmap.txt").write_text("cat:1,1,1::")
    assert digest(tmp_path / "a") != before
    write(tmp_path / "b" / "SegmentationClass" / "1.png", MASK[::-1])
    assert digest(tmp_path / "b") != before


def test_the_content_has_the_list_of_labels_above_the_masks(tmp_path):
    cache, masks = DigestCache(tmp_path / "digests.json"), tmp_path / "SegmentationClass"
    write(masks / "1.png")
    found = [ContentDigests(cache).digest(corrections_content(masks))]
    for text in ("cat:1,1,1::", "cat:2,2,2::longer"):
        (tmp_path / "labelmap.txt").write_text(text)
        cache = DigestCache(tmp_path / "digests.json")
        found.append(ContentDigests(cache).digest(corrections_content(masks)))
    assert len(set(found)) == 3


@pytest.fixture
def run(tmp_path):
    """Return a function that assembles the labels of four photographs in two shards."""
    images = ImageManifest("train", CLASSES, (0, 0, 0), tuple(IMAGES))
    write_manifest(tmp_path / "images.jsonl", images)
    for shard, ids in enumerate((IDS[:2], IDS[2:])):
        where = tmp_path / "regions" / f"{shard}.h5"
        with writing_shard(where, kind="regions", facts={}, shard=shard, shards=2) as writer:
            for image_id in ids:
                union = np.array([[[1, 1, 1], [0, 0, 0]]], np.uint8)
                writer.add(image_id, Record({"union": union}, {"classes": [0]}))

    def assembled(corrections, name="labels"):
        manifests = []
        for shard in range(2):
            output = tmp_path / name / f"{shard}.h5"
            assemble_labels(
                settings_of("assemble_labels", {"saliency": {"method": "none"}}),
                dataset=tmp_path / "images.jsonl",
                root=tmp_path,
                regions=[tmp_path / "regions" / f"{shard}.json"],
                cams=[],
                saliency=[],
                corrections=corrections,
                output=output,
                shard=shard,
                shards=2,
            )
            manifests.append(output.with_suffix(".json"))
        return Store(manifests, kind="labels")

    return assembled


def test_a_corrected_mask_takes_the_place_of_its_images_in_its_shard(tmp_path, run):
    write(tmp_path / "fixed" / "dog" / "1.png")
    write(tmp_path / "fixed" / "beach.v2.png", MASK[::-1])
    store, mined = run(tmp_path / "fixed"), [[1, 1, 1], [0, 0, 0]]
    assert {i: store[i].arrays["mask"].tolist() for i in store.ids()} == {
        "train__cat__1": mined,
        "train__dog__1": MASK.tolist(),
        "train__dog__Grün 2": mined,
        "beach.v2": MASK[::-1].tolist(),
    }
    assert [bool(store[i].facts.get("corrected")) for i in IDS] == [False, True, False, True]


def test_a_mask_that_was_left_as_it_is_is_not_corrected(tmp_path, run):
    write(tmp_path / "fixed" / "cat" / "1.png", np.array([[1, 1, 1], [0, 0, 0]], np.uint8))
    left = run(tmp_path / "fixed", "left")[IDS[0]]
    assert left.facts == run(None)[IDS[0]].facts
    assert "corrected" not in left.facts


def test_a_class_that_is_no_label_is_told(tmp_path, run, caplog):
    log.propagate = True
    write(tmp_path / "fixed" / "cat" / "1.png")
    write(tmp_path / "fixed" / "dog" / "1.png", np.uint8(MASK == 1))
    with caplog.at_level("WARNING", logger="aepsl"):
        run(tmp_path / "fixed")
    (message,) = caplog.messages
    assert message.endswith("that the labels do not list, 1 case(s): train__cat__1 my dog")


def test_without_corrections_nothing_is_said_of_them(run):
    assert "corrected" not in run(None)[IDS[0]].facts


def test_unusable_masks_are_listed_together(tmp_path, run):
    write(tmp_path / "fixed" / "cat" / "1.png", MASK[:1])
    write(tmp_path / "fixed" / "dog" / "1.png", MASK * 3)
    problems = told(run, tmp_path / "fixed")
    assert ["cat/1.png" in problems[0], "dog/1.png" in problems[1]] == [True, True]


# Round trip: a run, CVAT's format, a corrected mask, the run


def exported(run, output):
    """Export the labels of a run for CVAT; return the masks of some image before and after."""
    export(open_labelled([run / "labels" / "main"], root=None), output, format_name="cvat")
    file = sorted((output / "SegmentationClass").iterdir())[3]
    pixels = np.array(Image.open(file))
    pixels[:20, :30] = voc_palette()[2]
    Image.fromarray(pixels).save(file)
    return file


def corrections(path, **more):
    return {"labels": {"corrections": str(path)}, **more}


def test_corrections_rerun_what_follows_from_the_labels_alone(finished_miniature, tmp_path):
    run = finished_miniature / "results" / "mini"
    exported(run, tmp_path / "fixed")
    (tmp_path / "more.yaml").write_text(yaml.safe_dump(corrections(tmp_path / "fixed")))
    done = dry_run.plan(
        finished_miniature, "--configfile", "mini.yaml", str(tmp_path / "more.yaml")
    )
    assert done.status == 0, done.text
    assert done.rules == and_after("assemble_labels", of="scenes")
    assert done["assemble_labels"] == 1
    assert done["train_segmentation"] == 1  # not that on the true labels
    assert not done.rules & {"train_classifier", "extract_cams", "erase_regions", "detect_saliency"}


@pytest.mark.slow
def test_corrected_masks_are_trained_on_and_kept_when_relabelled(finished_miniature, tmp_path):
    project = tmp_path / "project"
    shutil.copytree(finished_miniature, project)
    run = project / "results" / "mini"
    before = Store([run / "labels" / "main" / "0.json"], kind="labels")
    file = exported(run, tmp_path / "fixed")
    rounds = {"segmentation": {"relabel_rounds": 1}}
    (project / "more.yaml").write_text(yaml.safe_dump(corrections(tmp_path / "fixed", **rounds)))
    old = {i: before[i].arrays["mask"] for i in before.ids()}
    run_snakemake(project, "--configfile", "mini.yaml", "more.yaml")
    for folder in (run / "labels" / "main", run / "relabelled" / "main" / "round1"):
        store = Store([folder / "0.json"], kind="labels")
        assert [i for i in store.ids() if store[i].facts.get("corrected")] == [file.stem]
        mask = store[file.stem].arrays["mask"]
        assert (mask[:20, :30] == 2).all()
        np.testing.assert_array_equal(mask[20:], old[file.stem][20:])
        if folder.name == "main":
            others = [i for i in store.ids() if i != file.stem]
            assert all(np.array_equal(store[i].arrays["mask"], old[i]) for i in others)
