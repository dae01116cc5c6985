"""Combine mined regions and background into pseudo-labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from aepsl.config.labels import Labels
from aepsl.console import log
from aepsl.data.photographs import photograph
from aepsl.errors import AepslError, Problem
from aepsl.exchange.corrections import Source, find_corrections, read_correction
from aepsl.grid import Grid, resample
from aepsl.labels.assemble import (
    PseudoLabel,
    assemble_label,
    background_threshold,
    label_probabilities,
    lost_classes,
    mask_values,
    with_lost_classes,
)
from aepsl.labels.blend import blended_probabilities
from aepsl.mining.merge import scaled_to_max
from aepsl.segmentation.crf import RefineOptions, refine
from aepsl.stages._crf import crf_options
from aepsl.stages._options import (
    CamStore,
    DatasetFile,
    NotInKey,
    OutputShard,
    Processes,
    RegionStore,
    Root,
    SaliencyStore,
    Settings,
    Shard,
    Shards,
    parse_optional_path,
)
from aepsl.stages._parallel import parallel_map
from aepsl.stores.manifests import ImageEntry, ImageManifest, read_images
from aepsl.stores.records import Record, Store, stores_by_step, writing_shard

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
    corrections = {image.id: sources[image.id] for image in shard.images if image.id in sources}
    problems: list[Problem] = []
    unlabelled: list[str] = []
    for image in shard.images:
        if image.id not in corrections:
            continue
        try:
            mask = read_correction(corrections[image.id], image, shard.class_names)
        except AepslError as error:
            problems += error.problems
            continue
        shown = {name for k, name in enumerate(shard.class_names, start=1) if (mask == k).any()}
        unlabelled += [f"{image.id} {name}" for name in sorted(shown - set(image.labels))]
    if problems:
        raise AepslError(problems, f"{path}: {len(problems)} problem(s) with corrected masks:")
    if unlabelled:
        what = "corrected masks show classes that the labels do not list, %d case(s): %s"
        log.warning(what, len(unlabelled), ", ".join(unlabelled[:3]))
    return corrections


def _corrected(
    record: Record, source: Source, image: ImageEntry, class_names: tuple[str, ...]
) -> Record:
    """Return the record of the corrected mask, or the given one if its mask is equal."""
    mask = read_correction(source, image, class_names)
    if np.array_equal(mask, record.arrays["mask"]):
        return record
    return Record({"mask": mask}, {"corrected": True})


@dataclass(frozen=True)
class _Assembly:
    """Combines what is known of an image: its regions or class maps, and its saliency."""

    manifest: ImageManifest
    root: Path
    regions: Store | None
    """With ``labels.method: regions``."""
    cams: Sequence[Store]
    """Of each step, with ``labels.method: blend``."""
    saliency: Store | None
    settings: Labels
    crf: RefineOptions | None
    """If the labels are refined."""
    corrections: Mapping[str, Source]
    """Masks corrected by hand, by image id."""

    def __call__(self, image: ImageEntry) -> Record:
        """Return the record of an image: its corrected mask, or the combined one."""
        record = self._assembled(image)
        if image.id not in self.corrections:
            return record
        return _corrected(record, self.corrections[image.id], image, self.manifest.class_names)

    def _assembled(self, image: ImageEntry) -> Record:
        classes = self.manifest.label_numbers(image)
        facts: dict[str, int] = {}
        said: NDArray[np.float32] | None = None
        shown = mask_values(classes)
        if self.regions is not None:
            label = self._from_regions(image, self.regions.array(image.id, "union").astype(bool))
            mask = label.mask
            facts = {
                "ignored_conflict": label.conflict,
                "ignored_low_saliency": label.low_saliency,
                "ignored_unclaimed": label.unclaimed,
            }
            if self.crf:
                certainty = self.settings.crf_certainty
                said = label_probabilities(mask, classes=classes, certainty=certainty)
        else:
            said = self._blended(image)
            mask = shown[said.argmax(axis=0)]
        if self.crf and classes and said is not None:  # without classes, all is background
            pixels = photograph(image, root=self.root)
            refined = refine(pixels, said, threshold=0.0, options=self.crf)
            mask = shown[with_lost_classes(refined, said.argmax(axis=0))]
        return Record({"mask": mask}, facts)

    def _from_regions(self, image: ImageEntry, regions: NDArray[np.bool_]) -> PseudoLabel:
        saliency, threshold = None, 0.0
        if self.saliency is not None and image.labels:  # where no class is shown, all is background
            saliency = self.saliency.array(image.id, "saliency")
            threshold = background_threshold(
                image.labels,
                default=self.settings.background_threshold,
                by_class=self.settings.class_thresholds,
            )
        return assemble_label(
            regions,
            saliency,
            classes=self.manifest.label_numbers(image),
            background_threshold=threshold,
        )

    def _blended(self, image: ImageEntry) -> NDArray[np.float32]:
        maps = [
            resample(
                scaled_to_max(store.array(image.id, "cam")),
                (image.height, image.width),
                source=Grid(*store.facts()["grid"]),
            )
            for store in self.cams
        ]
        saliency, weight = None, None
        if self.saliency is not None:
            saliency = self.saliency.array(image.id, "saliency")
            given = self.settings.saliency_weight
            weight = None if given == "auto" else given
        return blended_probabilities(
            np.mean(maps, axis=0),
            saliency,
            saliency_weight=weight,
            background_score=self.settings.background_score,
            class_peak=self.settings.class_peak,
            sharpness=self.settings.sharpness,
        )


def assemble_labels(
    config: Settings,
    dataset: DatasetFile,
    root: Root,
    regions: RegionStore,
    cams: CamStore,
    saliency: SaliencyStore,
    output: OutputShard,
    corrections: Corrections = None,
    shard: Shard = 0,
    shards: Shards = 1,
    threads: Processes = 1,
) -> None:
    """Combine mined regions and background into the pseudo-labels of the training images.

    Writes S_i = F_i union B_i for one shard, and the number of pixels that each rule ignores; or,
    from ``cams`` instead of ``regions``, the masks of class maps and saliency blended. Without
    ``saliency``, every pixel outside the regions is background. With ``labels.crf``, the CRF then
    refines the masks and ignores no pixel, whatever the rules counted. A mask in ``corrections``
    that differs replaces the pseudo-label and is recorded as corrected.

    Raises:
        AepslError: listing the corrected masks that cannot be used.
    """
    manifest = read_images(dataset, shard=shard, shards=shards)
    images = manifest.images
    settings = config.section("labels", Labels)
    sources = _checked(corrections, dataset, manifest) if corrections else {}
    assembly = _Assembly(
        manifest,
        root,
        Store(regions, kind="regions", all_shards=False) if regions else None,
        stores_by_step(cams, kind="cams", all_shards=False),
        Store(saliency, kind="saliency", all_shards=False) if saliency else None,
        settings,
        crf_options(config) if settings.crf else None,
        sources,
    )
    facts = {"class_names": list(manifest.class_names), "config": config.canonical()}
    corrected, shown, lost = 0, Counter[str](), Counter[str]()
    with writing_shard(output, kind="labels", facts=facts, shard=shard, shards=shards) as writer:
        # Without the CRF, an image takes less time than sending it to another process.
        records = parallel_map(
            assembly, images, threads=threads if settings.crf else 1, what="labels"
        )
        for image, record in zip(images, records, strict=True):
            corrected += "corrected" in record.facts
            numbers = lost_classes(record.arrays["mask"], classes=manifest.label_numbers(image))
            shown.update(image.labels)
            lost.update(manifest.class_names[number] for number in numbers)
            writer.add(image.id, record)
    for name, count in sorted(lost.items()):
        what = "%s: no pixel in the pseudo-labels of %d of the %d photographs that show it"
        log.warning(what, name, count, shown[name])
    if sources:
        log.info("%d of %d masks were corrected by hand", corrected, len(images))
