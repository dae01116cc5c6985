"""Photographs for a network: read ahead, computed in batches of one size, returned in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from aepsl.concurrency import read_ahead
from aepsl.console import tracked
from aepsl.device import Compute
from aepsl.stores.manifests import ImageEntry

R = TypeVar("R")

Pixels = NDArray[np.uint8]

BATCH_PIXELS = {"cuda": 3_000_000}
"""Pixels of a batch, by type of device: 16 photographs of 375 x 500 px, or a single larger one.
Without an entry, photographs are computed one by one: on a CPU, batches take no less time."""


def batches_of_one_size(images: Sequence[ImageEntry], *, pixels: int) -> list[list[ImageEntry]]:
    """Return the images in batches of equal height and width, of at most ``pixels`` pixels.

    A batch of one image may have more. Each batch has the order of ``images``.
    """
    batches: list[list[ImageEntry]] = []
    open_batch: dict[tuple[int, int], list[ImageEntry]] = {}
    for image in images:
        size = image.height, image.width
        batch = open_batch.get(size)
        if batch is None or (len(batch) + 1) * image.height * image.width > pixels:
            batch = open_batch[size] = []
            batches.append(batch)
        batch.append(image)
    return batches


def in_batches(
    images: Sequence[ImageEntry],
    *,
    read: Callable[[ImageEntry], Pixels],
    launch: Callable[[list[ImageEntry], list[Pixels]], Callable[[], Iterable[R]]],
    compute: Compute,
    what: str,
) -> Iterator[R]:
    """Yield the result of each image, in order, with progress.

    Args:
        images: the images.
        read: returns the pixels of an image; other threads call it.
        launch: starts the network on a batch, and returns the function that returns the results
            of its images. It is called after the next launch, because it waits for a GPU.
        compute: the device, and the number of threads that read photographs for a GPU.
        what: name of the work in the progress lines.
    """
    batches = batches_of_one_size(images, pixels=BATCH_PIXELS.get(compute.device.type, 0))
    threads = 1 if compute.device.type == "cpu" else compute.threads
    reading = read_ahead(partial(_all_read, read), batches, ahead=2 * threads, threads=threads)
    done: dict[str, R] = {}
    launched: deque[tuple[list[ImageEntry], Callable[[], Iterable[R]]]] = deque()

    def collect() -> None:
        batch, results = launched.popleft()
        done.update(zip((image.id for image in batch), results(), strict=True))

    def next_result(
        image: ImageEntry, unread: Iterator[tuple[list[ImageEntry], list[Pixels]]]
    ) -> R:
        while image.id not in done:
            for batch, pixels in islice(unread, 1 + (not launched)):
                launched.append((batch, launch(batch, pixels)))
            collect()
        return done.pop(image.id)

    with reading as pixels_of_batches:
        unread = zip(batches, pixels_of_batches, strict=True)
        for image in tracked(images, total=len(images), what=what):
            yield next_result(image, unread)


def _all_read(read: Callable[[ImageEntry], Pixels], batch: list[ImageEntry]) -> list[Pixels]:
    return [read(image) for image in batch]
