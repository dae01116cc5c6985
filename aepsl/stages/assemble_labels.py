"""Combine mined regions and background into pseudo-labels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from aepsl.config.labels import Labels
from aepsl.console import log, tracked
from aepsl.errors import AepslError, Problem
from aepsl.exchange.corrections import find_corrections, read_correction
from aepsl.labels.assemble import assemble_label, background_threshold
from aepsl.stages._options import (
    DatasetFile,
    NotInKey,
    OutputShard,
    RegionStore,
    SaliencyStore,
    Settings,
    Shard,
    Shards,
    parse_optional_path,
)
from aepsl.stores.manifests import ImageEntry, ImageManifest, read_images
from aepsl.stores.records import Record, Store, writing_shard

Corrections = Annotated[
    Path | None,
    typer.Option(
        parser=parse_optional_path, help="Masks corrected by hand: a folder, or a COCO file."
    ),
    NotInKey(),
]


def _corrected(path: Path, dataset: Path, shard: ImageManifest) -> dict[str, Record]:
    """Return the records of the images of a shard whose masks were corrected, by id.

    Raises:
        AepslError: listing the masks that cannot be used.
    """
    sources = find_corrections(path, read_images(dataset).images)
    found: dict[str, Record] = {}
    problems: list[Problem] = []
    for image in shard.images:
        if image.id not in sources:
            continue
        try:
            mask = read_correction(sources[image.id], image, shard.class_names)
            found[image.id] = Record({"mask": mask}, {"corrected": True})
        except AepslError as error:
            problems += error.problems
    if problems:
        raise AepslError(problems, f"{path}: {len(problems)} problem(s) with corrected masks:")
    log.info("%d of %d masks were corrected by hand", len(found), len(shard.images))
    return found


def _assembler(
    regions: Store, saliency: Store | None, settings: Labels
) -> Callable[[ImageEntry], Record]:
    """Return the function that combines the regions and the background of an image."""

    def assembled(image: ImageEntry) -> Record:
        mined, threshold = regions[image.id], 0.0
        if saliency:
            threshold = background_threshold(
                image.labels,
                default=settings.background_threshold,
                by_class=settings.class_thresholds,
            )
        label = assemble_label(
            mined.arrays["union"].astype(bool),
            # Where no class is shown, all is background, however salient.
            saliency[image.id].arrays["saliency"] if saliency and image.labels else None,
            classes=mined.facts["classes"],
            background_threshold=threshold,
        )
        reasons = {
            "ignored_conflict": label.conflict,
            "ignored_low_saliency": label.low_saliency,
            "ignored_unclaimed": label.unclaimed_value,
        }
        return Record({"mask": label.mask}, reasons)

    return assembled


def assemble_labels(
    config: Settings,
    dataset: DatasetFile,
    regions: RegionStore,
    saliency: SaliencyStore,
    output: OutputShard,
    corrections: Corrections = None,
    shard: Shard = 0,
    shards: Shards = 1,
) -> None:
    """Combine mined regions and background into the pseudo-labels of the training images.

    Writes S_i = F_i union B_i for one shard, and the number of pixels that each rule ignores.
    Without ``saliency``, every pixel outside the regions is background. A mask in ``corrections``
    takes the place of its image's, and its record says so.

    Raises:
        AepslError: listing the corrected masks that cannot be used.
    """
    manifest = read_images(dataset, shard=shard, shards=shards)
    images = manifest.images
    assembled = _assembler(
        Store(regions, kind="regions", all_shards=False),
        Store(saliency, kind="saliency", all_shards=False) if saliency else None,
        config.section("labels", Labels),
    )
    corrected = _corrected(corrections, dataset, manifest) if corrections else {}
    facts = {"class_names": list(manifest.class_names), "config": config.canonical()}
    with writing_shard(output, kind="labels", facts=facts, shard=shard, shards=shards) as writer:
        for image in tracked(images, total=len(images), what="labels"):
            writer.add(image.id, corrected.get(image.id) or assembled(image))
