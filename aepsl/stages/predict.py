"""Predict masks with the segmentation network, at full resolution."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from torch import Tensor

from aepsl.config.sections import StageSettings
from aepsl.data.photographs import photograph
from aepsl.device import Compute, pick_device
from aepsl.networks.layers import as_batch
from aepsl.networks.models import SegmentationNetwork
from aepsl.segmentation.inference import grid_scores, predict_masks, upsample_probabilities
from aepsl.stages._batches import in_batches
from aepsl.stages._options import (
    DatasetFile,
    Device,
    Model,
    OutputShard,
    Root,
    SelectsRecords,
    Settings,
    Shard,
    Shards,
    Threads,
)
from aepsl.stores.atomic import digest_of
from aepsl.stores.manifests import ImageEntry, read_images
from aepsl.stores.networks import load_network
from aepsl.stores.records import Record
from aepsl.stores.reuse import write_records


@dataclass(frozen=True)
class _Prediction:
    """Predicts the masks of batches of images."""

    network: SegmentationNetwork
    config: StageSettings
    device: torch.device

    @torch.inference_mode()
    def __call__(
        self, images: list[ImageEntry], pixels: list[NDArray[np.uint8]]
    ) -> Callable[[], Iterator[Record]]:
        """Start the computation of a batch; return the function that returns its records."""
        config, grid = self.config, self.network.photograph_grid
        views = {"scales": config["prediction.scales"], "flip": bool(config["prediction.flip"])}
        cells = grid_scores(self.network, as_batch(pixels, self.device), **views).log_pixels.half()
        full = upsample_probabilities(cells.float(), pixels[0].shape[:2], grid=grid)
        masks = predict_masks(full, threshold=float(config["prediction.threshold"]))
        return partial(self._records, masks, cells)

    def _records(self, masks: Tensor, cells: Tensor) -> Iterator[Record]:
        facts = {"threshold": float(self.config["prediction.threshold"])}
        for mask, scores in zip(masks.cpu().numpy(), cells.cpu().numpy(), strict=True):
            arrays = {"mask": mask} | ({"scores": scores} if self.config["crf.enabled"] else {})
            yield Record(arrays, facts)


def _records(
    images: Sequence[ImageEntry], *, root: Path, launch: _Prediction, compute: Compute
) -> Iterator[Record]:
    yield from in_batches(
        images,
        read=partial(photograph, root=root),
        launch=launch,
        compute=compute,
        what="predict",
    )


def predict(
    config: Settings,
    dataset: DatasetFile,
    root: Root,
    model: Model,
    output: OutputShard,
    limit: Annotated[
        int | None,
        typer.Option(min=0, help="Number of images to predict, evenly spaced; default: all."),
        SelectsRecords(),
    ] = None,
    shard: Shard = 0,
    shards: Shards = 1,
    device: Device = "auto",
    threads: Threads = 1,
) -> None:
    """Predict the masks of a split with the segmentation network.

    Writes the masks of one shard and, if the CRF is enabled, the log-probabilities on cells.
    """
    compute = Compute(pick_device(device), threads)
    torch.set_num_threads(compute.threads)
    manifest = read_images(dataset, shard=shard, shards=shards)
    images = manifest.evenly_spaced(limit)
    network, _ = load_network(SegmentationNetwork, model, device=compute.device)
    facts = {
        "class_names": list(manifest.class_names),
        "model": digest_of(model),
        "grid": network.photograph_grid,
        "config": config.canonical(),
    }
    write_records(
        output,
        images,
        sources=[image.sha256 for image in images],
        make=partial(
            _records,
            root=root,
            launch=_Prediction(network, config, compute.device),
            compute=compute,
        ),
        kind="predictions",
        facts=facts,
        shard=shard,
        shards=shards,
    )
