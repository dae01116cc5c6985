"""Class activation maps of each present class, on the image that the classifier was trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from aepsl.console import tracked
from aepsl.data.images import read_image
from aepsl.mining.cam import class_activation_maps
from aepsl.networks.heads import Classifier
from aepsl.networks.vgg import STRIDE
from aepsl.stages._networks import as_batch, restore
from aepsl.stages._training import Machine
from aepsl.stages.train_classifier import EraseMined
from aepsl.stores.atomic import digest_of
from aepsl.stores.dataset import read_manifest, shard_of
from aepsl.stores.records import Record, Store, writing_shard


@torch.inference_mode()
def run(
    *,
    dataset: Path,
    model: Path,
    regions: Path,
    step: int,
    output: Path,
    shard: int,
    shards: int,
    machine: Machine,
) -> None:
    """Write CAM(I_{i,t}, M_t, c) of one part of the training images, float16, at stride 8."""
    torch.set_num_threads(machine.threads)
    manifest = read_manifest(dataset)
    network, _ = restore(Classifier, model, device=machine.device)
    paint = EraseMined(Store(regions, kind="regions"), manifest.mean_pixel)
    images = shard_of(manifest.split("train"), shard=shard, shards=shards)
    store_facts = {
        "class_names": list(manifest.class_names),
        "model": digest_of(model),
        "step": step,
        "stride": STRIDE,
    }
    with writing_shard(output, kind="cams", facts=store_facts) as writer:
        for image in tracked(images, total=len(images), what=f"CAM, step {step}"):
            pixels = paint(image.id, read_image(Path(image.path)))
            features = network.features(network.normalise(as_batch(pixels, machine.device)))
            maps = class_activation_maps(features, network.classify.weight)[0].cpu().numpy()
            classes = manifest.label_numbers(image)
            present = maps[classes].astype(np.float16)
            peaks = present.reshape(len(classes), -1).max(axis=1).astype(np.float32)
            record = Record({"cam": present}, {"classes": classes, "maximum": peaks})
            writer.add(image.id, record)
