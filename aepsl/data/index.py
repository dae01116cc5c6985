"""The index: reads every image once and reports all problems together, before any training."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.pool import ThreadPool
from pathlib import Path
from types import MappingProxyType

import numpy as np

from aepsl.data.adapters import Dataset, Role
from aepsl.data.coco import AnnotatedImage
from aepsl.data.coco_masks import draw
from aepsl.data.images import encode_mask, read_image, read_mask
from aepsl.data.voc import LabelSource
from aepsl.errors import AepslError, Problem, did_you_mean
from aepsl.masks import IGNORE_INDEX
from aepsl.stores.atomic import digest_of
from aepsl.stores.manifests import ImageEntry, ImageManifest, MaskEntry, TruthManifest


@dataclass(frozen=True)
class _IndexedImage:
    entry: ImageEntry | None
    problems: list[Problem]


def check_labels(
    ids: Sequence[str],
    source: LabelSource,
    dataset: Dataset,
    *,
    labels_required: bool,
    background_allowed: bool = False,
) -> tuple[dict[str, tuple[str, ...]], list[Problem]]:
    """Return the labels of each image, restricted to the classes in use, and the problems found.

    Skips images that show none of the classes in use. An image without labels is a problem if
    ``labels_required``, that is for training. An image that is labelled as background only is a
    problem unless ``background_allowed``.
    """
    kept: dict[str, tuple[str, ...]] = {}
    problems: list[Problem] = []
    for image_id in ids:
        labels = source.of(image_id)
        if not labels:
            if labels_required and (labels is None or not background_allowed):
                hint = "give it at least one label, or take it out of the split"
                if labels is not None:
                    hint += "; with mining.loss: sigmoid, it may show background only"
                problems.append(Problem(f"image {image_id}", "has no labels", hint))
            else:
                kept[image_id] = ()
            continue
        for name in set(labels) - set(dataset.class_names):
            similar = did_you_mean(name, dataset.class_names)
            hint = f"{similar} " if similar else ""
            hint += f"one of {', '.join(dataset.class_names)}; or set data.class_names"
            problems.append(Problem(f"image {image_id}", f"unknown label {name!r}", hint))
        used = tuple(name for name in dataset.classes if name in labels)
        if used:
            kept[image_id] = used
    return kept, problems


def limit_per_class(
    labels: Mapping[str, tuple[str, ...]], per_class: int | None
) -> dict[str, tuple[str, ...]]:
    """Keep at most about ``per_class`` images of each class.

    The images are taken in order. An image is kept if, of one of its classes, fewer than
    ``per_class`` images have been kept so far. Images without labels are kept.
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


def located(
    labels: Mapping[str, tuple[str, ...]], files: Mapping[str, Path]
) -> tuple[list[tuple[str, Path, tuple[str, ...]]], list[Problem]]:
    """Return id, file and labels of each image, and a problem for each that has no file."""
    hint = "add the photograph to the dataset, or take the image out of the split"
    return (
        [
            (image_id, files[image_id], names)
            for image_id, names in labels.items()
            if image_id in files
        ],
        [
            Problem(f"image {image_id}", "the image does not exist", hint)
            for image_id in labels
            if image_id not in files
        ],
    )


def _digest(path: Path, read: Callable[[Path], object]) -> str:
    try:
        return digest_of(path)
    except OSError:
        read(path)  # reports the problem
        raise


def _decode(path: Path, sha256: str) -> ImageEntry:
    """Decode one photograph and return its index entry, without id, path and labels."""
    image = read_image(path, sha256=sha256)
    red, green, blue = image.sum(axis=(0, 1), dtype=np.int64).tolist()
    height, width = image.shape[:2]
    return ImageEntry("", "", height, width, (red, green, blue), sha256, ())


def _read(
    image_id: str,
    path: Path,
    labels: tuple[str, ...],
    *,
    root: Path,
    earlier: Mapping[str, ImageEntry],
) -> _IndexedImage:
    """Return the index entry of a photograph; decode it unless ``earlier`` has its digest."""
    try:
        sha256 = _digest(path, read_image)
        entry = earlier.get(sha256) or _decode(path, sha256)
    except AepslError as error:
        return _IndexedImage(None, list(error.problems))
    place = path.relative_to(root).as_posix()
    return _IndexedImage(replace(entry, id=image_id, path=place, labels=labels), [])


Progress = Callable[[Iterable[_IndexedImage], int], Iterable[_IndexedImage]]


def index_images(
    dataset: Dataset,
    *,
    role: Role,
    background_allowed: bool = False,
    threads: int = 1,
    earlier: Mapping[str, ImageEntry] = MappingProxyType({}),
    progress: Progress = lambda reads, total: reads,
) -> ImageManifest:
    """Check the photographs of one split and return their entries.

    Args:
        dataset: the dataset, whose files must exist.
        role: role of the split; each image of the training split (``train``) needs a label.
        background_allowed: whether a training image may show background only.
        threads: number of images that are decoded at the same time.
        earlier: entries of photographs indexed before, by digest; these are hashed, not decoded.
        progress: wraps the iteration, to report progress.

    Raises:
        AepslError: listing all problems.
    """
    files, split, source = dataset.photographs(), dataset.split(role), dataset.labels()
    labels, problems = check_labels(
        dataset.ids(split),
        source,
        dataset,
        labels_required=role == "train",
        background_allowed=background_allowed,
    )
    limited = limit_per_class(labels, dataset.data.limit_per_class)
    wanted, absent = located(limited, files)
    problems += [*absent, *source.problems]
    # Daemon threads: one that a dead network mount blocks does not keep the process alive.
    with ThreadPool(threads) as pool:
        read = partial(_read, root=dataset.root, earlier=earlier)
        reads = list(progress(pool.imap(lambda job: read(*job), wanted), len(wanted)))
    problems += [problem for read in reads for problem in read.problems]
    if role == "train" and not wanted and not problems:
        what = f"no image of {split} shows any of the classes used"
        problems.append(Problem(str(dataset.root), what, "check data.classes and the splits"))
    if problems:
        summary = f"{dataset.root}: {len(problems)} problem(s), nothing was indexed:"
        raise AepslError(problems, summary)
    entries = tuple(read.entry for read in reads if read.entry)
    sums = np.sum([entry.rgb_sum for entry in entries], axis=0) if entries else np.zeros(3)
    pixels = max(1, sum(entry.height * entry.width for entry in entries))
    mean = np.rint(sums / pixels).astype(int).tolist()
    return ImageManifest(split, dataset.classes, (mean[0], mean[1], mean[2]), entries)


def index_truth(dataset: Dataset, images: ImageManifest) -> TruthManifest:
    """Check the true masks of a split and return their entries; images without one are skipped.

    Args:
        dataset: the dataset, whose files must exist.
        images: the index of the split.

    Raises:
        AepslError: listing each mask that is unreadable, has the wrong size, or contains an unknown
            value.
    """
    problems: list[Problem] = []
    masks: list[MaskEntry] = []
    class_names, root = dataset.class_names, dataset.root
    known = {0, IGNORE_INDEX, *range(1, 1 + len(class_names))}
    for image in images.images:
        source = dataset.mask(image.id)
        try:
            if isinstance(source, AnnotatedImage):
                masks.append(_drawn(image, source, class_names, root=root))
                continue
            if not source.exists():
                continue
            sha256 = _digest(source, read_mask)
            mask = read_mask(source, sha256=sha256)
        except AepslError as error:
            problems += error.problems
            continue
        height, width = mask.shape
        if (height, width) != (image.height, image.width):
            what = f"the mask is {width}x{height} pixels, its image {image.width}x{image.height}"
            problems.append(Problem(str(source), what, "replace the mask, or remove it"))
        strange = sorted(set(np.unique(mask).tolist()) - known)
        if strange:
            what = f"contains the value {strange[0]}, but there are {len(class_names)} classes"
            problems.append(Problem(str(source), what, "replace the mask, or set data.class_names"))
        relative = source.relative_to(root).as_posix()
        masks.append(MaskEntry(image.id, relative, height, width, sha256))
    if problems:
        raise AepslError(problems, f"{root}: {len(problems)} problem(s) with true masks:")
    values = tuple(1 + class_names.index(name) for name in images.class_names)
    return TruthManifest(images.split, images.class_names, values, tuple(masks))


def _drawn(
    image: ImageEntry, source: AnnotatedImage, class_names: Sequence[str], *, root: Path
) -> MaskEntry:
    """Return the entry of a mask that has no file of its own; the entry holds it."""
    png = encode_mask(draw(source, class_names, height=image.height, width=image.width))
    digest, place = hashlib.sha256(png).hexdigest(), source.file.relative_to(root).as_posix()
    return MaskEntry(image.id, place, image.height, image.width, digest, png)
