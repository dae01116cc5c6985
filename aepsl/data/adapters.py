"""Datasets behind one interface.

An adapter is a subclass of :class:`Dataset` and an entry in :data:`ADAPTERS`. The setting
``data.adapter`` selects one by name; docs/architecture.md lists the steps to add one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, Literal

from aepsl.config.data import SCENE_CLASSES, Data
from aepsl.data import voc
from aepsl.data.content import Digest, InputFiles, files_of_images
from aepsl.errors import AepslError, Problem

Role = Literal["train", "eval"]
"""Role of a split: ``train``, or ``eval`` for prediction and scores."""


class Dataset(ABC):
    """A dataset: the locations of its photographs, image labels and true masks."""

    made_by: ClassVar[str | None] = None
    """The rule that generates its files; None if they exist before the run."""

    def __init__(self, data: Data, *, root: Path, labels_csv: Path | None = None) -> None:
        """Describe a dataset without opening a file.

        Args:
            data: the configuration.
            root: the dataset's folder.
            labels_csv: the file of image labels, if the dataset has one outside its folder.
        """
        self.data = data
        self.root = root
        self.labels_csv = labels_csv

    @property
    @abstractmethod
    def image_keys(self) -> tuple[str, ...]:
        """Settings in ``data`` that, besides file contents, determine the index of photographs.

        ``classes`` and ``limit_per_class`` are always among them.
        """

    @property
    @abstractmethod
    def truth_keys(self) -> tuple[str, ...]:
        """Settings in ``data`` that, besides file contents, determine the index of true masks.

        ``classes`` is always among them. :meth:`mask` and :attr:`class_names` read no others.
        """

    @property
    @abstractmethod
    def class_names(self) -> tuple[str, ...]:
        """All classes; class k has the value k + 1 in the true masks."""

    @abstractmethod
    def split(self, role: Role) -> str:
        """Return the name of the split that has this role."""

    @abstractmethod
    def ids(self, split: str) -> list[str]:
        """Return the image ids of a split, in order.

        Raises:
            AepslError: if the ids cannot be read, or one is not a valid file name.
        """

    @abstractmethod
    def photographs(self) -> Mapping[str, Path]:
        """Return the file of each photograph, by image id: its name without suffix.

        The files are in ``root`` or in a folder below it.

        Raises:
            AepslError: if the folder is not in the dataset's layout.
        """

    @abstractmethod
    def labels(self) -> voc.LabelSource:
        """Return the image labels."""

    @abstractmethod
    def mask(self, image_id: str) -> Path:
        """Return the path of an image's true mask; the file may not exist."""

    def split_keys(self, role: Role) -> tuple[str, ...]:
        """Return the setting in ``data`` that names the split of a role, if any."""
        return ()

    def paths(self) -> dict[str, str]:
        """Return the paths that the configuration names, by key."""
        return {}

    def lists(self, split: str) -> tuple[Path, ...]:
        """Return the files that list the images of a split."""
        return ()

    @abstractmethod
    def images_content(self, role: Role) -> InputFiles | None:
        """Describe the photographs and labels of a split, for their digest.

        None if the workflow generates them. An unreadable dataset raises nothing: the index
        reports it.
        """

    @abstractmethod
    def truth_content(self, role: Role) -> InputFiles | None:
        """Describe the true masks of a split, for their digest; otherwise as above."""

    def ids_or_none(self, split: str) -> list[str]:
        """Return the ids of a split, empty if they are unreadable; the index reports the error."""
        try:
            return self.ids(split)
        except (AepslError, OSError, ValueError):
            return []

    def identify(self, split: str) -> str:
        """Return a cache key of the ids of a split.

        It need not tell versions of the files in :meth:`lists` apart: these are watched. An adapter
        without such files overrides it.
        """
        return f"{self.root} {split}"

    def files_of_images(
        self, kind: str, folder: Path, split: str, *, suffixes: tuple[str, ...]
    ) -> InputFiles:
        """Return the files in ``folder`` that belong to the images of a split."""
        return files_of_images(
            kind,
            folder,
            lambda: self.ids_or_none(split),
            images=self.identify(split),
            lists=self.lists(split),
            suffixes=suffixes,
        )

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes of the run, in the order of the mask values."""
        return tuple(n for n in self.class_names if n in (self.data.classes or self.class_names))

    def problems(self) -> Iterator[Problem]:
        """Yield the problems of the dataset's configuration that need no file to be opened."""
        unknown = sorted(set(self.data.classes or ()) - set(self.class_names))
        if unknown:
            hint = f"the classes are {', '.join(self.class_names)}"
            yield Problem(
                "data.classes",
                f"contains {', '.join(unknown)}, which is not a class of the dataset",
                hint,
            )


class Scenes(Dataset):
    """The generated scenes, drawn by :mod:`aepsl.data.scenes`."""

    image_keys = ("classes", "limit_per_class", "scenes")
    truth_keys = ("classes",)
    made_by = "generate_scenes"
    class_names = SCENE_CLASSES

    def split(self, role: Role) -> str:
        """Return ``train`` or ``val``."""
        return {"train": "train", "eval": "val"}[role]

    def ids(self, split: str) -> list[str]:
        """Return the ids of the generated scenes."""
        scenes = self.data.scenes
        count = {"train": scenes.train_images, "val": scenes.val_images}[split]
        return [f"{split}_{number:04d}" for number in range(count)]

    def identify(self, split: str) -> str:
        """Return the split and its size, since no file lists the ids."""
        return f"{len(self.ids(split))} scenes of {split}"

    def photographs(self) -> Mapping[str, Path]:
        """Return the file of each scene."""
        return voc.image_files(self.root)

    def labels(self) -> voc.LabelSource:
        """Return the classes of each scene."""
        return voc.labels_from_csv(self.root / "labels.csv", known_images=self.photographs())

    def mask(self, image_id: str) -> Path:
        """Return the exact mask of a scene."""
        return self.root / "SegmentationClass" / f"{image_id}.png"

    def images_content(self, role: Role) -> None:
        """Return None: the workflow generates the scenes."""

    def truth_content(self, role: Role) -> None:
        """Return None: the workflow generates the masks."""


class Voc(Dataset):
    """A folder in PASCAL VOC's layout, with labels from its XML files or from a CSV."""

    image_keys = ("class_names", "classes", "limit_per_class", "labels")
    truth_keys = ("class_names", "classes", "mask_folder")

    @property
    def class_names(self) -> tuple[str, ...]:
        """``data.class_names``."""
        return self.data.class_names

    def split(self, role: Role) -> str:
        """Return ``data.train_split`` or ``data.eval_split``."""
        return self.data.train_split if role == "train" else self.data.eval_split

    def split_keys(self, role: Role) -> tuple[str, ...]:
        """Return ``train_split`` or ``eval_split``."""
        return ("train_split",) if role == "train" else ("eval_split",)

    def ids(self, split: str) -> list[str]:
        """Return the ids in ``ImageSets/Segmentation/<split>.txt``."""
        return voc.read_split(self.root, split)

    def photographs(self) -> Mapping[str, Path]:
        """Return the images in ``JPEGImages``."""
        return voc.image_files(self.root)

    def labels(self) -> voc.LabelSource:
        """Return the labels in ``data.labels_csv``, or in ``Annotations/<id>.xml``."""
        if self.labels_csv:
            return voc.labels_from_csv(self.labels_csv, known_images=self.photographs())
        return voc.labels_from_xml(self.root)

    def mask(self, image_id: str) -> Path:
        """Return ``<data.mask_folder>/<id>.png``."""
        return self.root / self.data.mask_folder / f"{image_id}.png"

    def paths(self) -> dict[str, str]:
        """Return the folder, and the CSV of labels if it is used."""
        paths = {"data.root": self.data.root}
        if self.data.labels == "csv":
            paths["data.labels_csv"] = self.data.labels_csv
        return {key: path for key, path in paths.items() if path is not None}

    def problems(self) -> Iterator[Problem]:
        """Yield required paths that are not set, and unknown classes."""
        hint = "see README, 'Your photographs'"
        if self.data.root is None:
            yield Problem("data.root", "is not set, but data.adapter is voc", hint)
        if self.data.labels == "csv" and self.data.labels_csv is None:
            yield Problem("data.labels_csv", "is not set, but data.labels is csv", hint)
        yield from super().problems()

    def lists(self, split: str) -> tuple[Path, ...]:
        """Return the split's file."""
        return (voc.split_file(self.root, split),)

    def images_content(self, role: Role) -> InputFiles:
        """Return the photographs of a split with their labels."""
        data, split = self.data, self.split(role)
        labels = self.labels_csv if data.labels == "csv" else self.root / "Annotations"
        watch = (*self.lists(split), self.root / "JPEGImages", labels or self.root)
        name = ("photographs", str(self.root), split, data.labels, str(labels))
        return InputFiles(name, watch, lambda digest: self._rows(split, digest))

    def truth_content(self, role: Role) -> InputFiles:
        """Return the true masks of a split."""
        folder = self.root / self.data.mask_folder
        return self.files_of_images("masks", folder, self.split(role), suffixes=(".png",))

    def _rows(self, split: str, digest: Digest) -> Iterable[Any]:
        ids = self.ids_or_none(split)
        try:
            files = self.photographs()
        except AepslError:
            files = {}
        photographs: Iterable[Any] = (
            [i, files[i].name, digest(files[i])] if i in files else [i] for i in ids
        )
        return chain(photographs, self._label_rows(ids, files, digest))

    def _label_rows(
        self, ids: Iterable[str], files: Mapping[str, Path], digest: Digest
    ) -> Iterable[Any]:
        if not self.labels_csv:
            return (digest(self.root / "Annotations" / f"{i}.xml") for i in ids)
        try:
            labels = voc.labels_from_csv(self.labels_csv, known_images=files)
        except (AepslError, OSError, ValueError):
            return (digest(self.labels_csv),)
        return (labels.of(i) for i in ids)


ADAPTERS: dict[str, type[Dataset]] = {"scenes": Scenes, "voc": Voc}


def open_dataset(data: Data, *, root: Path, labels_csv: Path | None = None) -> Dataset:
    """Return the dataset that ``data`` describes, with its files at ``root``."""
    return ADAPTERS[data.adapter](data, root=root, labels_csv=labels_csv)


def described(data: Data) -> Dataset:
    """Return the dataset at the paths of the configuration."""
    labels_csv = data.labels_csv if data.labels == "csv" else None
    return open_dataset(
        data, root=Path(data.root or ""), labels_csv=Path(labels_csv) if labels_csv else None
    )
