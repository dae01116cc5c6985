"""Class activation maps of each present class, on the erased images of the step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aepsl.config.mining import Mining
from aepsl.data.photographs import photograph
from aepsl.device import Compute, pick_device
from aepsl.grid import Grid
from aepsl.mining.cam import class_activation_maps, class_probability_maps
from aepsl.mining.merge import ScaledCam, merge_cams
from aepsl.networks.grids import mirror, unmirror
from aepsl.networks.layers import as_batch
from aepsl.networks.models import Classifier, SalientClassifier
from aepsl.stages._batches import in_batches
from aepsl.stages._erasing import EraseMined
from aepsl.stages._options import (
    DatasetFile,
    Device,
    Model,
    OutputShard,
    RegionStore,
    Root,
    Settings,
    Shard,
    Shards,
    Step,
    Threads,
)
from aepsl.stores.atomic import digest_of
from aepsl.stores.manifests import ImageEntry, ImageManifest, read_images
from aepsl.stores.networks import load_classifier
from aepsl.stores.records import Record, Store, writing_shard


def _scaled(image: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    if scale == 1:
        return image
    smooth = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return cv2.resize(image, None, fx=scale, fy=scale, interpolation=smooth).astype(np.uint8)


class _View(NamedTuple):
    """The maps of a batch of images in one scale, perhaps mirrored."""

    maps: Tensor
    """(n, classes, h, w)."""
    grid: Grid
    """Of the cells in the unscaled images."""


@dataclass(frozen=True)
class _Extraction:
    """Computes the maps of batches of images."""

    network: Classifier
    manifest: ImageManifest
    mining: Mining
    device: torch.device

    @torch.inference_mode()
    def __call__(
        self, images: list[ImageEntry], pixels: list[NDArray[np.uint8]]
    ) -> Callable[[], Iterator[Record]]:
        """Start the computation of a batch; return the function that returns its records."""
        labels = torch.from_numpy(self.manifest.label_matrix(images)).to(self.device)
        return partial(self._records, images, list(self._views(pixels, labels)))

    def _views(self, pixels: list[NDArray[np.uint8]], labels: Tensor) -> Iterator[_View]:
        """Yield the maps of each scale, each followed by the maps of the mirrored images."""
        for relative in self.mining.cam_scales:
            scale = relative * self.network.scale
            batch = as_batch([_scaled(image, scale) for image in pixels], self.device)
            maps, grid = self._maps(batch, labels), self.network.grid
            yield _View(maps, grid.scaled(1 / scale))
            if self.mining.cam_flip:
                mirrored = self._maps(mirror(batch, grid=grid), labels)
                mirrored = unmirror(mirrored, grid=grid, columns=maps.shape[3])
                yield _View(mirrored, grid.scaled(1 / scale))

    def _maps(self, batch: Tensor, labels: Tensor) -> Tensor:
        network, features = self.network, self.network.features(batch)
        if isinstance(network, SalientClassifier):
            return class_probability_maps(network.cells(features), labels)
        return class_activation_maps(features, network.classify.weight)

    def _records(self, images: list[ImageEntry], views: list[_View]) -> Iterator[Record]:
        there = [(view.maps.cpu().numpy(), view.grid) for view in views]
        normalise = len(views) > 1 and self.mining.cam_merge == "normalised_mean"
        for number, image in enumerate(images):
            classes = self.manifest.label_numbers(image)
            seen = [ScaledCam(maps[number, list(classes)], grid) for maps, grid in there]
            merged = merge_cams(seen, normalise_first=normalise)
            present = merged.maps.astype(np.float16)
            peaks = present.max(axis=(1, 2)).astype(np.float32)
            yield Record({"cam": present}, {"classes": classes, "maximum": peaks})


def extract_cams(
    config: Settings,
    dataset: DatasetFile,
    root: Root,
    model: Model,
    regions: RegionStore,
    step: Step,
    output: OutputShard,
    shard: Shard = 0,
    shards: Shards = 1,
    device: Device = "auto",
    threads: Threads = 1,
) -> None:
    """Compute a class activation map of each present class with the classifier of one step.

    Writes CAM(I_{i,t}, M_t, c) of one shard of the training images as float16 on cells. The stored
    grid is that of the largest scale, in pixels of the photograph.
    """
    mining = config.section("mining", Mining)
    compute = Compute(pick_device(device), threads)
    torch.set_num_threads(compute.threads)
    manifest = read_images(dataset, shard=shard, shards=shards)
    network = load_classifier(model, device=compute.device)
    erase = EraseMined(Store(regions, kind="regions", all_shards=False), manifest.mean_pixel)
    store_facts = {
        "class_names": list(manifest.class_names),
        "model": digest_of(model),
        "step": step,
        "grid": network.photograph_grid.scaled(1 / max(mining.cam_scales)),
        "config": config.canonical(),
    }
    with writing_shard(
        output, kind="cams", facts=store_facts, shard=shard, shards=shards
    ) as writer:
        records = in_batches(
            manifest.images,
            read=lambda image: erase(image.id, photograph(image, root=root)),
            launch=_Extraction(network, manifest, mining, compute.device),
            compute=compute,
            what=f"CAM, step {step}",
        )
        for image, record in zip(manifest.images, records, strict=True):
            writer.add(image.id, record)
