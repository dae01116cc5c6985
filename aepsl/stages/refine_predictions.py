"""Predictions after the fully connected CRF."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aepsl.config.sections import Slice
from aepsl.data.images import read_image
from aepsl.segmentation.crf import CrfOptions, refine
from aepsl.segmentation.inference import full_probabilities
from aepsl.stages._crf import crf_options
from aepsl.stages._parallel import mapped
from aepsl.stores.dataset import ImageEntry, read_images, shard_of
from aepsl.stores.records import Record, Store, writing_shard


def _refined(image: ImageEntry, *, scores: Store, options: CrfOptions) -> NDArray[np.uint8]:
    record = scores[image.id]
    full = full_probabilities(
        record.arrays["scores"],
        height=image.height,
        width=image.width,
        stride=int(scores.facts()["stride"]),
    )
    threshold = float(record.facts["threshold"])
    return refine(read_image(Path(image.path)), full, threshold=threshold, options=options)


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
) -> None:
    """Write one part of the refined masks.

    Raises:
        AepslError: if pydensecrf is not installed.
    """
    options = crf_options(config)
    manifest, scores = read_images(dataset, root=root), Store(predictions, kind="predictions")
    images = shard_of(manifest.images, shard=shard, shards=shards)
    work = partial(_refined, scores=scores, options=options)
    masks = mapped(work, images, threads=threads, what="CRF")
    facts = {"class_names": list(manifest.class_names), "config": config.canonical()}
    with writing_shard(
        output, kind="predictions", facts=facts, shard=shard, shards=shards
    ) as writer:
        for image, mask in zip(images, masks, strict=True):
            writer.add(image.id, Record({"mask": mask}))
