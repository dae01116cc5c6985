"""Datasets: photographs, image labels, and true masks for scoring."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Literal

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


class Scenes(Section):
    """The generated dataset (``data.adapter: scenes``)."""

    train_images: int = setting(
        100, "Number of training images.", unit="images", source="4 min on 2 cores", ge=2
    )
    val_images: int = setting(
        60, "Number of validation images.", unit="images", source="as above", ge=1
    )
    size: int = setting(193, "Image side; must be 8 k + 1.", unit="px", source="as above", ge=33)
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

    adapter: Literal["scenes", "voc"] = setting(
        "scenes",
        "scenes: generated images; voc: a folder in PASCAL VOC's layout.",
        unit="-",
        source="-",
    )
    root: str | None = setting(
        None,
        "Folder that contains JPEGImages and ImageSets/Segmentation.",
        unit="path",
        source="VOCdevkit",
    )
    train_split: str = setting(
        "train", "Training split.", unit="-", source="VOC; the paper: train_aug"
    )
    eval_split: str = setting(
        "val", "Split for prediction and scores.", unit="-", source="paper, sec. 4.1"
    )
    mask_folder: str = setting(
        "SegmentationClass",
        "Folder of true masks, relative to data.root.",
        unit="path",
        source="VOC",
    )
    labels: Literal["xml", "csv"] = setting(
        "xml",
        "xml: image labels from Annotations/*.xml; csv: from data.labels_csv.",
        unit="-",
        source="VOC",
    )
    labels_csv: str | None = setting(
        None,
        "CSV with the columns image and labels (class names separated by spaces).",
        unit="path",
        source="-",
    )
    class_names: tuple[str, ...] = setting(
        VOC_CLASSES, "All classes, in the order of the mask values 1..n.", unit="-", source="VOC"
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
    def _names_of_classes(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if not name or name.split() != [name] or not name.isprintable():
                raise ValueError(f"{name!r}: class names must not contain spaces")
        if BACKGROUND_NAME in names:
            raise ValueError(f"{BACKGROUND_NAME!r} is reserved for pixel value 0: remove it")
        repeated = [name for name, times in Counter(names).items() if times > 1]
        if repeated:
            raise ValueError(f"{repeated[0]!r} is listed twice")
        if len(names) > MOST_CLASSES:
            raise ValueError(f"{len(names)} classes, but a mask can store at most {MOST_CLASSES}")
        return names

    @field_validator("train_split", "eval_split", "mask_folder")
    @classmethod
    def _inside_the_root(cls, name: str) -> str:
        if not name.isprintable() or Path(name).is_absolute() or ".." in Path(name).parts:
            raise ValueError(f"{name!r} must be a path inside data.root")
        return name
