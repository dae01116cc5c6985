"""One saliency map a training image, of the original photograph."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from aepsl.config import Saliency
from aepsl.data.images import read_grey, read_image
from aepsl.errors import AepslError
from aepsl.saliency.robust_background import robust_background_saliency
from aepsl.sections import Slice
from aepsl.stages._parallel import mapped
from aepsl.stores.dataset import ImageEntry, read_manifest, shard_of
from aepsl.stores.records import Record, writing_shard


def _precomputed(image: ImageEntry, folder: Path) -> NDArray[np.float32]:
    found = [path for s in (".png", ".jpg") if (path := folder / f"{image.id}{s}").is_file()]
    if not found:
        raise AepslError.of(
            folder / f"{image.id}.png", "no saliency map", "one 8-bit map for each training image"
        )
    saliency = read_grey(found[0])
    if saliency.shape != (image.height, image.width):
        saliency = cv2.resize(saliency, (image.width, image.height), interpolation=cv2.INTER_LINEAR)
    return saliency.clip(0, 1)


def _saliency(image: ImageEntry, settings: Saliency) -> NDArray[np.float16]:
    if settings.method == "precomputed":
        assert settings.folder is not None
        return _precomputed(image, Path(settings.folder)).astype(np.float16)
    pixels = read_image(Path(image.path))
    return robust_background_saliency(pixels, superpixels=settings.superpixels).astype(np.float16)


def run(
    config: Slice, *, dataset: Path, output: Path, shard: int, shards: int, threads: int
) -> None:
    """Write the saliency of one part of the training images, 0..1, at image size."""
    settings = config.section("saliency", Saliency)
    manifest = read_manifest(dataset)
    images = shard_of(manifest.split("train"), shard=shard, shards=shards)
    maps = mapped(partial(_saliency, settings=settings), images, threads=threads, what="saliency")
    facts = {"config": config.canonical()}
    with writing_shard(output, kind="saliency", facts=facts) as writer:
        for image, saliency in zip(images, maps, strict=True):
            writer.add(image.id, Record({"saliency": saliency}))
