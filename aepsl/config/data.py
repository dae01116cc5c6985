"""Datasets: photographs, image labels, and true masks for scoring."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Literal
from unicodedata import normalize

from pydantic import field_validator

from aepsl.config.sections import Section, setting
from aepsl.masks import BACKGROUND_NAME, MOST_CLASSES

# fmt: off
VOC_CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa",
    "train", "tvmonitor",
)
# fmt: on


SCENE_CLASSES = ("red", "green", "yellow", "blue", "violet")
"""Scene classes, named after the colours of their heads, which are those of VOC's palette."""


VOC_BY_NAME = "VOC2012"
"""Value of ``data.root`` for the PASCAL VOC 2012 that ``aepsl fetch-voc`` downloads."""


class Scenes(Section):
    """The generated dataset (``data.adapter: scenes``)."""

    train_images: int = setting(
        100, "Number of training images.", unit="images", source="2 min on 2 cores", ge=2
    )
    val_images: int = setting(
        60, "Number of validation images.", unit="images", source="2 min on 2 cores", ge=1
    )
    size: int = setting(
        161, "Image side; must be 8 k + 1.", unit="px", source="2 min on 2 cores", ge=33
    )
    two_objects: float = setting(
        0.5, "Fraction of images with two objects.", unit="fraction", source="chosen", ge=0, le=1
    )
    hue_spread: float = setting(
        4.0,
        "Standard deviation of a body's hue around the mean hue of its class.",
        unit="2 degrees",
        source="chosen",
        ge=0,
    )
    stray_hue: float = setting(
        0.05,
        "Probability that a body takes the hue of a random class.",
        unit="probability",
        source="chosen",
        ge=0,
        le=1,
    )
    distractors: int = setting(
        2, "Coloured blobs without a head per image.", unit="blobs", source="chosen", ge=0
    )
    clutter: int = setting(4, "Small grey blobs per image.", unit="blobs", source="chosen", ge=0)
    seed: int = setting(
        1, "Seed of the scenes, independent of the training seed.", unit="-", source="-", ge=0
    )


class Data(Section):
    """The dataset: photographs, image labels, and true masks for scoring."""

    adapter: Literal["scenes", "voc", "folder", "csv", "coco", "huggingface"] = setting(
        "scenes",
        "scenes: generated images; voc: a folder in PASCAL VOC's layout; folder: one folder per"
        " class; csv: a table of labels; coco: a JSON file; huggingface: imagefolder with"
        " metadata.",
        unit="-",
        source="-",
    )
    root: str | None = setting(
        None,
        "Folder of the dataset: for voc, it contains JPEGImages and ImageSets/Segmentation; VOC2012"
        " is the one that aepsl fetch-voc downloads.",
        unit="path",
        source="VOCdevkit",
    )
    train_split: str = setting(
        "train",
        "Training split. For voc, it is ImageSets/Segmentation/SPLIT.txt in data.root, or else a"
        " list of PASCAL VOC 2012 that comes with aepsl: train_five, train_small, train_790.",
        unit="-",
        source="VOC; the paper: train_aug",
    )
    eval_split: str = setting(
        "val",
        "Split for prediction and scores, found like the training split. Lists that come with"
        " aepsl: val_five, val_small, val_250.",
        unit="-",
        source="paper, sec. 4.1",
    )
    mask_folder: str = setting(
        "SegmentationClass",
        "Folder of true masks, relative to data.root; used only if it exists.",
        unit="path",
        source="VOC",
    )
    labels: Literal["xml", "csv", "masks"] = setting(
        "xml",
        "voc: image labels from Annotations/*.xml; from data.labels_csv; or from the true masks.",
        unit="-",
        source="VOC",
    )
    annotations: str | None = setting(
        None,
        "csv, coco: file of the labels, relative to data.root, perhaps one a split:"
        " labels_{split}.csv. null: the only such file there.",
        unit="path",
        source="-",
    )
    image_column: str | None = setting(
        None,
        "csv, huggingface: column of the photographs; null: found by its name, such as image.",
        unit="-",
        source="-",
    )
    label_column: str | None = setting(
        None,
        "csv, huggingface: column of the labels; null: found by its name, such as labels; or a"
        " column per class, of 0 and 1.",
        unit="-",
        source="-",
    )
    eval_fraction: float = setting(
        0.2,
        "Share of each class's photographs drawn for data.eval_split, where the dataset names no"
        " splits.",
        unit="fraction",
        source="usual",
        ge=0,
        lt=1,
    )
    split_seed: int = setting(0, "Seed of that draw.", unit="-", source="-", ge=0)
    labels_csv: str | None = setting(
        None,
        "CSV with the columns image and labels (class names separated by spaces).",
        unit="path",
        source="-",
    )
    class_names: tuple[str, ...] | None = setting(
        None,
        "All classes, in the order of the mask values 1..n; null: VOC's twenty.",
        unit="-",
        source="VOC",
    )
    classes: tuple[str, ...] | None = setting(
        None,
        "Subset of classes to use; images that show none of them are skipped.",
        unit="-",
        source="-",
    )
    limit_per_class: int | None = setting(
        None,
        "Skip an image if each of its classes has this many images in the split already.",
        unit="images",
        source="-",
        ge=1,
    )
    scenes: Scenes = Scenes()

    @field_validator("class_names")
    @classmethod
    def _names_of_classes(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if names is None:
            return None
        names = tuple(normalize("NFC", name) for name in names)  # macOS writes form D
        for name in names:
            if not name or name.strip() != name or not name.isprintable():
                raise ValueError(f"{name!r}: a class name must have text, and no space around it")
        if BACKGROUND_NAME in names:
            raise ValueError(f"{BACKGROUND_NAME!r} is reserved for pixel value 0: remove it")
        repeated = [name for name, times in Counter(names).items() if times > 1]
        if repeated:
            raise ValueError(f"{repeated[0]!r} is listed twice")
        if len(names) > MOST_CLASSES:
            raise ValueError(f"{len(names)} classes, but a mask can store at most {MOST_CLASSES}")
        return names

    @field_validator("train_split", "eval_split", "mask_folder", "annotations")
    @classmethod
    def _inside_the_root(cls, name: str | None) -> str | None:
        if name is None:
            return None
        if not name.isprintable() or Path(name).is_absolute() or ".." in Path(name).parts:
            raise ValueError(f"{name!r} must be a path inside data.root")
        return name
