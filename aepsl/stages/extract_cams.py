"""Class activation maps of each present class, on the erased images of the step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aepsl.config.mining import Mining
from aepsl.console import tracked
from aepsl.data.photographs import photograph
from aepsl.device import Compute, pick_device
from aepsl.mining.cam import class_activation_maps
from aepsl.mining.grid import ScaledCam, merge_cams
from aepsl.networks.layers import as_batch, mirror
from aepsl.networks.models import Classifier
from aepsl.stages._erasing import EraseMined
from aepsl.stages._options import (
    DatasetFile,
    Device,
    Model,
    OutputShard,
    RegionStore,
    Root,
    Settings,
    Shard,
    Shards,
    Step,
    Threads,
)
from aepsl.stores.atomic import digest_of
from aepsl.stores.manifests import read_images
from aepsl.stores.networks import load_network
from aepsl.stores.records import Record, Store, writing_shard


def _scaled(image: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    if scale == 1:
        return image
    smooth = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return cv2.resize(image, None, fx=scale, fy=scale, interpolation=smooth).astype(np.uint8)


def _maps(network: Classifier, images: Tensor, classes: Sequence[int]) -> NDArray[np.float32]:
    """Return the (classes, h, w) maps of a batch of one."""
    maps = class_activation_maps(network.features(images), network.classify.weight)
    return maps[0, list(classes)].float().cpu().numpy()


def _views(
    network: Classifier,
    image: NDArray[np.uint8],
    classes: Sequence[int],
    *,
    mining: Mining,
    device: torch.device,
) -> Iterator[ScaledCam]:
    """Yield the maps of each scale, each followed by the maps of the mirrored image."""
    for scale in mining.cam_scales:
        batch = as_batch(_scaled(image, scale), device)
        maps = _maps(network, batch, classes)
        stride = network.stride / scale
        yield ScaledCam(maps, stride)
        if mining.cam_flip:
            mirrored = _maps(network, mirror(batch, stride=network.stride), classes)
            yield ScaledCam(mirrored[..., ::-1][..., : maps.shape[2]], stride)


@torch.inference_mode()
def extract_cams(
    config: Settings,
    dataset: DatasetFile,
    root: Root,
    model: Model,
    regions: RegionStore,
    step: Step,
    output: OutputShard,
    shard: Shard = 0,
    shards: Shards = 1,
    device: Device = "auto",
    threads: Threads = 1,
) -> None:
    """Compute a class activation map of each present class with the classifier of one step.

    Writes CAM(I_{i,t}, M_t, c) of one shard of the training images as float16 on cells. The stored
    stride is in pixels of the photograph: the network's stride divided by the largest scale.
    """
    mining = config.section("mining", Mining)
    compute = Compute(pick_device(device), threads)
    torch.set_num_threads(compute.threads)
    manifest = read_images(dataset, shard=shard, shards=shards)
    network, _ = load_network(Classifier, model, device=compute.device)
    erase = EraseMined(Store(regions, kind="regions", all_shards=False), manifest.mean_pixel)
    images = manifest.images
    store_facts = {
        "class_names": list(manifest.class_names),
        "model": digest_of(model),
        "step": step,
        "stride": network.stride / max(mining.cam_scales),
        "config": config.canonical(),
    }
    with writing_shard(
        output, kind="cams", facts=store_facts, shard=shard, shards=shards
    ) as writer:
        for image in tracked(images, total=len(images), what=f"CAM, step {step}"):
            pixels = erase(image.id, photograph(image, root=root))
            classes = manifest.label_numbers(image)
            views = list(_views(network, pixels, classes, mining=mining, device=compute.device))
            normalise = len(views) > 1 and mining.cam_merge == "normalised_mean"
            merged = merge_cams(views, normalise_first=normalise)
            present = merged.maps.astype(np.float16)
            peaks = present.max(axis=(1, 2)).astype(np.float32)
            record = Record({"cam": present}, {"classes": classes, "maximum": peaks})
            writer.add(image.id, record)
