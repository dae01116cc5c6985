"""Which photographs, labels and, for scoring only, masks."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Literal

from pydantic import field_validator, model_validator

from aepsl.config.sections import Section, knob
from aepsl.masks import BACKGROUND_NAME, MOST_CLASSES

# fmt: off
VOC_CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa",
    "train", "tvmonitor",
)
# fmt: on


SCENE_CLASSES = ("red", "green", "yellow", "blue", "violet")
"""Each class of the scenes is named after the colour of its head, as in VOC's palette."""


class Scenes(Section):
    """The generated dataset (``data.adapter: scenes``)."""

    train_images: int = knob(
        100, "Training images.", unit="images", source="4 min on 2 cores", ge=2
    )
    val_images: int = knob(60, "Validation images.", unit="images", source="as above", ge=1)
    size: int = knob(193, "Side of an image, 8 k + 1.", unit="px", source="as above", ge=33)
    two_objects: float = knob(
        0.5, "Share of images with two objects.", unit="share", source="chosen", ge=0, le=1
    )
    hue_spread: float = knob(
        4.0, "Spread of a body's hue around its class's.", unit="2 degrees", source="chosen", ge=0
    )
    stray_hue: float = knob(
        0.05, "Share of bodies with another class's hue.", unit="share", source="chosen", ge=0, le=1
    )
    distractors: int = knob(2, "Headless blobs an image.", unit="blobs", source="chosen", ge=0)
    clutter: int = knob(4, "Small grey blobs an image.", unit="blobs", source="chosen", ge=0)
    seed: int = knob(1, "Seed of the generator, apart from training's.", unit="-", source="-", ge=0)


class Data(Section):
    """Where photographs, their labels and, for scoring only, their masks come from."""

    adapter: Literal["scenes", "voc"] = knob(
        "scenes", "Generated scenes, or VOC's folders.", unit="-", source="-"
    )
    root: str | None = knob(
        None, "Folder with JPEGImages, ImageSets/Segmentation.", unit="path", source="VOCdevkit"
    )
    train_split: str = knob(
        "train", "Split to learn from.", unit="-", source="VOC; the paper: train_aug"
    )
    eval_split: str = knob("val", "Split to predict and score.", unit="-", source="paper, sec. 4.1")
    mask_folder: str = knob(
        "SegmentationClass", "Folder of true masks, inside the root.", unit="path", source="VOC"
    )
    labels: Literal["xml", "csv"] = knob(
        "xml", "Image labels from Annotations/*.xml or from a CSV.", unit="-", source="VOC"
    )
    labels_csv: str | None = knob(
        None, "CSV with columns image, labels (names, space-separated).", unit="path", source="-"
    )
    class_names: tuple[str, ...] = knob(
        VOC_CLASSES, "All classes, in the order of the mask's values 1..n.", unit="-", source="VOC"
    )
    classes: tuple[str, ...] | None = knob(
        None, "Use only these classes; images without them are left out.", unit="-", source="-"
    )
    limit_per_class: int | None = knob(
        None, "Keep at most so many images a class and split.", unit="images", source="-", ge=1
    )
    scenes: Scenes = Scenes()

    @property
    def used_classes(self) -> tuple[str, ...]:
        """The classes of the run, in the order of the masks' values."""
        if self.adapter == "scenes":
            return SCENE_CLASSES
        return tuple(n for n in self.class_names if n in (self.classes or self.class_names))

    @field_validator("class_names")
    @classmethod
    def _names_of_classes(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if not name or name.split() != [name] or not name.isprintable():
                raise ValueError(f"{name!r} is no name: labels are separated by spaces")
        if BACKGROUND_NAME in names:
            raise ValueError(f"{BACKGROUND_NAME!r} is what no class shows: leave it out")
        repeated = [name for name, times in Counter(names).items() if times > 1]
        if repeated:
            raise ValueError(f"{repeated[0]!r} is there twice")
        if len(names) > MOST_CLASSES:
            raise ValueError(f"{len(names)} names; a mask has values for {MOST_CLASSES}")
        return names

    @field_validator("train_split", "eval_split", "mask_folder")
    @classmethod
    def _inside_the_root(cls, name: str) -> str:
        if not name.isprintable() or Path(name).is_absolute() or ".." in Path(name).parts:
            raise ValueError(f"{name!r} is not inside data.root")
        return name

    @model_validator(mode="after")
    def _consistent(self) -> Data:
        if self.adapter == "voc" and self.root is None:
            raise ValueError("data.adapter is voc, but data.root is not set")
        if self.adapter == "voc" and self.labels == "csv" and self.labels_csv is None:
            raise ValueError("data.labels is csv, but data.labels_csv is not set")
        unknown = set(self.classes or ()) - set(self.class_names)
        if self.adapter == "voc" and unknown:
            raise ValueError(f"data.classes names {sorted(unknown)}, not in data.class_names")
        return self
