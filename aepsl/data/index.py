"""The index: every image read once, everything wrong reported together, before hours are spent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np

from aepsl.data.images import read_image, read_mask
from aepsl.data.voc import LabelSource
from aepsl.errors import AepslError, Problem
from aepsl.masks import IGNORED
from aepsl.stores.atomic import digest_of
from aepsl.stores.dataset import ImageEntry, ImageManifest, MaskEntry, TruthManifest


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


def _digest(path: Path, read: Callable[[Path], object]) -> str:
    try:
        return digest_of(path)
    except OSError:
        read(path)  # says what is wrong with it
        raise


def _described(path: Path, sha256: str) -> ImageEntry:
    """Decode one photograph."""
    image = read_image(path, sha256=sha256)
    red, green, blue = image.sum(axis=(0, 1), dtype=np.int64).tolist()
    height, width = image.shape[:2]
    return ImageEntry("", "", height, width, (red, green, blue), sha256, ())


def _read(
    path: Path, labels: tuple[str, ...], *, root: Path, earlier: Mapping[str, ImageEntry]
) -> _Read:
    """Describe one photograph; it is decoded unless it is among the ``earlier`` ones."""
    try:
        sha256 = _digest(path, read_image)
        entry = earlier.get(sha256) or _described(path, sha256)
    except AepslError as error:
        return _Read(None, list(error.problems))
    place = path.relative_to(root).as_posix()
    return _Read(replace(entry, id=path.stem, path=place, labels=labels), [])


Progress = Callable[[Iterable[_Read], int], Iterable[_Read]]


def index_images(
    root: Path,
    *,
    files: Mapping[str, Path],
    ids: Sequence[str],
    split: str,
    source: LabelSource,
    selection: Selection,
    learnt: bool,
    threads: int = 1,
    earlier: Mapping[str, ImageEntry] = MappingProxyType({}),
    progress: Progress = lambda reads, total: reads,
) -> ImageManifest:
    """Check and describe the photographs of one split.

    Args:
        root: the dataset's folder, in VOC's layout.
        files: each photograph's path by id.
        ids: the photographs of the split.
        split: what the dataset calls it.
        source: image labels.
        selection: which classes and how many images.
        learnt: whether it is learnt from, so that each image needs a label.
        threads: how many images are decoded at a time.
        earlier: photographs that were read before, by their digest: of these only that is read.
        progress: wraps the reading, to show how far it is.

    Raises:
        AepslError: one list of everything that is wrong.
    """
    labels, problems = check_labels(ids, source, selection, needed=learnt)
    wanted: list[tuple[Path, tuple[str, ...]]] = []
    for image_id, names in limit(labels, selection.limit_per_class).items():
        if image_id in files:
            wanted.append((files[image_id], names))
        else:
            hint = "put it into JPEGImages, or take it out of the split"
            problems.append(Problem(f"image {image_id}", "the image is not there", hint))
    problems += source.problems
    with ThreadPoolExecutor(threads) as pool:
        read = partial(_read, root=root, earlier=earlier)
        reads = list(progress(pool.map(lambda job: read(*job), wanted), len(wanted)))
    problems += [problem for read in reads for problem in read.problems]
    if learnt and not wanted and not problems:
        what = f"no image of {split} shows any of the classes used"
        problems.append(Problem(str(root), what, "check data.classes and the splits"))
    if problems:
        raise AepslError(problems, f"{root}: {len(problems)} problem(s), nothing was indexed:")
    entries = tuple(read.entry for read in reads if read.entry)
    sums = np.sum([entry.rgb_sum for entry in entries], axis=0) if entries else np.zeros(3)
    pixels = max(1, sum(entry.height * entry.width for entry in entries))
    mean = np.rint(sums / pixels).astype(int).tolist()
    return ImageManifest(split, selection.classes, (mean[0], mean[1], mean[2]), entries)


def index_truth(
    root: Path, images: ImageManifest, *, folder: str, class_names: Sequence[str]
) -> TruthManifest:
    """Check and describe the true masks of those images that have one.

    Args:
        root: the dataset's folder.
        images: of the split.
        folder: where in the root the masks lie, ``<image>.png``.
        class_names: all classes of the dataset, in the order of the masks' values from 1.

    Raises:
        AepslError: listing each mask that cannot be read, is no mask of the image, or holds a value
            that is no class.
    """
    problems: list[Problem] = []
    masks: list[MaskEntry] = []
    known = {0, IGNORED, *range(1, 1 + len(class_names))}
    for image in images.images:
        path = root / folder / f"{image.id}.png"
        if not path.is_file():
            continue
        try:
            sha256 = _digest(path, read_mask)
            mask = read_mask(path, sha256=sha256)
        except AepslError as error:
            problems += error.problems
            continue
        height, width = mask.shape
        if (height, width) != (image.height, image.width):
            what = f"is {width}x{height}, its image {image.width}x{image.height}"
            problems.append(Problem(str(path), what, "replace the mask, or remove it"))
        strange = sorted(set(np.unique(mask).tolist()) - known)
        if strange:
            what = f"holds {strange[0]}, which is none of {len(class_names)} classes"
            problems.append(Problem(str(path), what, "replace the mask, or set data.class_names"))
        relative = path.relative_to(root).as_posix()
        masks.append(MaskEntry(image.id, relative, height, width, sha256))
    if problems:
        raise AepslError(problems, f"{root}: {len(problems)} problem(s) with true masks:")
    values = tuple(1 + class_names.index(name) for name in images.class_names)
    return TruthManifest(images.split, images.class_names, values, tuple(masks))
