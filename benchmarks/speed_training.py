"""A training from the file of a photograph to the update of the weights, with the erased regions of
an earlier step.

The loop reads, checks, erases, scales, crops and mirrors each photograph, while the network
computes. The limit is forward pass, backward pass and SGD step of the same network on one fixed
batch in the same precision.
"""

from functools import partial

import numpy as np
import torch
from PIL import Image
from speed_inputs import dataset, settings
from speed_tools import Bench, Way, compare, timed

from aepsl.config.networks import Networks
from aepsl.mining.loss import LABEL_LOSSES
from aepsl.networks.models import Classifier
from aepsl.stages import train_classifier as stage
from aepsl.stages._networks import build_network
from aepsl.stores.records import Record, writing_shard
from aepsl.training.optimizers import OptimizerOptions, make_optimizer

VOC_SMALL = {"width": 1, "batch_norm": False, "dropout": 0.5, "frozen_blocks": 3}
VOC_SMALL |= {"fc6_dilation": 2}
VOC_SMALL_TRAIN = {"batch_size": 4, "crop": 161, "scale_min": 0.4, "scale_max": 0.6}
VOC_SMALL_TRAIN |= {"learning_rate": 1e-4}
SCENES_TRAIN = {"batch_size": 5, "crop": 161}
QUICK = {"crop": 65, "batch_size": 2}
IMAGES, EPOCHS = 40, 2


def write_regions(bench, images):
    """Write regions that cover a fifth of each photograph; return the manifest."""
    path = bench.folder / "regions.h5"
    with writing_shard(path, kind="regions", facts={}) as writer:
        for image in images.images:
            union = np.zeros((len(image.labels), image.height, image.width), np.uint8)
            union[:, image.height // 3 : 2 * image.height // 3, : 3 * image.width // 5] = 1
            arrays = {"region": union, "union": union}
            writer.add(image.id, Record(arrays, {"classes": images.label_numbers(image)}))
    return path.with_suffix(".json")


def _loop(made, regions, config, folder, threads):
    """Run the stage; return the seconds of its loop, without building and storing the network."""
    with timed(stage, "fit") as spent:
        stage.train_classifier(
            *(config, made.manifest, made.root, [regions], []),
            **{"step": 2, "output": folder / "model.safetensors", "curve": folder / "curve.csv"},
            **{"device": "cpu", "threads": threads, "workers": 0},
        )
    return spent[0]


def bare_step(model, *, batch: int, crop: int, classes: int, device=None):
    """Return a function that makes one step of a training on a fixed batch."""
    device = device or torch.device("cpu")
    model.to(device, memory_format=torch.channels_last).train()
    pixels = (torch.rand(batch, 3, crop, crop) * 255).to(device)
    labels = torch.eye(classes, device=device)[torch.arange(batch) % classes]
    optimizer = make_optimizer(
        model, model.new_layers(), OptimizerOptions("sgd", 1e-5, 10, 0.9, 5e-4)
    )

    def step(forward=model):
        loss = LABEL_LOSSES["squared"].loss(forward(pixels), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return step


def _limit(step, steps, threads):
    torch.set_num_threads(threads)
    for _ in range(steps):
        step()


def _ways(made, regions, config, bench, threads):
    """Return the loop and the limit, as they are for one number of threads."""
    train = config.section("mining.train", stage.ClassifierTraining)
    images = made.images()
    model, _ = build_network(
        Classifier,
        classes=len(images.class_names),
        networks=config.section("networks", Networks),
        head=str(config["mining.head"]),
    )
    classes = len(images.class_names)
    step = bare_step(model, batch=train.batch_size, crop=train.crop, classes=classes)
    steps = train.epochs * len(images.images) // train.batch_size
    plural = "thread" if threads == 1 else "threads"
    return [
        Way(
            f"the loop, {threads} {plural}",
            partial(_loop, made, regions, config, bench.folder, threads),
        ),
        Way(
            f"limit: the bare step, {threads} {plural}",
            partial(_limit, step, steps, threads),
            work=steps * train.batch_size,
        ),
    ]


def _scenes(bench):
    """Return a dataset of PNG images in the size of the scenes."""
    side = 65 if bench.quick else 161
    made = dataset(bench, bench.count(IMAGES), name="scenes", size=(side, side), classes=5)
    for path in (made.root / "JPEGImages").glob("*"):
        with Image.open(path) as image:
            assert image.size == (side, side)
    return made


def measure(bench: Bench):
    """Yield a table of each network."""
    less = QUICK if bench.quick else {}
    photographs = dataset(bench, bench.count(IMAGES))
    for title, made, networks, train in (
        ("VGG-16, crop 161, batches of 4, as voc-small", photographs, VOC_SMALL, VOC_SMALL_TRAIN),
        ("the network of the scenes, crop 161, batches of 5", _scenes(bench), {}, SCENES_TRAIN),
    ):
        narrow = {"width": bench.width} if bench.quick else {}
        epochs = 1 if bench.quick else EPOCHS
        changed = {"networks": {**networks, **narrow}}
        changed["mining"] = {"train": {**train, **less, "epochs": epochs}}
        given = settings("train_classifier", changed, step=2)
        regions = write_regions(bench, made.images())
        ways = [way for n in (1, 2) for way in _ways(made, regions, given, bench, n)]
        work = epochs * len(made.images().images)
        against = "limit: the bare step, 1 thread"
        yield compare(title, ways, bench=bench, work=work, against=against)
    torch.set_num_threads(1)
