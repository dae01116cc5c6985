"""Datasets behind one interface.

An adapter is a subclass of :class:`Dataset` and an entry in :data:`ADAPTERS`. The setting
``data.adapter`` selects one by name; docs/architecture.md lists the steps to add one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, Literal

from aepsl.config.data import SCENE_CLASSES, VOC_BY_NAME, VOC_CLASSES, Data
from aepsl.data import voc
from aepsl.data.catalogue import SPLIT_NAMES, Catalogue, with_drawn_splits
from aepsl.data.coco import AnnotatedImage
from aepsl.data.content import Digest, InputFiles, files_of_images
from aepsl.data.readers import READERS, Layout
from aepsl.errors import AepslError, Problem, did_you_mean

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
        """Return the file of each photograph, by image id.

        The files are in ``root`` or in a folder below it.

        Raises:
            AepslError: if the folder is not in the dataset's layout.
        """

    @abstractmethod
    def labels(self) -> voc.LabelSource:
        """Return the image labels."""

    @abstractmethod
    def mask(self, image_id: str) -> Path | AnnotatedImage:
        """Return the path of an image's true mask, which may not exist; or what describes it."""

    def split_keys(self, role: Role) -> tuple[str, ...]:
        """Return the setting in ``data`` that names the split of a role, if any."""
        return ()

    def paths(self) -> dict[str, str]:
        """Return the paths that the configuration names, by key."""
        return {}

    def where_from(self, key: str) -> str:
        """Return a hint for a path of :meth:`paths` that does not exist."""
        return f"set {key} to its path"

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
        """Describe the true masks of a split, for their digest.

        None and unreadable datasets: as in :meth:`images_content`.
        """

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
            similar = did_you_mean(unknown[0], self.class_names)
            hint = f"{similar} " if similar else ""
            hint += f"the classes are {', '.join(self.class_names)}"
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

    truth_keys = ("class_names", "classes", "mask_folder")

    @property
    def image_keys(self) -> tuple[str, ...]:
        """Settings that determine the index; ``mask_folder`` if the masks give the labels."""
        keys = ("class_names", "classes", "limit_per_class", "labels")
        return (*keys, "mask_folder") if self.data.labels == "masks" else keys

    @property
    def class_names(self) -> tuple[str, ...]:
        """``data.class_names``, or VOC's twenty."""
        return VOC_CLASSES if self.data.class_names is None else self.data.class_names

    def split(self, role: Role) -> str:
        """Return ``data.train_split`` or ``data.eval_split``."""
        return self.data.train_split if role == "train" else self.data.eval_split

    def split_keys(self, role: Role) -> tuple[str, ...]:
        """Return ``train_split`` or ``eval_split``."""
        return ("train_split",) if role == "train" else ("eval_split",)

    def ids(self, split: str) -> list[str]:
        """Return the ids in the split's file; see :func:`aepsl.data.voc.split_file`."""
        return voc.read_split(self.root, split)

    def photographs(self) -> Mapping[str, Path]:
        """Return the images in ``JPEGImages``."""
        return voc.image_files(self.root)

    def labels(self) -> voc.LabelSource:
        """Return the labels in ``data.labels_csv``, ``Annotations/<id>.xml`` or the masks."""
        if self.labels_csv:
            return voc.labels_from_csv(
                self.labels_csv, known_images=self.photographs(), class_names=self.class_names
            )
        if self.data.labels == "masks":
            return voc.labels_from_masks(self.mask, class_names=self.class_names)
        return voc.labels_from_xml(self.root)

    def mask(self, image_id: str) -> Path:
        """Return ``<data.mask_folder>/<id>.png``."""
        return self.root / self.data.mask_folder / f"{image_id}.png"

    def paths(self) -> dict[str, str]:
        """Return the folder, and the CSV of labels if it is used."""
        paths = {"data.root": self.data.root and str(self.root)}
        if self.data.labels == "csv":
            paths["data.labels_csv"] = self.data.labels_csv
        return {key: path for key, path in paths.items() if path is not None}

    def where_from(self, key: str) -> str:
        """Return a hint for a path that does not exist."""
        if key == "data.root" and self.data.root == VOC_BY_NAME:
            augmented = "train_aug" in (self.data.train_split, self.data.eval_split)
            how = "--sbd downloads it (3.5 GB)" if augmented else "downloads it (2 GB)"
            return f"aepsl fetch-voc {how}; or set data.root to yours"
        return super().where_from(key)

    def problems(self) -> Iterator[Problem]:
        """Yield required paths that are not set, and unknown classes."""
        hint = "see docs/own-data.md, 'Layouts'"
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
        labels = {
            "csv": self.labels_csv,
            "masks": self.root / data.mask_folder,
            "xml": self.root / "Annotations",
        }[data.labels]
        watch = (*self.lists(split), self.root / "JPEGImages", labels or self.root)
        name = ("photographs", str(self.root), split, data.labels, str(labels))
        return InputFiles(name, lambda: watch, lambda digest: self._rows(split, digest))

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
            if self.data.labels == "masks":
                return (digest(self.mask(i)) for i in ids)
            return (digest(self.root / "Annotations" / f"{i}.xml") for i in ids)
        try:
            labels = voc.labels_from_csv(
                self.labels_csv, known_images=files, class_names=self.class_names
            )
        except (AepslError, OSError, ValueError):
            return (digest(self.labels_csv),)
        return (labels.of(i) for i in ids)


class Listed(Dataset):
    """A folder of photographs in a layout that one of :data:`aepsl.data.readers.READERS` reads."""

    image_keys = (
        *("class_names", "classes", "limit_per_class", "annotations", "mask_folder"),
        *("image_column", "label_column", "eval_fraction", "split_seed"),
        *("train_split", "eval_split"),
    )
    truth_keys = image_keys

    @cached_property
    def catalogue(self) -> Catalogue:
        """Return the photographs with labels and splits; drawn ones where none are given."""
        if not self.root.is_dir():
            raise AepslError.of(self.root, "no such folder", "set data.root to your photographs")
        data = self.data
        layout = Layout(
            annotations=data.annotations,
            mask_folder=data.mask_folder,
            image_column=data.image_column,
            label_column=data.label_column,
            class_names=data.class_names,
        )
        return with_drawn_splits(
            READERS[data.adapter](self.root, layout),
            fraction=data.eval_fraction,
            seed=data.split_seed,
            train=data.train_split,
            val=data.eval_split,
        )

    @property
    def class_names(self) -> tuple[str, ...]:
        """``data.class_names``."""
        return self.data.class_names or ()

    def split(self, role: Role) -> str:
        """Return ``data.train_split`` or ``data.eval_split``."""
        return self.data.train_split if role == "train" else self.data.eval_split

    def split_keys(self, role: Role) -> tuple[str, ...]:
        """Return nothing: both names are among :attr:`image_keys`, as they guide the draw."""
        return ()

    def ids(self, split: str) -> list[str]:
        """Return the ids of a split, which may have another usual name: val is also valid or test.

        Raises:
            AepslError: if the dataset has no such split.
        """
        given = self.catalogue.splits()
        usual = next((names for names in SPLIT_NAMES.values() if split in names), ())
        name = next((n for n in (split, *usual) if n in given), None)
        if name is None:
            what = (
                f"no photograph is in the split {split}; its splits: {', '.join(given) or 'none'}"
            )
            hint = "set data.train_split and data.eval_split to two of them"
            raise AepslError.of(self.root, what, hint)
        return [i for i, item in self.catalogue.items.items() if item.split == name]

    def photographs(self) -> Mapping[str, Path]:
        """Return the files of all photographs."""
        return {image_id: item.path for image_id, item in self.catalogue.items.items()}

    def labels(self) -> voc.LabelSource:
        """Return the labels that the layout gives."""
        items = self.catalogue.items
        return voc.LabelSource(lambda i: items[i].labels, list(self.catalogue.problems))

    def mask(self, image_id: str) -> Path | AnnotatedImage:
        """Return the mask that the dataset names, else the PNG of the photograph's name.

        Such a PNG comes before the segmentations of a COCO file.
        """
        item = self.catalogue.items[image_id]
        if isinstance(item.mask, Path):
            return item.mask
        folder, relative = self.root / self.data.mask_folder, item.path.relative_to(self.root)
        own = folder / relative.with_suffix(".png")
        named = own if own.exists() else folder / f"{relative.stem}.png"
        return named if named.exists() else item.mask or named

    def paths(self) -> dict[str, str]:
        """Return the folder."""
        return {"data.root": self.data.root} if self.data.root else {}

    def problems(self) -> Iterator[Problem]:
        """Yield what is not set."""
        for key in ("root", "class_names"):
            if not getattr(self.data, key):
                what = f"is not set, but data.adapter is {self.data.adapter}"
                yield Problem(f"data.{key}", what, "aepsl init FOLDER writes such a configuration")
        yield from super().problems()

    def images_content(self, role: Role) -> InputFiles:
        """Return the photographs of a split with their labels."""
        return self._content(role, "photographs", self._image_row)

    def truth_content(self, role: Role) -> InputFiles:
        """Return the true masks of a split."""
        return self._content(role, "masks", self._mask_row)

    def _image_row(self, image_id: str, digest: Digest) -> list[Any]:
        item = self.catalogue.items[image_id]
        place = item.path.relative_to(self.root).as_posix()
        return [image_id, place, digest(item.path), item.labels]

    def _mask_row(self, image_id: str, digest: Digest) -> list[Any]:
        mask = self.mask(image_id)
        return [image_id, digest(mask) if isinstance(mask, Path) else mask.row()]

    def _content(self, role: Role, kind: str, row: Callable[[str, Digest], Any]) -> InputFiles:
        split = self.split(role)
        name = (kind, str(self.root), split, self.data.model_dump_json())

        def rows(digest: Digest) -> Iterable[Any]:
            return (row(image_id, digest) for image_id in self.ids_or_none(split))

        return InputFiles(name, self._folders, rows)

    def _folders(self) -> tuple[Path, ...]:
        """Return the folder and all folders in it, whose files decide what the index holds."""
        return (self.root, *sorted(path for path in self.root.rglob("*") if path.is_dir()))


ADAPTERS: dict[str, type[Dataset]] = {"scenes": Scenes, "voc": Voc} | dict.fromkeys(READERS, Listed)


def open_dataset(data: Data, *, root: Path, labels_csv: Path | None = None) -> Dataset:
    """Return the dataset that ``data`` describes, with its files at ``root``."""
    return ADAPTERS[data.adapter](data, root=root, labels_csv=labels_csv)


def described(data: Data) -> Dataset:
    """Return the dataset at the paths of the configuration."""
    labels_csv = data.labels_csv if data.labels == "csv" else None
    return open_dataset(
        data, root=voc.root_of(data.root or ""), labels_csv=Path(labels_csv) if labels_csv else None
    )
