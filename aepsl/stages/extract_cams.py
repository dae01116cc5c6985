"""Class activation maps of each present class, on the image that the classifier was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from aepsl.console import tracked
from aepsl.data.images import read_image
from aepsl.mining.cam import class_activation_maps
from aepsl.networks.heads import Classifier
from aepsl.networks.vgg import STRIDE
from aepsl.sections import Slice
from aepsl.stages._networks import as_batch, restore
from aepsl.stages._training import Machine
from aepsl.stages.train_classifier import EraseMined
from aepsl.stores.atomic import digest_of
from aepsl.stores.dataset import read_manifest, shard_of
from aepsl.stores.records import Record, Store, writing_shard


def _scaled(image: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    if scale == 1:
        return image
    smooth = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return cv2.resize(image, None, fx=scale, fy=scale, interpolation=smooth).astype(np.uint8)


@torch.inference_mode()
def run(
    config: Slice,
    *,
    dataset: Path,
    model: Path,
    regions: Sequence[Path],
    step: int,
    output: Path,
    shard: int,
    shards: int,
    machine: Machine,
) -> None:
    """Write CAM(I_{i,t}, M_t, c) of one part of the training images, float16, at stride 8.

    Where the image is scaled first, the stride on the photograph is 8 over the scale.
    """
    scale = float(config["mining.cam_scale"])
    torch.set_num_threads(machine.threads)
    manifest = read_manifest(dataset)
    network, _ = restore(Classifier, model, device=machine.device)
    paint = EraseMined(Store(regions, kind="regions"), manifest.mean_pixel)
    images = shard_of(manifest.split("train"), shard=shard, shards=shards)
    store_facts = {
        "class_names": list(manifest.class_names),
        "model": digest_of(model),
        "step": step,
        "stride": STRIDE / scale,
        "config": config.canonical(),
    }
    with writing_shard(output, kind="cams", facts=store_facts) as writer:
        for image in tracked(images, total=len(images), what=f"CAM, step {step}"):
            pixels = _scaled(paint(image.id, read_image(Path(image.path))), scale)
            features = network.features(network.normalise(as_batch(pixels, machine.device)))
            maps = class_activation_maps(features, network.classify.weight)[0].cpu().numpy()
            classes = manifest.label_numbers(image)
            present = maps[classes].astype(np.float16)
            peaks = present.reshape(len(classes), -1).max(axis=1).astype(np.float32)
            record = Record({"cam": present}, {"classes": classes, "maximum": peaks})
            writer.add(image.id, record)
