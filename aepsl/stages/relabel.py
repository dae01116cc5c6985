"""Label the training images with the trained network: PSL++."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aepsl.config.sections import StageSettings
from aepsl.data.photographs import photograph
from aepsl.device import Compute, pick_device
from aepsl.mining.loss import LABEL_LOSSES
from aepsl.networks.layers import as_batch
from aepsl.networks.models import SegmentationNetwork
from aepsl.segmentation.crf import RefineOptions, refine
from aepsl.segmentation.inference import grid_scores, weighted_probabilities
from aepsl.stages._batches import in_batches
from aepsl.stages._crf import crf_options
from aepsl.stages._options import (
    DatasetFile,
    Device,
    LabelStore,
    Model,
    OutputShard,
    Root,
    Settings,
    Shard,
    Shards,
    Threads,
)
from aepsl.stores.atomic import digest_of
from aepsl.stores.manifests import ImageEntry, ImageManifest, read_images
from aepsl.stores.networks import load_network
from aepsl.stores.records import Record, Store, writing_shard


def _weights(by: str, scores: Tensor, labels: Tensor) -> Tensor:
    """Return the class weights v: the images' scores, their labels, or 1 for every class."""
    match by:
        case "scores":
            return scores
        case "labels":
            return labels
        case _:
            return torch.ones_like(labels)


@dataclass(frozen=True)
class _Relabelling:
    """Labels batches of images with the network."""

    network: SegmentationNetwork
    manifest: ImageManifest
    config: StageSettings
    device: torch.device
    crf: RefineOptions | None

    @torch.inference_mode()
    def __call__(
        self, images: list[ImageEntry], pixels: list[NDArray[np.uint8]]
    ) -> Callable[[], Iterator[Record]]:
        """Start the computation of a batch; return the function that returns its records."""
        config = self.config
        scores = grid_scores(
            self.network,
            as_batch(pixels, self.device),
            scales=config["prediction.scales"],
            flip=bool(config["prediction.flip"]),
            image_scores=LABEL_LOSSES[config["mining.loss"]].probabilities,
        )
        labels = torch.from_numpy(self.manifest.label_matrix(images)).to(self.device)
        probabilities = weighted_probabilities(
            scores.log_pixels,
            _weights(config["segmentation.relabel_by"], scores.image, labels),
            size=(images[0].height, images[0].width),
            grid=self.network.photograph_grid,
        )
        return partial(self._records, pixels, probabilities)

    def _records(self, pixels: list[NDArray[np.uint8]], probabilities: Tensor) -> Iterator[Record]:
        if self.crf is None:
            masks = probabilities.max(dim=1).indices.to(torch.uint8).cpu().numpy()
            yield from (Record({"mask": mask}) for mask in masks)
            return
        threshold = float(self.config["prediction.threshold"])
        for image, own in zip(pixels, probabilities.cpu().numpy(), strict=True):
            yield Record({"mask": refine(image, own, threshold=threshold, options=self.crf)})


def _source(learnt: Mapping[str, Any]) -> dict[str, str]:
    """Return the fact ``source: truth`` if all masks that the network learnt from are true ones."""
    return {"source": "truth"} if learnt.get("drawn_masks") == "all" else {}


def relabel(
    config: Settings,
    dataset: DatasetFile,
    root: Root,
    model: Model,
    corrected: LabelStore,
    output: OutputShard,
    shard: Shard = 0,
    shards: Shards = 1,
    device: Device = "auto",
    threads: Threads = 1,
) -> None:
    """Label the training images with the trained segmentation network, for PSL++.

    Writes the masks that ``model`` predicts for one shard, as a label store. Masks that were
    corrected by hand, in the store ``corrected``, are kept.

    Raises:
        AepslError: if ``relabel_crf`` is set, but pydensecrf is not installed.
    """
    crf = crf_options(config) if config["segmentation.relabel_crf"] else None
    compute = Compute(pick_device(device), threads)
    torch.set_num_threads(compute.threads)
    manifest = read_images(dataset, shard=shard, shards=shards)
    images = manifest.images
    network, learnt = load_network(SegmentationNetwork, model, device=compute.device)
    facts = {"class_names": list(manifest.class_names), "config": config.canonical()}
    facts |= {"model": digest_of(model)} | _source(learnt)
    earlier = Store(corrected, kind="labels", all_shards=False) if corrected else None
    kept = {
        image.id: record
        for image in images
        if earlier and (record := earlier[image.id]).facts.get("corrected")
    }
    records = in_batches(
        [image for image in images if image.id not in kept],
        read=partial(photograph, root=root),
        launch=_Relabelling(network, manifest, config, compute.device, crf),
        compute=compute,
        what="relabel",
    )
    with writing_shard(output, kind="labels", facts=facts, shard=shard, shards=shards) as writer:
        for image in images:
            writer.add(image.id, kept.get(image.id) or next(records))
