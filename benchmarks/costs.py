"""Cost per photograph and overhead per job of each stage.

    AEPSL_DATA=<folder of the data> python benchmarks/costs.py

Runs the chain on 10 and on 40 photographs of PASCAL VOC (VGG-16 as in the paper, crops of 321 px,
one epoch, one thread) and reads the seconds that Snakemake wrote down: the slope is an image's, the
rest a job's. The machine has to be quiet.
"""

import csv
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import torch
import yaml
from torch.utils.flop_counter import FlopCounterMode

from aepsl.config.presets import expanded
from aepsl.data.loading import Augmentation, TrainingImages
from aepsl.networks.models import Classifier, NetworkShape, SegmentationNetwork
from aepsl.networks.pretrained import CONVENTIONS
from aepsl.stores.manifests import read_images

ROOT = Path(__file__).parent.parent
FEW, MANY = 10, 40
STORES = ("saliency", "cams", "regions", "labels", "predictions", "crf")


def config(data, images):
    """Return the run of so many photographs, an eighth of each of five classes."""
    train = {"epochs": 1, "batch_size": 5, "crop": 321, "scale_min": 0.7, "scale_max": 1.3}
    small = expanded(yaml.safe_load((ROOT / "examples" / "voc-small.yaml").read_text()))
    small["run"] = f"costs-{images}"
    small["data"] |= {"root": str(data / "voc"), "limit_per_class": images // 5}
    small["data"] |= {"labels": "csv", "labels_csv": str(data / "voc" / "image_labels.csv")}
    weights = data / "weights" / "vgg16_imagenet_conv_caffe_bgr.npz"
    small["networks"] |= {"weights": str(weights), "weights_input": "caffe_bgr"}
    small["networks"] |= {"frozen_blocks": 0}
    small["mining"] |= {"steps": 1, "cam_scales": [1]}
    small["mining"]["train"] |= train
    small["segmentation"]["train"] |= train
    small["saliency"] = {"method": "robust_background"}
    small["prediction"] |= {"scales": [1]}
    small["runtime"] |= {"cache": None, "threads": 1, "processes": 1}
    for key in ("base", "variants", "ablations"):
        small.pop(key, None)
    return small


def run(folder, data, images):
    """Run it; return the seconds of each job, by its rule."""
    settings = config(data, images)
    (folder / "costs.yaml").write_text(yaml.safe_dump(settings))
    command = ("snakemake", "--cores", "1", "--configfile", "costs.yaml")
    subprocess.run([*command, "--quiet", "all"], cwd=folder, check=True)
    found = {}
    for path in (folder / "results" / settings["run"] / "benchmarks").rglob("*.tsv"):
        with path.open() as file:
            row = next(csv.DictReader(file, delimiter="\t"))
        name = path.relative_to(path.parents[len(path.parts) - path.parts.index("benchmarks") - 2])
        found[str(name.with_suffix(""))] = float(row["s"])
    return found


def sizes(folder, images):
    """Yield the bytes that a record takes in each store."""
    for store in STORES:
        files = list((folder / "results" / f"costs-{images}" / store).rglob("*.h5"))
        count = 0
        for file in files:
            with h5py.File(file) as shard:
                count += len(shard["records"])
        yield store, sum(file.stat().st_size for file in files) / max(count, 1)


def loading(folder, data):
    """Return the CPU milliseconds that one visit to a photograph takes before the network."""
    manifest = folder / "results" / f"costs-{MANY}" / "train_images" / "main" / "manifest.jsonl"
    dataset = read_images(manifest)
    view = Augmentation(
        scale=1, crop=321, scale_min=1, scale_max=1, flip=True, fill_value=dataset.mean_pixel
    )
    labels = dataset.label_matrix(dataset.images)
    images = TrainingImages(dataset.images, labels, root=data / "voc", augmentation=view, seed=0)
    started = time.process_time()
    for number in range(len(images)):
        images[0, number]
    return (time.process_time() - started) / len(images) * 1000


def flops():
    """Yield the operations of both networks for one crop of 321 px, forward."""
    shape = NetworkShape()
    for network in (Classifier, SegmentationNetwork):
        with torch.device("meta"):
            model = network(classes=20, shape=shape, convention=CONVENTIONS["torchvision"]).eval()
            crop = torch.zeros(1, 3, 321, 321)
        with FlopCounterMode(display=False) as counter:
            model(crop)
        yield network.__name__, counter.get_total_flops()


def main():
    """Measure."""
    if "AEPSL_DATA" not in os.environ:
        sys.exit(__doc__)
    data = Path(os.environ["AEPSL_DATA"]).resolve()
    with tempfile.TemporaryDirectory() as top:
        folder = Path(top)
        for name in ("Snakefile", "rules", "profiles", "config.yaml", "envs"):
            (folder / name).symlink_to(ROOT / name)
        few, many = (run(folder, data, images) for images in (FEW, MANY))
        print(f"{'job':44} {'ms an image':>16} {'s a job':>12}")
        for job in sorted(few.keys() & many):
            slope = (many[job] - few[job]) / (MANY - FEW)
            print(f"{job:44} {slope * 1000:16.1f} {few[job] - slope * FEW:12.1f}")
        print(f"{'loading, a visit':44} {loading(folder, data):16.1f}")
        for store, size in sizes(folder, MANY):
            print(f"{store:44} {size / 1000:12.1f} kB an image")
    for name, count in flops():
        print(f"{name:44} {count / 1e9:12.1f} GFLOP a crop of 321 px, forward")


if __name__ == "__main__":
    main()
