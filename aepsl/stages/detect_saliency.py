"""One saliency map a training image, of the original photograph."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from aepsl.config.labels import Saliency
from aepsl.config.sections import Slice
from aepsl.console import tracked
from aepsl.data.images import read_grey, read_image
from aepsl.errors import AepslError
from aepsl.saliency.network import DetectorOptions, SaliencyNetwork
from aepsl.saliency.robust_background import robust_background_saliency
from aepsl.stages._parallel import mapped
from aepsl.stores.dataset import ImageEntry, read_images
from aepsl.stores.records import Record, writing_shard
from aepsl.stores.reuse import Earlier, add_all


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


@contextmanager
def _named(file: Path) -> Iterator[None]:
    """Say which network is at fault."""
    try:
        yield
    except ValueError as error:
        hint = "set saliency.network as the network's author says"
        raise AepslError.of(file, str(error), hint) from None


def _by_network(
    images: Sequence[ImageEntry], file: Path, settings: Saliency, *, threads: int, device: str
) -> Iterator[NDArray[np.float32]]:
    options = DetectorOptions(**settings.network.model_dump(exclude={"file"}))
    with _named(file):
        network = SaliencyNetwork(file, options, threads=threads, device=device)
    for image in tracked(images, total=len(images), what="saliency"):
        pixels = read_image(Path(image.path), sha256=image.sha256)
        with _named(file):
            saliency = network(pixels)
        yield saliency


def _computed(image: ImageEntry, superpixels: int) -> NDArray[np.float32]:
    pixels = read_image(Path(image.path), sha256=image.sha256)
    return robust_background_saliency(pixels, superpixels=superpixels)


def _maps(
    images: Sequence[ImageEntry],
    settings: Saliency,
    source: Path | None,
    *,
    threads: int,
    device: str,
) -> Iterator[NDArray[np.float32]]:
    """Yield the saliency of each image; a network has the threads to itself."""
    match settings.method:
        case "network":
            file = source or Path(settings.network.file or "")
            yield from _by_network(images, file, settings, threads=threads, device=device)
            return
        case "precomputed":
            work = partial(_precomputed, folder=source or Path(settings.folder or ""))
        case _:
            work = partial(_computed, superpixels=settings.superpixels)
    yield from mapped(work, images, threads=threads, what="saliency")


def _records(
    images: Sequence[ImageEntry],
    *,
    settings: Saliency,
    source: Path | None,
    threads: int,
    device: str,
) -> Iterator[Record]:
    for saliency in _maps(images, settings, source, threads=threads, device=device):
        yield Record({"saliency": saliency.astype(np.float16)})


def run(
    config: Slice,
    *,
    dataset: Path,
    root: Path,
    source: Path | None,
    output: Path,
    shard: int,
    shards: int,
    threads: int,
    device: str,
    earlier: Sequence[Path] = (),
) -> None:
    """Write the saliency of one part of the training images, 0..1, at image size.

    ``source`` is the folder of maps or the network's file, if the configuration names its content.
    Records in ``earlier``, the manifests of stores that were made alike, are taken from there.

    Raises:
        AepslError: if a map is absent, or the network cannot be read.
    """
    settings = config.section("saliency", Saliency)
    manifest = read_images(dataset, root=root, shard=shard, shards=shards)
    images = manifest.images
    facts = {"config": config.canonical()}
    make = partial(_records, settings=settings, source=source, threads=threads, device=device)
    with writing_shard(output, kind="saliency", facts=facts, shard=shard, shards=shards) as writer:
        add_all(writer, images, [i.sha256 for i in images], earlier=Earlier(earlier), make=make)
