"""Costs of a million photographs: index, planning, one shard of labels.

    python benchmarks/million_images.py [photographs] [folder, kept for another run]

The photographs are hard links to small ones, so the figures are those of the bookkeeping; a job on
one shard has records of 375 x 500 px. Peak memory is that of the largest process.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from aepsl.stores.manifests import read_images
from aepsl.stores.records import Record, writing_shard
from aepsl.workflow.plan import Plan
from aepsl.workflow.shards import shards_for
from aepsl.workflow.stages import SINGLE_RESULT

ROOT = Path(__file__).parent.parent
LINKS = 50_000
"""Names of one file; file systems allow 65,000 and fewer."""
CLASSES = ["cat", "dog"]
SIZE = (375, 500)
GB = 1e9


def measured(what, *command, folder, ends=(0,)):
    """Run a command; print its time and peak memory, and return what it printed."""
    started, before = time.monotonic(), os.times()
    with (folder / "said.txt").open("w+") as said:
        process = subprocess.Popen(
            list(map(str, command)), cwd=folder, stdout=said, stderr=subprocess.STDOUT
        )
        _, status, usage = os.wait4(process.pid, 0)
        text = (folder / "said.txt").read_text()
    seconds, after = time.monotonic() - started, os.times()
    cpu = sum(after[2:4]) - sum(before[2:4])
    assert os.waitstatus_to_exitcode(status) in ends, text[-3000:]
    peak = usage.ru_maxrss * 1024 / GB
    print(f"{what:40} {seconds:7.1f} s {cpu:7.1f} CPU-s {peak:6.2f} GB", flush=True)
    return text


def photographs(data, count):
    """Make a dataset of hard links to a few photographs."""
    images, lists = data / "JPEGImages", data / "ImageSets" / "Segmentation"
    for folder in (images, lists):
        folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    names = [f"{n:07d}" for n in range(count)]
    for number, name in enumerate(names):
        file = images / f"{name}.jpg"
        if number % LINKS == 0:
            Image.fromarray(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(file)
            first = file
        else:
            os.link(first, file)
    (lists / "train.txt").write_text("\n".join(names))
    (lists / "val.txt").write_text("\n".join(names[:10]))
    rows = (f"{name},{CLASSES[number % 2]}\n" for number, name in enumerate(names))
    (data / "labels.csv").write_text("image,labels\n" + "".join(rows))


def project(folder, count):
    """Make a checkout of the workflow and the dataset beside it."""
    for name in ("Snakefile", "rules", "profiles", "config.yaml"):
        (folder / name).symlink_to(ROOT / name)
    data = {"adapter": "voc", "root": "data", "class_names": CLASSES}
    data |= {"labels": "csv", "labels_csv": "data/labels.csv"}
    config = {"run": "million", "data": data, "runtime": {"cache": None}}
    (folder / "million.yaml").write_text(yaml.safe_dump(config))
    started = time.monotonic()
    photographs(folder / "data", count)
    print(f"{count:,} hard links made in {time.monotonic() - started:.0f} s", flush=True)


def one_shard(folder, manifest, shards):
    """Write the regions and the saliency of the first shard."""
    images = read_images(manifest, shard=0, shards=shards).images
    rng = np.random.default_rng(0)
    blobs = [np.kron(rng.integers(0, 2, (6, 8)), np.ones((63, 63)))[:375, :500] for _ in range(9)]
    facts = {"class_names": CLASSES}
    stores = {}
    for kind, name, dtype in (("regions", "union", "u1"), ("saliency", "saliency", "f2")):
        stores[kind] = folder / kind / "0.h5"
        where = {"shard": 0, "shards": shards}
        with writing_shard(stores[kind], kind=kind, facts=facts, **where) as writer:
            for number, image in enumerate(images):
                array = blobs[number % len(blobs)].astype(dtype)
                array = array[None] if kind == "regions" else array
                writer.add(image.id, Record({name: array}, {"classes": [number % 2]}))
    return stores, len(images)


def finished(folder, plan):
    """Make an empty file of each output of a plan, and tell Snakemake that they are its own."""
    for line in plan.splitlines():
        kind, _, names = line.strip().partition(": ")
        if kind == "output":
            for name in names.split(", "):
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.mkdir() if name.endswith("report") else path.touch()
    touch = (*SNAKEMAKE, "--cores", "1", "--touch", "--forceall")
    measured("all of it touched", *touch, folder=folder, ends=(0, 1))  # placeholder score files


SNAKEMAKE = ("snakemake", "--configfile", "million.yaml")
AEPSL = (sys.executable, "-m", "aepsl")


def main(count, folder):
    """Measure."""
    if not (folder / "data").exists():
        project(folder, count)
    shards = shards_for(count)
    run = folder / "results" / "million"
    shutil.rmtree(run, ignore_errors=True)
    plan = measured("dry run, the data never seen", *SNAKEMAKE, "-n", folder=folder)
    print("jobs:", re.search(r"^total +(\d+)", plan, re.M)[1])
    measured("dry run, the data known", *SNAKEMAKE, "-n", "--quiet", folder=folder)
    manifest = run / "train_images" / "main" / "manifest.jsonl"
    measured("index", *SNAKEMAKE, "--cores", "2", "--until", "index_images", folder=folder)
    assert manifest.is_file()
    print(f"manifest: {manifest.stat().st_size / GB:.2f} GB")
    stores, images = one_shard(folder / "shard", manifest, shards)
    labels = folder / "shard" / "labels" / "0.h5"
    settings = Plan({}).variants.settings("assemble_labels", "main", SINGLE_RESULT)
    measured(
        f"labels of one shard, {images:,} images",
        *(*AEPSL, "assemble-labels", "--config", settings),
        *("--dataset", manifest, "--root", folder / "data"),
        *("--regions", stores["regions"].with_suffix(".json"), "--cams", ""),
        *("--saliency", stores["saliency"].with_suffix(".json"), "--output", labels),
        *("--shard", 0, "--shards", shards, "--log", folder / "shard" / "log.txt"),
        folder=folder,
    )
    finished(folder, measured("dry run, indexed", *SNAKEMAKE, "-n", folder=folder))
    text = measured("no-op run", *SNAKEMAKE, "--cores", "2", folder=folder)
    assert "Nothing to be done" in text


if __name__ == "__main__":
    COUNT = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    if len(sys.argv) > 2:
        Path(sys.argv[2]).mkdir(parents=True, exist_ok=True)
        main(COUNT, Path(sys.argv[2]))
    else:
        with tempfile.TemporaryDirectory() as top:
            main(COUNT, Path(top))
