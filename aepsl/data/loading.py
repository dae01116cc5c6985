"""Data loading for training: decodes an image, and crops it and its mask in the same way."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from aepsl.concurrency import read_ahead
from aepsl.data.augment import apply_transform, random_transform, shrunk
from aepsl.data.photographs import photograph
from aepsl.errors import AepslError
from aepsl.masks import IGNORE_INDEX
from aepsl.randomness import generator, shuffled_batches
from aepsl.signals import ignore_signals
from aepsl.stores.manifests import ImageEntry

ErasePixels = Callable[[str, NDArray[np.uint8]], NDArray[np.uint8]]
"""Function from image id and pixels to the pixels to train on."""
MaskOf = Callable[[str], NDArray[np.uint8]]
"""Function from image id to its (height, width) mask."""


@dataclass(frozen=True)
class Augmentation:
    """Augmentation settings; see :func:`aepsl.data.augment.random_transform`."""

    scale: float
    """Size in which photographs are cropped, as a factor of their own size."""
    crop: int
    scale_min: float
    scale_max: float
    flip: bool
    fill_value: tuple[int, int, int]
    """Fill colour outside the image, RGB 0..255."""


class TrainingImages(Dataset[Mapping[str, Tensor]]):
    """Dataset indexed by (epoch, number); an item depends on these and the seed only."""

    def __init__(
        self,
        images: Sequence[ImageEntry],
        labels: NDArray[np.float32],
        *,
        root: Path,
        augmentation: Augmentation,
        seed: int,
        erase: ErasePixels | None = None,
        masks: MaskOf | None = None,
        saliency: MaskOf | None = None,
    ) -> None:
        """Prepare to load ``images`` from ``root``; ``labels`` is (n, classes), 0 or 1."""
        self.images = images
        self.root = root
        self.labels = torch.from_numpy(labels)
        self.augmentation = augmentation
        self.seed = seed
        self.erase = erase
        self.for_pixels = {"mask": masks, "saliency": saliency}

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, key: tuple[int, int]) -> Mapping[str, Tensor]:
        epoch, number = key
        entry, how = self.images[number], self.augmentation
        image = photograph(entry, root=self.root)
        if self.erase:
            image = self.erase(entry.id, image)
        image = shrunk(image, scale=how.scale, interpolate=True)
        transform = random_transform(
            generator(self.seed, epoch, entry.id),
            height=image.shape[0],
            width=image.shape[1],
            crop=how.crop,
            scale_min=how.scale_min,
            scale_max=how.scale_max,
            flip=how.flip,
        )
        crop = apply_transform(image, transform, fill_value=how.fill_value, interpolate=True)
        item = {"image": torch.from_numpy(crop).permute(2, 0, 1), "labels": self.labels[number]}
        for name, of_image in self.for_pixels.items():
            if of_image:
                whole = shrunk(of_image(entry.id), scale=how.scale, interpolate=False)
                values = apply_transform(
                    whole, transform, fill_value=IGNORE_INDEX, interpolate=False
                )
                item[name] = torch.from_numpy(values)
        return item


HANDLED_ERRORS = (AepslError, OSError, MemoryError)
"""Errors that the main process must raise unchanged: DataLoader would re-create one of a worker
from its message alone, which AepslError does not support."""


class _ErrorsAsItems(Dataset[Any]):
    """The same images, but an error is returned as an item; the main process raises it."""

    def __init__(self, images: TrainingImages) -> None:
        self._images = images

    def __getitem__(self, key: tuple[int, int]) -> Any:
        try:
            return self._images[key]
        except HANDLED_ERRORS as error:
            return error


def _collated(items: list[Any]) -> Any:
    """Return the items as one batch, or the first error among them."""
    errors = [item for item in items if isinstance(item, HANDLED_ERRORS)]
    if errors:
        return errors[0]
    # By numpy: torch would copy with all threads of the training.
    return {name: torch.from_numpy(np.stack([item[name] for item in items])) for name in items[0]}


def _loaded(images: _ErrorsAsItems, keys: Sequence[tuple[int, int]]) -> Any:
    return _collated([images[key] for key in keys])


def _start_worker(number: int) -> None:
    """Ignore signals in a worker; the training process handles them and ends it."""
    ignore_signals()


@dataclass(frozen=True)
class _Keys:
    """The keys of each batch, from epoch and step ``start`` on, as they are asked for."""

    images: int
    batch_size: int
    seed: int
    epochs: int
    start: tuple[int, int]
    local_batch: Callable[[Sequence[int]], Sequence[int]]

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        first, done = self.start
        for epoch in range(first, self.epochs):
            batches = shuffled_batches(
                self.images, batch_size=self.batch_size, seed=self.seed, epoch=epoch
            )
            for batch in batches[done if epoch == first else 0 :]:
                yield [(epoch, number) for number in self.local_batch(batch)]


def training_batches(
    images: TrainingImages,
    *,
    batch_size: int,
    epochs: int,
    workers: int,
    start: tuple[int, int] = (0, 0),
    local_batch: Callable[[Sequence[int]], Sequence[int]] = lambda batch: batch,
    pin_memory: bool = False,
) -> Generator[Mapping[str, Tensor]]:
    """Yield the batches of all epochs in turn, or the parts that ``local_batch`` selects.

    A batch has ``image`` (n, 3, s, s) uint8, ``labels``, and ``mask`` if there are masks. The next
    batches are loaded ahead, also those of the next epoch.

    Args:
        images: the dataset.
        batch_size: images in a batch.
        epochs: number of epochs.
        workers: processes that load; with 0, a thread of this process does.
        start: completed epochs, and steps of the current one: their batches are skipped.
        local_batch: selects from the numbers of a batch's images.
        pin_memory: whether batches are put where a GPU reads them without waiting.

    Raises:
        AepslError: if a photograph or mask is unreadable, or was modified after indexing.
    """
    keys = _Keys(len(images), batch_size, images.seed, epochs, start, local_batch)
    dataset = _ErrorsAsItems(images)
    loading: AbstractContextManager[Iterable[Any]]
    if workers:
        loader = DataLoader(
            dataset,
            batch_sampler=keys,
            num_workers=workers,
            worker_init_fn=_start_worker,
            generator=torch.Generator().manual_seed(0),
            collate_fn=_collated,
            pin_memory=pin_memory,
        )
        loading = nullcontext(loader)
    else:
        loading = read_ahead(partial(_loaded, dataset), keys, ahead=2)
    with loading as batches:
        for batch in batches:
            if isinstance(batch, HANDLED_ERRORS):
                raise batch
            yield batch
