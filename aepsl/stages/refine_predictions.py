"""Refine predictions with the fully connected CRF."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from aepsl.data.photographs import photograph
from aepsl.grid import Grid, resample
from aepsl.segmentation.crf import RefineOptions, refine
from aepsl.stages._crf import crf_options
from aepsl.stages._options import (
    DatasetFile,
    OutputShard,
    Predictions,
    Processes,
    Root,
    Settings,
    Shard,
    Shards,
)
from aepsl.stages._parallel import parallel_map
from aepsl.stores.manifests import ImageEntry, read_images
from aepsl.stores.records import Record, Store
from aepsl.stores.reuse import source_of, write_records


def _refined(
    image: ImageEntry, *, root: Path, scores: Store, options: RefineOptions
) -> NDArray[np.uint8]:
    record = scores[image.id]
    grid = Grid(*scores.facts()["grid"])
    full = resample(record.arrays["scores"], (image.height, image.width), source=grid)
    threshold = float(record.facts["threshold"])
    pixels = photograph(image, root=root)
    probabilities = softmax(full, axis=0)
    return refine(pixels, probabilities, threshold=threshold, options=options)


def _records(
    images: Sequence[ImageEntry], *, root: Path, scores: Store, options: RefineOptions, threads: int
) -> Iterator[Record]:
    work = partial(_refined, root=root, scores=scores, options=options)
    for mask in parallel_map(work, images, threads=threads, what="CRF"):
        yield Record({"mask": mask})


def refine_predictions(
    config: Settings,
    dataset: DatasetFile,
    root: Root,
    predictions: Predictions,
    output: OutputShard,
    shard: Shard = 0,
    shards: Shards = 1,
    threads: Processes = 1,
) -> None:
    """Refine predicted masks with the fully connected CRF.

    Writes the masks of one shard.

    Raises:
        AepslError: if pydensecrf is not installed.
    """
    options = crf_options(config)
    manifest = read_images(dataset, shard=shard, shards=shards)
    scores = Store(predictions, kind="predictions", all_shards=False)
    images = manifest.images
    grid = str(scores.facts().get("grid"))
    write_records(
        output,
        images,
        sources=[source_of(image.sha256, scores.digest(image.id), grid) for image in images],
        make=partial(_records, root=root, scores=scores, options=options, threads=threads),
        kind="predictions",
        facts={"class_names": list(manifest.class_names), "config": config.canonical()},
        shard=shard,
        shards=shards,
    )
