"""Inputs of the parts of ``speed.py``: indexed photographs, stored networks, settings."""

import csv
import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from PIL import Image
from speed_tools import Bench

from aepsl.config.data import VOC_CLASSES
from aepsl.config.presets import expanded
from aepsl.config.sections import StageSettings
from aepsl.networks.models import DEFAULT_CONVENTION, NetworkShape
from aepsl.networks.pretrained import CONVENTIONS
from aepsl.stages.index_images import index_images
from aepsl.stages.index_truth import index_truth
from aepsl.stages.start_mining import start_mining
from aepsl.stores.manifests import ImageManifest, TruthManifest, read_images, read_truth
from aepsl.stores.models import read_weights_file, save_model
from aepsl.stores.records import Record, writing_shard
from aepsl.workflow.plan import Plan
from aepsl.workflow.stages import ResultIndex

WEIGHTS = "weights/vgg16_imagenet_conv_caffe_bgr.npz"
MASKED = "SegmentationClass"


class Dataset(NamedTuple):
    """Indexed photographs with labels and true masks."""

    root: Path
    manifest: Path
    truth: Path
    no_regions: Path
    """The empty store that mining starts from."""

    def images(self) -> ImageManifest:
        return read_images(self.manifest)

    def masks(self) -> TruthManifest:
        return read_truth(self.truth)


def settings(stage: str, config: dict | None = None, **at) -> StageSettings:
    """Return what a stage is given under a configuration that changes the preset scenes."""
    variants = Plan(expanded({"base": "scenes", **(config or {})})).variants
    return StageSettings(json.loads(variants.settings(stage, "main", ResultIndex(**at))))


def _data_settings(classes: list[str]) -> StageSettings:
    data = {"adapter": "voc", "class_names": classes, "classes": None, "limit_per_class": None}
    data |= {"labels": "csv", "train_split": "train", "eval_split": "train"}
    data |= {"mask_folder": MASKED}
    named = {f"data.{key}": value for key, value in data.items()}
    return StageSettings(named | {"mining.loss": "squared"})


def smooth_noise(rng: np.random.Generator, height: int, width: int, cells: int) -> np.ndarray:
    """Return a (height, width) field of smooth bumps, about 0."""
    coarse = rng.standard_normal((cells, cells)).astype(np.float32)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def generated(rng: np.random.Generator, size: tuple[int, int], classes: int):
    """Return a generated photograph and its mask: one to three smooth objects on a ground."""
    height, width = size
    mask = np.zeros(size, np.uint8)
    for number in rng.choice(classes, size=min(classes, int(rng.integers(1, 4))), replace=False):
        mask[smooth_noise(rng, height, width, 4) > 0.9] = 1 + number
    if not mask.any():
        mask[height // 4 : height // 2, width // 4 : width // 2] = 1
    colours = rng.integers(30, 220, (classes + 1, 3))
    pixels = colours[mask] + 12 * smooth_noise(rng, height, width, width // 4)[..., None]
    return pixels.clip(0, 255).astype(np.uint8), mask


def _real(data: Path, size: tuple[int, int], count: int) -> dict[str, list[str]]:
    """Return the labels of the first photographs of one size, by id."""
    with (data / "voc" / "image_labels.csv").open(newline="") as file:
        labels = {row["image"]: row["labels"].split() for row in csv.DictReader(file)}
    found: dict[str, list[str]] = {}
    for path in sorted((data / "voc" / "JPEGImages").glob("*.jpg")):
        with Image.open(path) as image:
            if image.size == size[::-1] and path.stem in labels:
                found[path.stem] = labels[path.stem]
        if len(found) == count:
            break
    return found


def _generate(root: Path, count: int, size: tuple[int, int], names: list[str], suffix: str):
    """Write generated photographs and masks; return their labels."""
    rng, labels = np.random.default_rng(0), {}
    for number in range(count):
        name = f"{number:06d}"
        pixels, mask = generated(rng, size, len(names))
        Image.fromarray(pixels).save(root / "JPEGImages" / f"{name}{suffix}")
        Image.fromarray(mask).save(root / MASKED / f"{name}.png")
        labels[name] = [names[k - 1] for k in np.unique(mask) if k]
    return labels


def _folder_of(bench: Bench, name: str) -> Path:
    root = bench.folder / name
    shutil.rmtree(root, ignore_errors=True)
    for folder in ("JPEGImages", MASKED, "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True)
    return root


def dataset(
    bench: Bench,
    count: int,
    *,
    name: str = "photographs",
    size: tuple[int, int] | None = None,
    classes: int = len(VOC_CLASSES),
) -> Dataset:
    """Return indexed photographs: VOC's if there are any of this size, else generated ones."""
    root, size = _folder_of(bench, name), size or bench.size
    names = [*VOC_CLASSES, *(f"other{k}" for k in range(classes))][:classes]
    real = bench.data is not None and size == (375, 500)
    if real:
        labels = _real(bench.data, size, count)
        for image_id in labels:
            for folder, suffix in (("JPEGImages", ".jpg"), (MASKED, ".png")):
                file = f"{folder}/{image_id}{suffix}"
                (root / file).symlink_to(bench.data.resolve() / "voc" / file)
    else:
        labels = _generate(root, count, size, names, ".jpg")
    (root / "ImageSets/Segmentation/train.txt").write_text("".join(f"{n}\n" for n in labels))
    rows = (f"{image_id},{' '.join(shown)}\n" for image_id, shown in labels.items())
    (root / "labels.csv").write_text("image,labels\n" + "".join(rows))
    made = Dataset(
        root, *(root / f"{what}.json" for what in ("images", "truth", "start"))
    )  # manifests
    index(made, names)
    index_truth(_data_settings(names), made.manifest, root=root, output=made.truth)
    start_mining(made.no_regions)
    return made


def index(made: Dataset, names: list[str]) -> None:
    """Index the photographs, as the stage does."""
    where = {"root": made.root, "labels_csv": made.root / "labels.csv"}
    index_images(_data_settings(names), role="train", output=made.manifest, **where)


def network_file(bench: Bench, network, names, *, precision: str, spread: float = 0.01, **shape):
    """Write a network with ImageNet's convolutions, if there are any, and random last layers.

    Args:
        bench: the folder.
        network: its class.
        names: the classes.
        precision: that the file names.
        spread: standard deviation of the last layers' weights.
        shape: options of :class:`NetworkShape`.
    """
    torch.manual_seed(0)
    pretrained = bench.data is not None and not bench.quick
    convention = CONVENTIONS["caffe_bgr"] if pretrained else DEFAULT_CONVENTION
    options = NetworkShape(**{"width": bench.width, **shape})
    model = network(classes=len(names), shape=options, convention=convention)
    if pretrained:
        model.load(read_weights_file(bench.data / WEIGHTS), bgr=convention.bgr)
    last = [getattr(model, layer) for layer in ("classify", "segment") if hasattr(model, layer)]
    for layer in last:
        torch.nn.init.normal_(layer.weight, std=spread)
    facts = {"class_names": list(names), "shape": asdict(options), "precision": precision}
    facts |= {"input": convention._asdict(), "config": json.dumps({"mining.loss": "squared"})}
    path = bench.folder / f"{network.__name__}-{precision}.safetensors"
    save_model(path, model.state_dict(), facts)
    return path


def cell_maps(images: ImageManifest, *, stride: int = 8) -> dict[str, np.ndarray]:
    """Return smooth maps of each image's present classes on cells, float16, as CAMs are."""
    rng, found = np.random.default_rng(0), {}
    for image in images.images:
        height, width = -(-image.height // stride), -(-image.width // stride)
        fields = [smooth_noise(rng, height, width, 6) for _ in image.labels]
        found[image.id] = np.stack(fields).clip(0, None).astype(np.float16)
    return found


def cam_store(path: Path, images: ImageManifest, maps: dict[str, np.ndarray]) -> Path:
    """Write the store of the maps; return its manifest."""
    facts = {"grid": [8, 0], "class_names": list(images.class_names)}
    with writing_shard(path, kind="cams", facts=facts) as writer:
        for image in images.images:
            peaks = maps[image.id].max(axis=(1, 2)).astype(np.float32)
            about = {"classes": images.label_numbers(image), "maximum": peaks}
            writer.add(image.id, Record({"cam": maps[image.id]}, about))
    return path.with_suffix(".json")


def saliency_store(path: Path, images: ImageManifest) -> Path:
    """Write smooth saliency maps, float16; return the manifest of their store."""
    rng = np.random.default_rng(1)
    with writing_shard(path, kind="saliency", facts={}) as writer:
        for image in images.images:
            found = smooth_noise(rng, image.height, image.width, 6).clip(0, 1)
            writer.add(image.id, Record({"saliency": found.astype(np.float16)}))
    return path.with_suffix(".json")
