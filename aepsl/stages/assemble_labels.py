"""Combine mined regions and background into pseudo-labels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from aepsl.config.labels import Labels
from aepsl.console import log, tracked
from aepsl.errors import AepslError, Problem
from aepsl.exchange.corrections import Source, find_corrections, read_correction
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


def _checked(path: Path, dataset: Path, shard: ImageManifest) -> dict[str, Source]:
    """Return the corrected masks of a shard's images, by id, after reading each of them.

    Raises:
        AepslError: listing the masks that cannot be used.
    """
    sources = find_corrections(path, read_images(dataset).images)
    found = {image.id: sources[image.id] for image in shard.images if image.id in sources}
    problems: list[Problem] = []
    unlabelled: list[str] = []
    for image in shard.images:
        if image.id not in found:
            continue
        try:
            mask = read_correction(found[image.id], image, shard.class_names)
        except AepslError as error:
            problems += error.problems
            continue
        shown = {name for k, name in enumerate(shard.class_names, start=1) if (mask == k).any()}
        unlabelled += [f"{image.id} {name}" for name in sorted(shown - set(image.labels))]
    if problems:
        raise AepslError(problems, f"{path}: {len(problems)} problem(s) with corrected masks:")
    if unlabelled:
        what = "corrected masks show a class that is no label of the photograph, %d case(s): %s"
        log.warning(what, len(unlabelled), ", ".join(unlabelled[:3]))
    return found


def _corrected(
    record: Record, source: Source, image: ImageEntry, class_names: tuple[str, ...]
) -> Record:
    """Return the record of the corrected mask, or the given one if its mask is equal."""
    mask = read_correction(source, image, class_names)
    if np.array_equal(mask, record.arrays["mask"]):
        return record
    return Record({"mask": mask}, {"corrected": True})


def _assembler(
    manifest: ImageManifest, regions: Store, saliency: Store | None, settings: Labels
) -> Callable[[ImageEntry], Record]:
    """Return the function that combines the regions and the background of an image."""

    def assembled(image: ImageEntry) -> Record:
        mined, threshold = regions.array(image.id, "union").astype(bool), 0.0
        if saliency:
            threshold = background_threshold(
                image.labels,
                default=settings.background_threshold,
                by_class=settings.class_thresholds,
            )
        label = assemble_label(
            mined,
            # Where no class is shown, all is background, however salient.
            saliency.array(image.id, "saliency") if saliency and image.labels else None,
            classes=manifest.label_numbers(image),
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
    that differs takes the place of its image's, and its record says so.

    Raises:
        AepslError: listing the corrected masks that cannot be used.
    """
    manifest = read_images(dataset, shard=shard, shards=shards)
    images = manifest.images
    assembled = _assembler(
        manifest,
        Store(regions, kind="regions", all_shards=False),
        Store(saliency, kind="saliency", all_shards=False) if saliency else None,
        config.section("labels", Labels),
    )
    sources = _checked(corrections, dataset, manifest) if corrections else {}
    facts = {"class_names": list(manifest.class_names), "config": config.canonical()}
    corrected = 0
    with writing_shard(output, kind="labels", facts=facts, shard=shard, shards=shards) as writer:
        for image in tracked(images, total=len(images), what="labels"):
            record = assembled(image)
            if image.id in sources:
                record = _corrected(record, sources[image.id], image, manifest.class_names)
            corrected += "corrected" in record.facts
            writer.add(image.id, record)
    if sources:
        log.info("%d of %d masks were corrected by hand", corrected, len(images))
