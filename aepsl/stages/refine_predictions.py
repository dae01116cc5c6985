"""Predictions after the fully connected CRF."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from aepsl.config.sections import Slice
from aepsl.data.images import read_image
from aepsl.segmentation.crf import CrfOptions, refine
from aepsl.segmentation.inference import full_probabilities
from aepsl.stages._crf import crf_options
from aepsl.stages._parallel import mapped
from aepsl.stores.dataset import ImageEntry, read_images
from aepsl.stores.records import Record, Store, writing_shard
from aepsl.stores.reuse import Earlier, add_all, source_of


def _refined(image: ImageEntry, *, scores: Store, options: CrfOptions) -> NDArray[np.uint8]:
    record = scores[image.id]
    full = full_probabilities(
        record.arrays["scores"],
        height=image.height,
        width=image.width,
        stride=int(scores.facts()["stride"]),
    )
    threshold = float(record.facts["threshold"])
    pixels = read_image(Path(image.path), sha256=image.sha256)
    return refine(pixels, full, threshold=threshold, options=options)


def _records(
    images: Sequence[ImageEntry], *, scores: Store, options: CrfOptions, threads: int
) -> Iterator[Record]:
    work = partial(_refined, scores=scores, options=options)
    for mask in mapped(work, images, threads=threads, what="CRF"):
        yield Record({"mask": mask})


def run(
    config: Slice,
    *,
    dataset: Path,
    root: Path,
    predictions: Sequence[Path],
    output: Path,
    shard: int,
    shards: int,
    threads: int,
    earlier: Sequence[Path] = (),
) -> None:
    """Write one part of the refined masks.

    Records in ``earlier``, the manifests of stores that were made alike, are taken from there.

    Raises:
        AepslError: if pydensecrf is not installed.
    """
    torch.set_num_threads(1)  # as in each of its processes: another number, other last bits
    options = crf_options(config)
    manifest = read_images(dataset, root=root, shard=shard, shards=shards)
    scores = Store(predictions, kind="predictions", whole=False)
    images = manifest.images
    stride = str(scores.facts().get("stride"))
    sources = [source_of(image.sha256, scores.digest(image.id), stride) for image in images]
    make = partial(_records, scores=scores, options=options, threads=threads)
    facts = {"class_names": list(manifest.class_names), "config": config.canonical()}
    with writing_shard(
        output, kind="predictions", facts=facts, shard=shard, shards=shards
    ) as writer:
        add_all(writer, images, sources, earlier=Earlier(earlier), make=make)
