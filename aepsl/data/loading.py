"""Data loading for training: decodes an image, and crops it and its mask in the same way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from aepsl.data.augment import apply_transform, random_transform
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
    ) -> None:
        """Prepare to load ``images`` from ``root``; ``labels`` is (n, classes), 0 or 1."""
        self.images = images
        self.root = root
        self.labels = torch.from_numpy(labels)
        self.augmentation = augmentation
        self.seed = seed
        self.erase = erase
        self.masks = masks

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, key: tuple[int, int]) -> Mapping[str, Tensor]:
        epoch, number = key
        entry, how = self.images[number], self.augmentation
        image = photograph(entry, root=self.root)
        if self.erase:
            image = self.erase(entry.id, image)
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
        if self.masks:
            mask = apply_transform(
                self.masks(entry.id), transform, fill_value=IGNORE_INDEX, interpolate=False
            )
            item["mask"] = torch.from_numpy(mask)
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
    errors = [item for item in items if isinstance(item, HANDLED_ERRORS)]
    return errors[0] if errors else default_collate(items)


def _start_worker(number: int) -> None:
    """Ignore signals in a worker; the training process handles them and ends it."""
    ignore_signals()


def epoch_batches(
    images: TrainingImages,
    *,
    batch_size: int,
    epoch: int,
    workers: int,
    start: int = 0,
    local_batch: Callable[[Sequence[int]], Sequence[int]] = lambda batch: batch,
) -> Iterator[Mapping[str, Tensor]]:
    """Yield each batch of an epoch, or the part that ``local_batch`` selects.

    A batch has ``image`` (n, 3, s, s) uint8, ``labels``, and ``mask`` if there are masks. The first
    ``start`` batches are skipped without loading them.

    Raises:
        AepslError: if a photograph or mask is unreadable, or was modified after indexing.
    """
    batches = shuffled_batches(len(images), batch_size=batch_size, seed=images.seed, epoch=epoch)
    batches = batches[start:]
    loader = DataLoader(
        _ErrorsAsItems(images),
        batch_sampler=[[(epoch, number) for number in local_batch(batch)] for batch in batches],
        num_workers=workers,
        worker_init_fn=_start_worker,
        generator=torch.Generator().manual_seed(0),
        collate_fn=_collated,
    )
    for batch in loader:
        if isinstance(batch, HANDLED_ERRORS):
            raise batch
        yield batch
