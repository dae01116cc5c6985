"""One saliency map per training image, computed on the original photograph."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from numpy.typing import NDArray

from aepsl.config.labels import Saliency
from aepsl.data.images import read_grey
from aepsl.data.photographs import photograph
from aepsl.data.published import about_network
from aepsl.errors import AepslError, require_file
from aepsl.saliency.methods import METHODS, Detector, Method
from aepsl.stages._options import (
    DatasetFile,
    Device,
    OutputShard,
    Reads,
    Root,
    Settings,
    Shard,
    Shards,
    Threads,
)
from aepsl.stages._parallel import parallel_map
from aepsl.stores.manifests import ImageEntry, read_images
from aepsl.stores.records import Record
from aepsl.stores.reuse import write_records


def _from_folder(image: ImageEntry, folder: Path) -> NDArray[np.float32]:
    paths = [path for s in (".png", ".jpg") if (path := folder / f"{image.id}{s}").exists()]
    if not paths:
        raise AepslError.of(
            folder / f"{image.id}.png", "no saliency map", "one 8-bit map for each training image"
        )
    saliency = read_grey(paths[0])
    if saliency.shape != (image.height, image.width):
        saliency = cv2.resize(saliency, (image.width, image.height), interpolation=cv2.INTER_LINEAR)
    return saliency.clip(0, 1)


@contextmanager
def _errors_name_file(file: Path | None, method: Method) -> Iterator[None]:
    """Name the method's file in its errors."""
    try:
        yield
    except ValueError as error:
        if file is None:
            raise
        keys = ", ".join(f"saliency.{name}" for name in method.options)
        raise AepslError.of(
            file, str(error), f"set {keys} as the network's documentation says"
        ) from None


def _detected(
    image: ImageEntry, *, root: Path, detect: Detector, source: Path | None, method: Method
) -> NDArray[np.float32]:
    pixels = photograph(image, root=root)
    with _errors_name_file(source, method):
        return detect(pixels)


def _work(
    settings: Saliency, source: Path | None, *, root: Path, threads: int, device: str
) -> Callable[[ImageEntry], NDArray[np.float32]]:
    """Return the function that computes the saliency map of one image."""
    name, method = settings.method, METHODS[settings.method]
    if method.source_key and source is None:
        hint = f"set the path saliency.{method.source_key}"
        raise AepslError.of("--source", f"is not set, but saliency.method is {name}", hint)
    if method.reads_maps and source:
        return partial(_from_folder, folder=source)
    if method.make is None:
        raise AepslError.of("saliency.method", f"{name} computes no maps", "choose another method")
    options = settings.model_dump(include=set(method.options))
    options |= {"source": source} if method.source_key else {}
    options |= {"threads": threads, "device": device} if method.on_device else {}
    if source and source.exists():
        require_file(source)
    with _errors_name_file(source, method):
        detect = method.make(**options)
    return partial(_detected, root=root, detect=detect, source=source, method=method)


def _maps(
    images: Sequence[ImageEntry],
    settings: Saliency,
    source: Path | None,
    *,
    root: Path,
    threads: int,
    device: str,
) -> Iterator[NDArray[np.float32]]:
    """Yield the saliency map of each image."""
    work = _work(settings, source, root=root, threads=threads, device=device)
    processes = 1 if METHODS[settings.method].on_device else threads
    yield from parallel_map(work, images, threads=processes, what="saliency")


def _records(
    images: Sequence[ImageEntry],
    *,
    settings: Saliency,
    source: Path | None,
    root: Path,
    threads: int,
    device: str,
) -> Iterator[Record]:
    for saliency in _maps(images, settings, source, root=root, threads=threads, device=device):
        yield Record({"saliency": saliency.astype(np.float16)})


def _detector(settings: Saliency, source: Path | None) -> str:
    """Return where the maps come from, for the page and the model card."""
    return METHODS[settings.method].about or (about_network(source) if source else "")


def detect_saliency(
    config: Settings,
    dataset: DatasetFile,
    root: Root,
    output: OutputShard,
    source: Annotated[
        Path | None, typer.Option(help="Folder of saliency maps, or file of a network."), Reads()
    ] = None,
    shard: Shard = 0,
    shards: Shards = 1,
    device: Device = "auto",
    threads: Threads = 1,
) -> None:
    """Compute or read a saliency map, 0..1, for each training image.

    Maps have the size of their image.

    Raises:
        AepslError: if a map is missing, or the network is unreadable.
    """
    settings = config.section("saliency", Saliency)
    manifest = read_images(dataset, shard=shard, shards=shards)
    images = manifest.images
    write_records(
        output,
        images,
        sources=[image.sha256 for image in images],
        make=partial(
            _records, settings=settings, source=source, root=root, threads=threads, device=device
        ),
        kind="saliency",
        facts={"config": config.canonical(), "detector": _detector(settings, source)},
        shard=shard,
        shards=shards,
    )
