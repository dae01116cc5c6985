"""Class activation maps from the file of a photograph to the store: VGG-16 LargeFOV, 375 x 500 px,
20 classes, one scale.

The stage includes loading the network and writing a checked store. The peers' way is that of
published code: one image at a time in float32, decoded by PIL, one file of full-resolution float32
maps per image. The two libraries return the maps of the present classes of the same network and
write nothing. The limit is the network alone on ready tensors.
"""

from collections import OrderedDict
from functools import partial

import numpy as np
import torch
from PIL import Image
from speed_inputs import dataset, network_file, settings
from speed_tools import Bench, Way, compare, optional

from aepsl.networks.layers import as_batch
from aepsl.networks.models import Classifier
from aepsl.stages.extract_cams import extract_cams
from aepsl.stores.networks import load_network

CPU = torch.device("cpu")
IMAGES = 16
SLOW_IMAGES = 4
"""Images of the way that takes a backward pass for each class."""


def _pixels(made, image):
    with Image.open(made.root / image.path) as file:
        return np.asarray(file.convert("RGB"))


def _stage(made, model, config, output):
    extract_cams(
        *(config, made.manifest, made.root, model, [made.no_regions]),
        **{"step": 1, "output": output, "device": "cpu", "threads": 1},
    )


@torch.inference_mode()
def _peers(made, network, folder):
    """One image at a time; the maps of the present classes at full resolution, one file each."""
    images = made.images()
    for image in images.images:
        pixels = as_batch([_pixels(made, image)], CPU)
        features = network.features(pixels)
        weight = network.classify.weight[images.label_numbers(image)][:, :, None, None]
        maps = torch.relu(torch.nn.functional.conv2d(features, weight))
        size = (image.height, image.width)
        full = torch.nn.functional.interpolate(
            maps, size, mode="bilinear", align_corners=False
        ).numpy()
        np.save(folder / f"{image.id}.npy", full[0])


def chain(network):
    """Return the same layers in the form that the libraries read: pooling, one linear layer."""
    parts = {name: getattr(network, name) for name in ("normalise", "backbone", "head")}
    parts |= {"pool": torch.nn.AdaptiveAvgPool2d(1), "flatten": torch.nn.Flatten()}
    return torch.nn.Sequential(OrderedDict(parts | {"classify": network.classify})).eval()


def _torchcam(made, network):
    from torchcam.methods import CAM  # noqa: PLC0415

    def run():
        images = made.images()
        with CAM(layers, target_layer="head", fc_layer="classify") as extractor:
            for image in images.images:
                with torch.no_grad():
                    scores = layers(as_batch([_pixels(made, image)], CPU))
                for number in images.label_numbers(image):
                    extractor(number, scores, normalized=False)

    layers = chain(network)
    return run


def _grad_cam(made, network):
    from pytorch_grad_cam import GradCAM  # noqa: PLC0415
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget  # noqa: PLC0415

    def run():
        images = made.images()
        with GradCAM(model=layers, target_layers=[layers.head]) as extractor:
            for image in images.images[:SLOW_IMAGES]:
                pixels = as_batch([_pixels(made, image)], CPU)
                for number in images.label_numbers(image):
                    extractor(input_tensor=pixels, targets=[ClassifierOutputTarget(number)])

    layers = chain(network)
    return run


@torch.inference_mode()
def _limit(network, tensors):
    for tensor in tensors:
        network.features(tensor)


def measure(bench: Bench):
    """Yield the table."""
    made = dataset(bench, bench.count(IMAGES))
    images = made.images()
    config = settings("extract_cams", {"mining": {"cam_scales": [1]}}, step=1)
    models = {
        precision: network_file(bench, Classifier, images.class_names, precision=precision)
        for precision in ("auto", "float32")
    }
    auto, full = (load_network(Classifier, models[p], device=CPU)[0] for p in models)
    tensors = [as_batch([_pixels(made, image)], CPU) for image in images.images]
    out = bench.folder / "cams.h5"
    ways = [
        Way("the stage", partial(_stage, made, models["auto"], config, out)),
        Way("the stage, float32", partial(_stage, made, models["float32"], config, out)),
        Way("as peers do, float32", partial(_peers, made, full, bench.folder)),
        optional("torchcam CAM", "torchcam", partial(_torchcam, made, full)),
        optional(
            "grad-cam GradCAM",
            "pytorch_grad_cam",
            partial(_grad_cam, made, full),
            work=min(SLOW_IMAGES, len(tensors)),
        ),
        Way("limit: the bare network", partial(_limit, auto, tensors)),
        Way("limit, float32", partial(_limit, full, tensors)),
    ]
    yield compare("CAMs", ways, bench=bench, work=len(tensors), against="the stage")
