"""The index: every image read once, everything wrong reported together, before hours are spent."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aepsl.data.images import read_image, upright_size
from aepsl.data.voc import LabelSource
from aepsl.errors import AepslError, Problem
from aepsl.stores.dataset import DatasetManifest, ImageEntry


@dataclass(frozen=True)
class Selection:
    """Which part of a dataset a run uses."""

    class_names: tuple[str, ...]
    """All classes; class k has the value k + 1 in the masks."""
    classes: tuple[str, ...]
    """Those used, in the order of ``class_names``."""
    limit_per_class: int | None


@dataclass(frozen=True)
class _Read:
    entry: ImageEntry | None
    pixel_sum: NDArray[np.float64]
    problems: list[Problem]


def check_labels(
    ids: Sequence[str], source: LabelSource, selection: Selection, *, needed: bool
) -> tuple[dict[str, tuple[str, ...]], list[Problem]]:
    """Return the labels of each image, reduced to the classes used, and what is wrong with them.

    Images that show none of the classes used are left out. Images without any label are a problem
    where labels are ``needed``: to learn from, not to predict.
    """
    kept: dict[str, tuple[str, ...]] = {}
    problems: list[Problem] = []
    for image_id in ids:
        labels = source.of(image_id)
        if not labels:
            if needed:
                hint = "give it at least one label, or take it out of the split"
                problems.append(Problem(f"image {image_id}", "has no labels", hint))
            else:
                kept[image_id] = ()
            continue
        for name in set(labels) - set(selection.class_names):
            hint = f"one of {', '.join(selection.class_names)}; or set data.class_names"
            problems.append(Problem(f"image {image_id}", f"unknown label {name!r}", hint))
        used = tuple(name for name in selection.classes if name in labels)
        if used:
            kept[image_id] = used
    return kept, problems


def limit(
    labels: Mapping[str, tuple[str, ...]], per_class: int | None
) -> dict[str, tuple[str, ...]]:
    """Keep, in order, each image that shows a class of which fewer than ``per_class`` are kept.

    Images without labels are kept.
    """
    if per_class is None:
        return dict(labels)
    counts: dict[str, int] = {}
    kept = {}
    for image_id, names in labels.items():
        if not names or any(counts.get(name, 0) < per_class for name in names):
            kept[image_id] = names
            for name in names:
                counts[name] = counts.get(name, 0) + 1
    return kept


def _read(path: Path, mask: Path, labels: tuple[str, ...], split: str) -> _Read:
    """Decode one photograph; look at its mask's header only: truth is opened by scoring alone."""
    try:
        image = read_image(path)
    except AepslError as error:
        return _Read(None, np.zeros(4), list(error.problems))
    height, width = image.shape[:2]
    problems: list[Problem] = []
    has_mask = mask.is_file()
    if has_mask:
        try:
            size = upright_size(mask)
            if size != (height, width):
                what = f"is {size[1]}x{size[0]}, its image {width}x{height}"
                problems.append(Problem(str(mask), what, "replace the mask, or remove it"))
        except AepslError as error:
            problems += error.problems
    entry = ImageEntry(
        id=path.stem,
        path=str(path),
        height=height,
        width=width,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        labels=labels,
        split=split,
        mask=str(mask) if has_mask else None,
    )
    return _Read(
        entry, np.array([*image.sum(axis=(0, 1), dtype=np.float64), height * width]), problems
    )


def index_dataset(
    root: Path,
    *,
    files: Mapping[str, Path],
    splits: Mapping[str, Sequence[str]],
    split_names: Mapping[str, str],
    source: LabelSource,
    selection: Selection,
    mask_folder: str = "SegmentationClass",
    threads: int = 1,
    progress: Callable[[Iterable[_Read], int], Iterable[_Read]] = lambda reads, total: reads,
) -> DatasetManifest:
    """Check and describe all images of the splits ``train`` and ``eval``.

    Args:
        root: the dataset's folder, in VOC's layout.
        files: each photograph's path by id.
        splits: the ids of ``train`` and ``eval``.
        split_names: what the dataset calls them.
        source: image labels.
        selection: which classes and how many images.
        mask_folder: where, inside the root, true masks lie, if there are any.
        threads: how many images are decoded at a time.
        progress: wraps the reading, to show how far it is.

    Raises:
        AepslError: one list of everything that is wrong.
    """
    problems: list[Problem] = []
    wanted: list[tuple[Path, Path, tuple[str, ...], str]] = []
    for split, ids in splits.items():
        labels, wrong = check_labels(ids, source, selection, needed=split == "train")
        problems += wrong
        for image_id, names in limit(labels, selection.limit_per_class).items():
            if image_id not in files:
                hint = "put it into JPEGImages, or take it out of the split"
                problems.append(Problem(f"image {image_id}", "the image is not there", hint))
                continue
            mask = root / mask_folder / f"{image_id}.png"
            wanted.append((files[image_id], mask, names, split))
    problems += source.problems
    with ThreadPoolExecutor(threads) as pool:
        reads = list(progress(pool.map(lambda job: _read(*job), wanted), len(wanted)))
    problems += [problem for read in reads for problem in read.problems]
    if not any(split == "train" for *_, split in wanted) and not problems:
        what = f"no image of {split_names['train']} shows any of the classes used"
        problems.append(Problem(str(root), what, "check data.classes and the splits"))
    if problems:
        raise AepslError(problems, f"{root}: {len(problems)} problem(s), nothing was indexed:")
    entries = tuple(read.entry for read in reads if read.entry)
    train = np.sum([r.pixel_sum for r in reads if r.entry and r.entry.split == "train"], axis=0)
    mean = np.rint(train[:3] / train[3]).astype(int).tolist() if np.ndim(train) else [0, 0, 0]
    return DatasetManifest(
        class_names=selection.classes,
        mask_values=tuple(1 + selection.class_names.index(name) for name in selection.classes),
        mean_pixel=(mean[0], mean[1], mean[2]),
        splits=dict(split_names),
        images=entries,
    )
