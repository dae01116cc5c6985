"""Check the photographs and labels of one split, and write its manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aepsl.config.data import Data
from aepsl.console import log, tracked
from aepsl.data import index
from aepsl.data.adapters import Role, open_dataset
from aepsl.errors import AepslError
from aepsl.stages._options import (
    NotInKey,
    Output,
    Processes,
    Reads,
    Root,
    SelectsRecords,
    Settings,
    parse_optional_path,
)
from aepsl.stores.cache import reusable
from aepsl.stores.manifests import ImageEntry, read_images, write_manifest

MAX_EARLIER_MANIFESTS = 3
"""Largest number of earlier manifests to read, newest first; bounds the time."""


def _indexed_before() -> dict[str, ImageEntry]:
    """Return the entries of photographs in earlier manifests, by SHA-256."""
    known: dict[str, ImageEntry] = {}
    for manifest in reusable()[:MAX_EARLIER_MANIFESTS]:
        try:
            known |= {image.sha256: image for image in read_images(manifest).images}
        except (AepslError, OSError) as error:
            log.warning("Not reused from the cache: %s", error)
    return known


def index_images(
    config: Annotated[Settings, SelectsRecords()],
    role: Annotated[Role, typer.Option(help="Role of the split: train or eval."), SelectsRecords()],
    root: Root,
    output: Output,
    scenes: Annotated[
        Path | None,
        typer.Option(
            parser=parse_optional_path, help="Digest file of the scenes, if they are generated."
        ),
        Reads(per_image=True),
    ] = None,
    labels_csv: Annotated[
        Path | None, typer.Option(help="CSV of image labels, if the dataset has one."), NotInKey()
    ] = None,
    threads: Processes = 1,
) -> None:
    """Check photographs and labels of the training or evaluation split, and list them.

    Raises:
        AepslError: listing all problems of the split.
    """
    dataset = open_dataset(config.section("data", Data), root=root, labels_csv=labels_csv)
    split = dataset.split(role)
    manifest = index.index_images(
        dataset,
        role=role,
        background_allowed=role == "train" and config["mining.loss"] == "sigmoid",
        threads=threads,
        earlier=_indexed_before(),
        progress=lambda reads, total: tracked(reads, total=total, what=f"index {split}"),
    )
    log.info("%s: %d images", split, len(manifest.images))
    write_manifest(output, manifest)
