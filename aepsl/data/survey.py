"""What can be learnt from a dataset: duplicates, balance, sizes, and a verdict in words."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

NEAR = 4
"""Largest number of differing bits, of 64, of the hashes of near-duplicates; chosen."""

FEW = 20
"""Photographs of a class below which little is learnt; from the runs in docs/results.md."""


@dataclass(frozen=True)
class Photograph:
    """What the survey knows of one photograph."""

    id: str
    split: str
    labels: tuple[str, ...]
    height: int
    width: int
    sha256: str
    hash: int
    """See :func:`perceptual_hash`."""


@dataclass(frozen=True)
class Finding:
    """Something to know about the dataset before hours are spent on it."""

    what: str
    hint: str
    serious: bool = False
    """Whether a score would be wrong, or a class could not be learnt."""


def perceptual_hash(image: NDArray[np.uint8]) -> int:
    """Return 64 bits that change little when an image is scaled, compressed or brightened.

    dHash: each bit says whether a cell of the grey image, scaled to 8 x 9, is brighter than the one
    to its right.

    Args:
        image: (height, width, 3) RGB, 0..255.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (9, 8), interpolation=cv2.INTER_AREA).astype(np.int16)
    return int.from_bytes(np.packbits(small[:, :-1] > small[:, 1:]).tobytes(), "big")


def near_duplicates(hashes: Sequence[int], *, most: int = NEAR) -> Iterator[tuple[int, int]]:
    """Yield the pairs of positions whose hashes differ in at most ``most`` bits.

    A hash of an image without contrast, all or no bits set, is compared with nothing.

    Args:
        hashes: 64-bit hashes.
        most: largest number of differing bits.
    """
    known = np.array(hashes, np.uint64)
    ones = np.bitwise_count(known)
    useful = np.flatnonzero((ones > most) & (ones < 64 - most))
    for place, number in enumerate(useful):
        rest = useful[place + 1 :]
        close = np.bitwise_count(known[rest] ^ known[number]) <= most
        yield from ((int(number), int(other)) for other in rest[close])


def survey(
    photographs: Sequence[Photograph], *, classes: Sequence[str], train: str, crop: int
) -> list[Finding]:
    """Return what is remarkable about a dataset, the most serious first.

    Args:
        photographs: of all splits.
        classes: the classes of the run.
        train: name of the training split.
        crop: side of the training crops, pixels of the scaled photograph.
    """
    training = [photograph for photograph in photographs if photograph.split == train]
    findings = [
        *_duplicates(photographs),
        *_balance(training, classes),
        *_together(training, classes),
        *_sizes(training, crop),
    ]
    return sorted(findings, key=lambda finding: not finding.serious)


def verdict(findings: Sequence[Finding], *, counts: Mapping[str, int]) -> str:
    """Return in words whether the dataset will be enough.

    Args:
        findings: of :func:`survey`.
        counts: number of training photographs of each class.
    """
    fewest = min(counts.values(), default=0)
    if any(finding.serious for finding in findings):
        return "Not yet: settle what is marked ! first."
    if fewest < FEW:
        photographs = "1 photograph" if fewest == 1 else f"{fewest} photographs"
        return f"Enough for a first try only: the rarest class has {photographs} to train on."
    if fewest < 5 * FEW:
        return f"Enough to start with: at least {fewest} photographs of each class."
    return f"Enough: at least {fewest} photographs of each class."


def _duplicates(photographs: Sequence[Photograph]) -> Iterator[Finding]:
    by_content: dict[str, list[Photograph]] = defaultdict(list)
    for photograph in photographs:
        by_content[photograph.sha256].append(photograph)
    equal = [pair for same in by_content.values() for pair in itertools.pairwise(same)]
    unique = [same[0] for same in by_content.values()]
    near = [(unique[a], unique[b]) for a, b in near_duplicates([photo.hash for photo in unique])]
    for kind, pairs in (("the same file", equal), ("nearly the same picture", near)):
        for across in (True, False):
            these = [(a, b) for a, b in pairs if (a.split != b.split) == across]
            if not these:
                continue
            first, second = these[0]
            where = "in two splits" if across else "twice in one split"
            what = f"{kind} {where}: {len(these)} pair(s), for instance {first.id} and {second.id}"
            hint = (
                "remove one: a score on photographs that were trained on is too high"
                if across
                else "remove one, unless the photographs are to count twice"
            )
            yield Finding(what, hint, serious=across and kind == "the same file")


def _balance(training: Sequence[Photograph], classes: Sequence[str]) -> Iterator[Finding]:
    counts = Counter(name for photograph in training for name in photograph.labels)
    missing = [name for name in classes if not counts[name]]
    if missing:
        hint = "add photographs of it, or take it out of data.class_names"
        yield Finding(f"no training photograph shows {', '.join(missing)}", hint, serious=True)
    few = [f"{name} ({counts[name]})" for name in classes if 0 < counts[name] < FEW]
    if few:
        what = f"fewer than {FEW} training photographs: {', '.join(few)}"
        yield Finding(what, "add photographs of these classes")
    most, least = max(counts.values(), default=0), min(counts.values(), default=0)
    if least and most > 10 * least:
        rare = min(counts, key=lambda name: (counts[name], name))
        often = max(counts, key=lambda name: (counts[name], name))
        what = f"{often} has {most} photographs, {rare} {least}"
        yield Finding(what, "add some of the rare class, or limit the others: data.limit_per_class")


def _together(training: Sequence[Photograph], classes: Sequence[str]) -> Iterator[Finding]:
    shown = {name: {p.id for p in training if name in p.labels} for name in classes}
    for first, second in itertools.combinations(classes, 2):
        if shown[first] and shown[first] == shown[second]:
            what = f"{first} and {second} are always shown together"
            yield Finding(what, "add photographs of one alone: nothing tells them apart", True)
    for name in classes:
        if training and len(classes) == 1 and len(shown[name]) == len(training):
            what = f"every training photograph shows {name}, the only class"
            hint = "add photographs without it, in a folder background or with an empty label"
            yield Finding(what, hint, serious=True)


def _sizes(training: Sequence[Photograph], crop: int) -> Iterator[Finding]:
    small = [p for p in training if min(p.height, p.width) < crop / 2]
    if small:
        what = (
            f"{len(small)} photographs are smaller than half a training crop ({crop} px), for"
            f" instance {small[0].id} with {small[0].width} x {small[0].height} px"
        )
        yield Finding(
            what, "add larger ones, or lower mining.train.crop and segmentation.train.crop"
        )
