"""Loading for training: each image decoded once a visit, one view of it, aligned with its mask."""

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

from aepsl.data.augment import look, random_view
from aepsl.data.images import read_image
from aepsl.errors import AepslError
from aepsl.masks import IGNORED
from aepsl.randomness import generator, shuffled_batches
from aepsl.stopping import ignore_signals
from aepsl.stores.dataset import ImageEntry

Painter = Callable[[str, NDArray[np.uint8]], NDArray[np.uint8]]
"""From an image's id and pixels to the pixels to train on."""
Masks = Callable[[str], NDArray[np.uint8]]
"""From an image's id to its (height, width) mask."""


@dataclass(frozen=True)
class Augmentation:
    """How an image varies from visit to visit; see :func:`aepsl.data.augment.random_view`."""

    crop: int
    scale_min: float
    scale_max: float
    flip: bool
    outside: tuple[int, int, int]
    """RGB beyond the border, 0..255."""


class TrainingImages(Dataset[Mapping[str, Tensor]]):
    """Images by (epoch, number): what comes out depends on these and the seed, on nothing else."""

    def __init__(
        self,
        images: Sequence[ImageEntry],
        labels: NDArray[np.float32],
        *,
        augmentation: Augmentation,
        seed: int,
        paint: Painter | None = None,
        masks: Masks | None = None,
    ) -> None:
        """Prepare to load ``images``, whose (n, classes) ``labels`` are 0 or 1."""
        self.images = images
        self.labels = torch.from_numpy(labels)
        self.augmentation = augmentation
        self.seed = seed
        self.paint = paint
        self.masks = masks

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, key: tuple[int, int]) -> Mapping[str, Tensor]:
        epoch, number = key
        entry, how = self.images[number], self.augmentation
        image = read_image(Path(entry.path), sha256=entry.sha256)
        if self.paint:
            image = self.paint(entry.id, image)
        view = random_view(
            generator(self.seed, epoch, entry.id),
            height=image.shape[0],
            width=image.shape[1],
            crop=how.crop,
            scale_min=how.scale_min,
            scale_max=how.scale_max,
            flip=how.flip,
        )
        seen = look(image, view, outside=how.outside, smooth=True)
        item = {"image": torch.from_numpy(seen).permute(2, 0, 1), "labels": self.labels[number]}
        if self.masks:
            mask = look(self.masks(entry.id), view, outside=IGNORED, smooth=False)
            item["mask"] = torch.from_numpy(mask)
        return item


FAULTS = (AepslError, OSError, MemoryError)
"""What a person can act on; on its way out of a worker torch would make single letters of it."""


class _Careful(Dataset[Any]):
    """The same images; a fault is handed over as an item, to be raised where it is understood."""

    def __init__(self, images: TrainingImages) -> None:
        self._images = images

    def __getitem__(self, key: tuple[int, int]) -> Any:
        try:
            return self._images[key]
        except FAULTS as fault:
            return fault


def _collated(items: list[Any]) -> Any:
    faults = [item for item in items if isinstance(item, FAULTS)]
    return faults[0] if faults else default_collate(items)


def _start_worker(number: int) -> None:
    """Leave it to the training process when to stop."""
    ignore_signals()


def epoch_batches(
    images: TrainingImages,
    *,
    batch_size: int,
    epoch: int,
    workers: int,
    start: int = 0,
    share: Callable[[Sequence[int]], Sequence[int]] = lambda batch: batch,
) -> Iterator[tuple[int, Mapping[str, Tensor]]]:
    """Yield the size of each batch of an epoch, and the ``share`` of it that is loaded here.

    It holds ``image`` (n, 3, s, s) uint8, ``labels``, maybe ``mask``. The first ``start`` batches
    are left out, and never loaded.

    Raises:
        AepslError: if a photograph or mask cannot be read, or is not what was indexed.
    """
    batches = shuffled_batches(len(images), batch_size=batch_size, seed=images.seed, epoch=epoch)
    batches = batches[start:]
    loader = DataLoader(
        _Careful(images),
        batch_sampler=[[(epoch, number) for number in share(batch)] for batch in batches],
        num_workers=workers,
        worker_init_fn=_start_worker,
        generator=torch.Generator().manual_seed(0),
        collate_fn=_collated,
    )
    for numbers, batch in zip(batches, loader, strict=True):
        if isinstance(batch, FAULTS):
            raise batch
        yield len(numbers), batch
