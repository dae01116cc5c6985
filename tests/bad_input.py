"""Cases of invalid input, each with the command that reads it.

A case spoils one thing in a small dataset or in the artefacts of a small run, names the command,
and says what the message must hold. `make bad-input` writes docs/bad-input.md.
"""

import atexit
import json
import os
import pickle
import shutil
import struct
import textwrap
import zlib
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import dry_run
import numpy as np
import torch
from conftest import ROOT, VocFolder, new_project, settings_of
from in_process import Result, aepsl
from PIL import Image

from aepsl.config.networks import Networks
from aepsl.networks.models import Classifier
from aepsl.stages._networks import build_network
from aepsl.stores.atomic import write_manifest_json
from aepsl.stores.jsonl import read_jsonl, write_jsonl
from aepsl.stores.models import save_model
from aepsl.stores.records import Record, write_empty, writing_shard

DOCUMENT = ROOT / "docs" / "bad-input.md"

NETWORK = {"width": 0.0625, "weights": "random", "fc6_dilation": 1}
TRAIN = {"epochs": 1, "batch_size": 2, "crop": 33}


def png_header(width, height):
    """Return the beginning of a PNG that claims to be of this size."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    return (
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
        + struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    )  # fmt: skip


class Payload:
    """A pickle that would leave a file behind."""

    def __reduce__(self):
        return (os.system, ("touch a-pickle-was-run",))


class Sample:
    """A folder with a small dataset, its manifests, a store, a model: all of it sound."""

    def __init__(self, folder):
        self.folder = folder
        self.data = VocFolder(folder / "photographs", make=False)

    @staticmethod
    def make(folder):
        """Make a valid sample."""
        data = VocFolder(folder / "photographs")
        data.index(folder / "train.json")
        data.index_truth(folder / "train.json", folder / "truth.json")
        for kind in ("labels", "predictions"):
            with writing_shard(folder / kind / "0.h5", kind=kind, facts={"grid": [8, 0]}) as writer:
                for image_id in "ab":
                    writer.add(image_id, Record({"mask": np.zeros((40, 48), np.uint8)}))
        write_empty(folder / "regions" / "0.json", kind="regions")
        settings = Networks(**NETWORK)
        model, facts = build_network(
            Classifier, classes=2, networks=settings, head="none", weights=None
        )
        facts["class_names"] = ["cat", "dog"]
        save_model(folder / "model.safetensors", model.state_dict(), facts)
        (folder / "results").mkdir()
        (folder / "results" / "earlier.txt").write_text("what was there")

    def path(self, name):
        """Return a file of the sample."""
        return self.folder / name


def snakemake(folder, *arguments):
    """Run Snakemake on a new project; return its exit status and output."""
    status, text = dry_run.run(new_project(folder), "--cores", "1", *arguments)
    return Result(status, "", text)


def index(role="train", **more):
    """Return the command that indexes a split."""
    settings = VocFolder.SETTINGS
    config = json.dumps(settings | {"data.labels": "csv"} | more)
    labels = () if more.get("data.labels") == "xml" else ("--labels-csv", "photographs/labels.csv")
    where = ("--role", role, "--root", "photographs", *labels, "--output", "results/new.json")
    return ("index-images", "--config", config, *where)


def truth():
    """Return the command that indexes masks."""
    where = ("--dataset", "train.json", "--root", "photographs", "--output", "results/new.json")
    return ("index-truth", "--config", json.dumps(VocFolder.SETTINGS), *where)


def corrected(name="fixed"):
    """Return the command that assembles labels with corrected masks."""
    where = ("--dataset", "train.json", "--root", "photographs", "--regions", "regions/0.json")
    write = ("--cams", "", "--saliency", "", "--corrections", name, "--output", "results/0.h5")
    config = settings_of("assemble_labels", {"saliency": {"method": "none"}})
    return ("assemble-labels", "--config", json.dumps(config), *where, *write)


def correction(name="a.png", size=(48, 40), mode="L", value=0):
    """Return a function that writes a corrected mask."""

    def write(sample):
        sample.path("fixed").mkdir()
        Image.new(mode, size, value).save(sample.path("fixed") / name)

    return write


def score(**more):
    """Return the command that scores the labels."""
    options = {"truth": "truth.json", "store": "labels/0.json", "target": "labels"} | more
    named = [word for name, value in options.items() for word in (f"--{name}", value)]
    about = ("--variant", "main", "--seed", "0", "--root", "photographs")
    config = json.dumps(settings_of("score", target="labels"))
    return ("score", "--config", config, *named, *about, "--output", "results/new.json")


def predict(*more):
    """Return the command that predicts."""
    config = settings_of("predict", {"crf": {"enabled": False}})
    where = ("--dataset", "train.json", "--root", "photographs", "--model", "model.safetensors")
    return ("predict", "--config", json.dumps(config), *where, "--output", "results/0.h5", *more)


def train(*more, networks=None, **settings):
    """Return the command that trains a classifier."""
    mining = {"head": "largefov", "train": TRAIN}
    config = settings_of("train_classifier", {"mining": mining, "networks": NETWORK}, step=1)
    config["networks"] |= networks or {}
    config["mining.train"] |= settings
    where = ("--dataset", "train.json", "--root", "photographs", "--regions", "regions/0.json")
    write = (
        "--saliency",
        "",
        "--step",
        "1",
        "--output",
        "results/model.safetensors",
        "--curve",
        "results/c.csv",
    )
    return ("train-classifier", "--config", json.dumps(config), *where, *write, *more)


def saliency(source, **more):
    """Return the command that takes saliency from somewhere."""
    where = ("--dataset", "train.json", "--root", "photographs", "--source", source)
    config = json.dumps({"saliency.method": "precomputed"} | more)
    return ("detect-saliency", "--config", config, *where, "--output", "results/0.h5")


def detector(source, **settings):
    """Return the command that runs a salient object detector."""
    saliency_ = {"method": "network", "network": {"file": source, "size": 8}}
    config = settings_of("detect_saliency", {"saliency": saliency_})
    config["saliency.network"] |= settings
    return saliency(source, **config)


def cut(path):
    """Leave half of a file."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path):
    """Change a bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def animate(path):
    """Write an animation."""
    frames = [Image.new("RGB", (48, 40), colour) for colour in ("red", "blue")]
    frames[0].save(path, save_all=True, append_images=frames[1:])


def swelling():
    """Return an annotation whose entities, each twenty of the one before, would fill the memory."""
    entities = ['<!ENTITY c0 "' + "x" * 1000 + '">']
    entities += [f'<!ENTITY c{n} "{f"&c{n - 1};" * 20}">' for n in range(1, 8)]
    return f"<!DOCTYPE a [{''.join(entities)}]><annotation><object>&c7;</object></annotation>"


def xml(sample, text):
    """Give image a this annotation, b a sound one."""
    folder = sample.data.root / "Annotations"
    folder.mkdir()
    sound = "<annotation><object><name>cat</name></object></annotation>"
    (folder / "a.xml").write_text(text)
    (folder / "b.xml").write_text(sound)


def nothing(sample):
    """Spoil nothing: the command line is what is wrong."""


def pickled_weights(sample):
    """Write a .pth whose pickle runs a command."""
    torch.save({"w": Payload()}, sample.path("w.pth"))


def pickled_arrays(sample):
    """Write a .npz whose array is a pickle that runs a command."""
    np.savez(sample.path("w.npz"), w=np.array([Payload()], dtype=object))


def weights(sample, **tensors):
    """Write a .npz of weights."""
    np.savez(sample.path("w.npz"), **tensors)


IMAGES = {
    "a truncated photograph": (
        lambda p: cut(p.data.image("a")),
        index(),
        "a.png: the image is broken",
    ),
    "an empty photograph": (
        lambda p: p.data.image("a").write_bytes(b""),
        index(),
        "a.png: the file is empty",
    ),
    "a web page named .png": (
        lambda p: p.data.image("a").write_text("<html>"),
        index(),
        "a.png: not a readable image format",
    ),
    "a PNG that claims 60,000 x 60,000 pixels": (
        lambda p: p.data.image("a").write_bytes(png_header(60_000, 60_000)),
        index(),
        "a.png: the image is broken",
    ),
    "an animation": (
        lambda p: animate(p.data.image("a")),
        index(),
        "a.png: an animation of 2 frames",
    ),
    "a folder instead of a photograph": (
        lambda p: (p.data.image("a").unlink(), p.data.image("a").mkdir()),
        index(),
        "a.png: is a folder, not a file",
    ),
    "a named pipe instead of a photograph": (
        lambda p: (p.data.image("a").unlink(), os.mkfifo(p.data.image("a"))),
        index(),
        "a.png: is a named pipe, not a file",
    ),
    "a device instead of a photograph": (
        lambda p: (p.data.image("a").unlink(), p.data.image("a").symlink_to("/dev/zero")),
        index(),
        "a.png: is a device, not a file",
    ),
    "a broken link": (
        lambda p: (p.data.image("a").unlink(), p.data.image("a").symlink_to("nowhere")),
        index(),
        "a.png: the image does not exist",
    ),
    "a photograph in an unsupported format": (
        lambda p: p.data.image("a").rename(p.data.root / "JPEGImages" / "a.heic"),
        index(),
        "image a: the image does not exist",
    ),
    "no JPEGImages": (
        lambda p: (p.data.root / "JPEGImages").rename(p.folder / "x"),
        index(),
        "photographs: there is no folder JPEGImages in it",
    ),
    "no dataset": (
        lambda p: p.data.root.rename(p.folder / "x"),
        index(),
        "photographs: no such folder",
    ),
}

LABELS = {
    "an id with a line break": (
        lambda p: p.data.write_labels([("a", "cat"), ('"b\n../x"', "cat")]),
        index(),
        "labels.csv:4: image b\\n../x does not exist",
    ),
    "no label file": (
        lambda p: p.data.labels.unlink(),
        index(),
        "labels.csv: the file does not exist",
    ),
    "a label file without a header": (
        lambda p: p.data.labels.write_text("a,cat\n"),
        index(),
        "labels.csv: no columns image, labels",
    ),
    "an empty label file": (
        lambda p: p.data.labels.write_text(""),
        index(),
        "labels.csv: no columns image, labels",
    ),
    "a label file in another encoding": (
        lambda p: p.data.labels.write_bytes("image,labels\na,Kätzchen\n".encode("latin-1")),
        index(),
        "labels.csv: not UTF-8",
    ),
    "a spreadsheet instead of a label file": (
        lambda p: p.data.labels.write_bytes(b"PK\x03\x04\x00\xff\xfe"),
        index(),
        "labels.csv: not UTF-8",
    ),
    "an open quotation mark": (
        lambda p: p.data.labels.write_text('image,labels\na,"cat\nb,cat\n'),
        index(),
        "labels.csv:2: not CSV",
    ),
    "a named pipe instead of a label file": (
        lambda p: (p.data.labels.unlink(), os.mkfifo(p.data.labels)),
        index(),
        "labels.csv: is a named pipe, not a file",
    ),
    "an unknown label": (
        lambda p: p.data.write_labels([("a", "cta"), ("b", "cat"), ("c", "cat")]),
        index(),
        "image a: unknown label 'cta'",
    ),
    "an image without labels": (
        lambda p: p.data.write_labels([("a", ""), ("b", "cat"), ("c", "cat")]),
        index(),
        "image a: has no labels",
    ),
    "an image without a row": (
        lambda p: p.data.write_labels([("b", "cat"), ("c", "cat")]),
        index(),
        "image a: has no labels",
    ),
    "two rows of one image": (
        lambda p: p.data.write_labels([("a", "cat"), ("a", "dog"), ("b", "cat")]),
        index(),
        "labels.csv:3: a has two rows",
    ),
    "a row of a missing image": (
        lambda p: p.data.write_labels([("a", "cat"), ("b", "cat"), ("z", "cat")]),
        index(),
        "labels.csv:4: image z does not exist",
    ),
    "an annotation that is not XML": (
        lambda p: xml(p, "<annotation>"),
        index(**{"data.labels": "xml"}),
        "a.xml: not XML",
    ),
    "an annotation that expands to gigabytes": (
        lambda p: xml(p, swelling()),
        index(**{"data.labels": "xml"}),
        "a.xml: not XML",
    ),
    "an annotation that reads another file": (
        lambda p: xml(
            p,
            '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>'
            "<annotation><object><name>&b;</name></object></annotation>",
        ),
        index(**{"data.labels": "xml"}),
        "a.xml: not XML",
    ),
    "a named pipe instead of an annotation": (
        lambda p: (xml(p, ""), (f := p.data.root / "Annotations/a.xml").unlink(), os.mkfifo(f)),
        index(**{"data.labels": "xml"}),
        "a.xml: is a named pipe, not a file",
    ),
    "classes that no image shows": (
        nothing,
        index(**{"data.classes": ["dog"]}),
        "no image of train shows any of the classes",
    ),
}

SPLITS = {
    "no split": (
        lambda p: (p.data.root / "ImageSets/Segmentation/train.txt").unlink(),
        index(),
        "train.txt: the file does not exist",
    ),
    "a named pipe instead of a split": (
        lambda p: ((f := p.data.root / "ImageSets/Segmentation/train.txt").unlink(), os.mkfifo(f)),
        index(),
        "train.txt: is a named pipe, not a file",
    ),
    "an empty split": (
        lambda p: p.data.write_split("train", []),
        index(),
        "train.txt: the split is empty",
    ),
    "an image listed twice": (
        lambda p: p.data.write_split("train", ["a", "b", "a"]),
        index(),
        "a: listed twice",
    ),
    "a missing image": (
        lambda p: p.data.write_split("train", ["a", "nowhere"]),
        index(),
        "image nowhere: ",
    ),
    "an id that leads out of the folder": (
        lambda p: p.data.write_split("train", ["../../etc/passwd"]),
        index(),
        "../../etc/passwd: an id that is a path",
    ),
    "an id that is an absolute path": (
        lambda p: p.data.write_split("train", ["/etc/passwd"]),
        index(),
        "/etc/passwd: an id that is a path",
    ),
    "an id of 5,000 characters": (
        lambda p: p.data.write_split("train", ["a" * 5000]),
        index(),
        "aaaa: an id that is not a valid file name",
    ),
    "an id with a zero byte": (
        lambda p: p.data.write_split("train", ["a", "b\0"]),
        index(),
        "b\\x00: an id that is not a valid file name",
    ),
    "a split in another encoding": (
        lambda p: (p.data.root / "ImageSets/Segmentation/train.txt").write_bytes(b"\xff\xfea\x00"),
        index(),
        "train.txt: not UTF-8",
    ),
}

MASKS = {
    "a mask with another size": (
        lambda p: Image.new("L", (7, 5)).save(p.data.mask("a")),
        truth(),
        "a.png: the mask is 7x5 pixels, its image 48x40",
    ),
    "a folder instead of a mask": (
        lambda p: (p.data.mask("a").unlink(), p.data.mask("a").mkdir()),
        truth(),
        "a.png: is a folder, not a file",
    ),
    "a named pipe instead of a mask": (
        lambda p: (p.data.mask("a").unlink(), os.mkfifo(p.data.mask("a"))),
        truth(),
        "a.png: is a named pipe, not a file",
    ),
    "a mask in RGB": (
        lambda p: Image.new("RGB", (48, 40)).save(p.data.mask("a")),
        truth(),
        "a.png: the mask has mode RGB",
    ),
    "a broken mask": (
        lambda p: cut(p.data.mask("a")),
        truth(),
        "a.png: not a readable image format",
    ),
    "a mask with a value that is not a class": (
        lambda p: Image.new("L", (48, 40), 9).save(p.data.mask("a")),
        truth(),
        "a.png: contains the value 9, but there are 2 classes",
    ),
    "a 16-bit mask": (
        lambda p: Image.fromarray(np.zeros((40, 48), np.uint16)).save(p.data.mask("a")),
        truth(),
        "a.png: the mask has mode I;16",
    ),
}

CORRECTIONS = {
    "a corrected mask of another size": (
        correction(size=(7, 5)),
        corrected(),
        "fixed/a.png: the mask is 7x5 pixels, its image 48x40",
    ),
    "a corrected mask of no photograph": (
        correction(name="aa.png"),
        corrected(),
        "fixed/aa.png: no training photograph has this name",
    ),
    "a corrected mask with a value that is not a class": (
        correction(value=9),
        corrected(),
        "fixed/a.png: contains the value 9, which is no class's",
    ),
    "a corrected mask with a colour that is not a class": (
        correction(mode="RGB", value=(1, 2, 3)),
        corrected(),
        "fixed/a.png: contains the colour (1, 2, 3), which is no class's",
    ),
    "a corrected mask in 16 bits": (
        correction(mode="I;16"),
        corrected(),
        "fixed/a.png: the mask has mode I;16",
    ),
    "a folder without corrected masks": (
        lambda p: p.path("fixed").mkdir(),
        corrected(),
        "fixed: there is no corrected mask in it",
    ),
    "a packed archive of corrected masks": (
        lambda p: p.path("fixed.zip").touch(),
        corrected("fixed.zip"),
        "fixed.zip: is an archive",
    ),
}

STORES = {
    "a missing store": (
        lambda p: p.path("labels/0.json").unlink(),
        score(),
        "labels/0.json: the file does not exist",
    ),
    "a truncated manifest": (
        lambda p: cut(p.path("labels/0.json")),
        score(),
        "labels/0.json: not JSON",
    ),
    "a flipped bit in a manifest": (
        lambda p: p.path("labels/0.json").write_text(
            p.path("labels/0.json").read_text().replace('"a"', '"z"')
        ),
        score(),
        "labels/0.json: was modified after it was written",
    ),
    "a flipped bit in a shard": (
        lambda p: flip(p.path("labels/0.h5")),
        score(),
        "labels/0.h5: was modified after it was",
    ),
    "a missing shard": (
        lambda p: p.path("labels/0.h5").unlink(),
        score(),
        "labels/0.h5: the shard does not exist",
    ),
    "a shard that is not HDF5": (
        lambda p: p.path("labels/0.h5").write_text("x"),
        score(),
        "labels/0.h5: was modified",
    ),
    "a store of another kind": (
        nothing,
        score(store="predictions/0.json"),
        "predictions/0.json: not a store of labels",
    ),
    "a store of an earlier version": (
        lambda p: write_manifest_json(p.path("labels/0.json"), {"schema": 1, "kind": "labels"}),
        score(),
        "labels/0.json: the store has layout 1, but this version reads 2",
    ),
    "a store with a missing shard": (
        lambda p: part_of_two(p.path("labels/0.h5")),
        score(),
        "labels: has shards [0] of 2",
    ),
    "a store that lacks an image": (
        lambda p: part_of_two(p.path("labels/0.h5"), shards=1),
        score(),
        "labels: has no record of image b",
    ),
    "an edited manifest of a dataset": (
        lambda p: p.path("truth.json").write_text(
            p.path("truth.json").read_text().replace("train", "val")
        ),
        score(),
        "truth.json: was modified after it was written",
    ),
    "a manifest of images instead of masks": (
        nothing,
        score(truth="train.json"),
        "train.json: not a TruthManifest of this version",
    ),
    "a mask that changed after it was indexed": (
        lambda p: Image.new("L", (7, 5)).save(p.data.mask("a")),
        score(),
        "a.png: was modified after it was indexed",
    ),
    "a photograph that was replaced after it was indexed": (
        lambda p: Image.new("RGB", (48, 40)).save(p.data.image("a")),
        train(),
        "a.png: was modified after it was indexed",
    ),
    "a manifest with a valid digest and invalid content": (
        lambda p: write_jsonl(p.path("train.json"), read_jsonl(p.path("train.json"))[0], [b"{}"]),
        train(),
        "train.json: not a manifest of this version (id: Field required)",
    ),
    "a photograph that was deleted after it was indexed": (
        lambda p: p.data.image("a").unlink(),
        train(),
        "a.png: the image does not exist",
    ),
}


def part_of_two(path, shards=2):
    """Write a store that lacks image b."""
    with writing_shard(path, kind="labels", facts={}, shards=shards) as writer:
        writer.add("a", Record({"mask": np.zeros((40, 48), np.uint8)}))


MODELS = {
    "a missing model": (
        lambda p: p.path("model.safetensors").unlink(),
        predict(),
        "model.safetensors: the file does not exist",
    ),
    "a model of another kind": (
        lambda p: p.path("model.safetensors").write_bytes(b"PK"),
        predict(),
        "model.safetensors: not a model of this package",
    ),
    "a pickle instead of a model": (
        lambda p: p.path("model.safetensors").write_bytes(pickle.dumps(Payload())),
        predict(),
        "model.safetensors: not a model of this package",
    ),
    "a flipped bit in a model": (
        lambda p: flip(p.path("model.safetensors")),
        predict(),
        "model.safetensors: not a model of this package",
    ),
    "a classifier instead of a segmentation network": (
        nothing,
        predict(),
        "model.safetensors: not a SegmentationNetwork",
    ),
    "weights that run a command when unpickled": (
        pickled_weights,
        train("--weights", "w.pth", networks={"weights": "x.pth"}),
        "w.pth: refused by the safe loader",
    ),
    "arrays that run a command when unpickled": (
        pickled_arrays,
        train("--weights", "w.npz", networks={"weights": "x.npz"}),
        "w.npz: not weights",
    ),
    "missing weights": (
        nothing,
        train("--weights", "w.npz", networks={"weights": "x.npz"}),
        "w.npz: the weights file does not exist",
    ),
    "a named pipe instead of weights": (
        lambda p: os.mkfifo(p.path("w.npz")),
        train("--weights", "w.npz", networks={"weights": "x.npz"}),
        "w.npz: is a named pipe, not a file",
    ),
    "weights of another network": (
        lambda p: weights(p, other=np.zeros(3)),
        train("--weights", "w.npz", networks={"weights": "x.npz"}),
        "w.npz: the weights do not fit",
    ),
    "weights of another width": (
        lambda p: weights(p, **{"conv1_1.weight": np.zeros((64, 3, 3, 3))}),
        train("--weights", "w.npz", networks={"weights": "x.npz"}),
        "w.npz: the weights do not fit",
    ),
    "weights that torchvision does not provide": (
        nothing,
        train(networks={"weights": "IMAGENET1K_V9"}),
        "IMAGENET1K_V9: unknown weights of vgg16",
    ),
    "a network that timm does not have": (
        nothing,
        train(networks={"backbone": "timm/resnet19", "width": 1}),
        "timm/resnet19: timm has no network resnet19",
    ),
    "a stride that a network cannot have": (
        nothing,
        train(networks={"backbone": "timm/vit_tiny_patch16_224", "width": 1, "stride": 8}),
        "timm/vit_tiny_patch16_224: its largest stride is 16",
    ),
    "weights in an unknown format": (
        lambda p: p.path("w.bin").touch(),
        train("--weights", "w.bin", networks={"weights": "x"}),
        "w.bin: not weights (the name does not end with",
    ),
    "an image without a saliency map": (
        lambda p: p.path("maps").mkdir(),
        saliency("maps"),
        "maps/a.png: no saliency map",
    ),
    "a named pipe instead of a saliency map": (
        lambda p: (p.path("maps").mkdir(), os.mkfifo(p.path("maps/a.png"))),
        saliency("maps"),
        "maps/a.png: is a named pipe, not a file",
    ),
    "a broken saliency map": (
        lambda p: (p.path("maps").mkdir(), p.path("maps/a.png").write_text("x")),
        saliency("maps"),
        "maps/a.png: not readable",
    ),
    "a missing saliency network": (
        nothing,
        detector("none.onnx"),
        "none.onnx: not a network that ONNX Runtime reads",
    ),
    "a named pipe instead of a saliency network": (
        lambda p: os.mkfifo(p.path("x.onnx")),
        detector("x.onnx"),
        "x.onnx: is a named pipe, not a file",
    ),
    "a file that is not a saliency network": (
        lambda p: p.path("x.onnx").write_text("x"),
        detector("x.onnx"),
        "x.onnx: not a network that ONNX Runtime reads",
    ),
}

COMMANDS = {
    "an unknown command": (nothing, ("trian-classifier",), "No such command 'trian-classifier'"),
    "a missing option": (nothing, ("predict",), "Missing option '--config'"),
    "a configuration that is not JSON": (nothing, ("index-truth", "--config", "{"), "not JSON"),
    "a configuration that is a list": (
        nothing,
        ("index-truth", "--config", "[]"),
        "not a JSON object",
    ),
    "an unknown key": (nothing, index(**{"data.rot": 1}), "--config data: rot: unknown key"),
    "a value of the wrong type": (
        nothing,
        train(epochs="many"),
        "epochs: Input should be a valid integer",
    ),
    "a value out of range": (
        nothing,
        train(batch_size=0),
        "batch_size: Input should be greater than or equal to",
    ),
    "step 0": (nothing, (*train(), "--step", "0"), "Invalid value for '--step'"),
    "a negative shard": (nothing, predict("--shard", "-1"), "Invalid value for '--shard'"),
    "a shard beyond the last": (
        nothing,
        predict("--shard", "3", "--shards", "2"),
        "--shard: is 3, but there are 2 shards",
    ),
    "an unknown device": (
        nothing,
        train("--device", "gpu"),
        "runtime.device: no device 'gpu'",
    ),
    "a GPU that does not exist": (
        nothing,
        train("--device", "cuda:7"),
        "runtime.device: cuda:7, but no GPU was found",
    ),
    "an unknown target": (
        nothing,
        score(target="lables"),
        "--target: lables cannot be scored",
    ),
    "missing scores": (nothing, ("show-scores", "none.json"), "none.json: the file does"),
    "a file that holds no scores": (
        lambda p: p.path("s.json").write_text("[1]"),
        ("show-scores", "s.json"),
        "s.json: not the scores of a run",
    ),
    "inspecting a missing store": (
        nothing,
        ("inspect", "none.json"),
        "none.json: the file does not exist",
    ),
    "inspecting an image that the store lacks": (
        nothing,
        ("inspect", "labels/0.json", "--image", "z"),
        "labels: has no record of image z",
    ),
    "verifying a folder without results": (
        nothing,
        ("verify", "photographs"),
        "photographs: contains no checksums",
    ),
    "scenes to be generated among photographs": (
        nothing,
        (
            *("generate-scenes", "--config", json.dumps(settings_of("generate_scenes"))),
            *("--output", "photographs/scenes.json"),
        ),
        "photographs: contains files other than generated scenes",
    ),
    "a learning rate that is too high": (
        nothing,
        train(learning_rate=1e30, epochs=3),
        "classifier, step 1: the loss is",
    ),
}

RUN = ("snakemake", "--configfile", "mine.yaml")


def config(text):
    """Return what writes a configuration."""
    return lambda p: p.path("mine.yaml").write_text(text)


def voc(more):
    """Return what writes a configuration of the photographs."""
    lines = "adapter: voc, root: photographs, labels: csv, labels_csv: photographs/labels.csv"
    return config(f"data: {{ {lines}, {more} }}\n")


CONFIGS = {
    "a key that does not exist": (
        config("mining: { dleta: 0.4 }\n"),
        RUN,
        "config: mining.dleta: unknown key",
    ),
    "a text instead of a number": (
        config("mining: { delta: much }\n"),
        RUN,
        "config: mining.delta: Input should be a valid number",
    ),
    "a number outside its limits": (
        config("mining: { delta: 1.5 }\n"),
        RUN,
        "mining.delta: is 1.5, but fraction_of_max needs a fraction below 1",
    ),
    "a fraction above 1": (
        config("prediction: { threshold: 2 }\n"),
        RUN,
        "config: prediction.threshold: Input should be less than 1",
    ),
    "a section that is a list": (
        config("mining: [1, 2]\n"),
        RUN,
        "config: mining: Input should be a valid dictionary",
    ),
    "a class that the dataset does not have": (
        config("data: { classes: [cow] }\n"),
        RUN,
        "data.classes: contains cow, which is not a class of the dataset",
    ),
    "a section that occurs twice": (
        config("mining: { delta: 0.3 }\nseed: 1\nmining: { steps: 2 }\n"),
        RUN,
        "mine.yaml:3: the key mining occurs twice, first in line 1",
    ),
    "a missing folder of photographs": (
        config("data: { adapter: voc, root: elsewhere }\n"),
        RUN,
        "elsewhere: the file or folder does not exist",
    ),
    "a missing weights file": (
        config("networks: { weights: elsewhere.npz }\n"),
        RUN,
        "elsewhere.npz: the file or folder does not exist",
    ),
    "torchvision's weights for a network of timm": (
        config("networks: { backbone: timm/resnet18, weights: IMAGENET1K_V1, width: 1 }\n"),
        RUN,
        "networks.weights: IMAGENET1K_V1 are no weights of timm/resnet18",
    ),
    "a backbone without its library": (
        config("networks: { backbone: resnet50, width: 1 }\n"),
        RUN,
        "networks.backbone",
    ),
    "a named pipe instead of the labels": (
        lambda p: (p.data.labels.unlink(), os.mkfifo(p.data.labels), voc("train_split: train")(p)),
        RUN,
        "labels.csv: is a named pipe, not a file",
    ),
    "a run outside the results folder": (
        config("run: ../../elsewhere\n"),
        RUN,
        "config: run: String should match pattern",
    ),
    "a split outside the dataset": (
        voc("train_split: ../../../../etc/passwd"),
        RUN,
        "config: data.train_split: '../../../../etc/passwd' must be a path inside data.root",
    ),
    "a class name with a space at its end": (
        voc("class_names: [cat, 'dog ']"),
        RUN,
        "'dog ': a class name must have text, and no space around it",
    ),
    "a class that is listed twice": (
        voc("class_names: [cat, dog, cat]"),
        RUN,
        "config: data.class_names: 'cat' is listed twice",
    ),
    "a class named background": (
        voc("class_names: [background, cat]"),
        RUN,
        "config: data.class_names: 'background' is reserved for pixel value 0",
    ),
    "one class only": (
        voc("class_names: [cat]"),
        RUN,
        "data.class_names: one class only: the softmax of one class is always 1",
    ),
    "one class only, of several": (
        voc("class_names: [cat, dog], classes: [dog]"),
        RUN,
        "data.classes: one class only: the softmax of one class is always 1",
    ),
    "saliency maps without a folder": (
        config("saliency: { method: precomputed }\n"),
        RUN,
        "saliency.folder: is not set, but saliency.method is precomputed",
    ),
    "more classes than a mask has values": (
        voc(f"class_names: [{', '.join(f'c{n}' for n in range(300))}]"),
        RUN,
        "config: data.class_names: 300 classes, but a mask can store at most 254",
    ),
    "a project's folder with braces in its name": (
        lambda p: (p.path("d {x}").mkdir(), new_project(p.path("d {x}"))),
        ("snakemake", "--snakefile", "d {x}/Snakefile"),
        "d {x}: has braces in its name, which Snakemake reads as wildcards",
    ),
    "a variant named main": (
        config("variants: { main: { seed: 1 } }\n"),
        RUN,
        "variants.main: the name is taken",
    ),
    "a variant that is a path": (
        config("variants: { ../x: { seed: 1 } }\n"),
        RUN,
        "config: variants.../x",
    ),
    "a variant that overrides a setting of the whole run": (
        config("variants: { other: { runtime: { shards: 2 } } }\n"),
        RUN,
        "variant other: overrides runtime",
    ),
}

GROUPS = {
    "Configurations": CONFIGS,
    "Photographs": IMAGES,
    "Labels": LABELS,
    "Splits": SPLITS,
    "True masks": MASKS,
    "Corrected masks": CORRECTIONS,
    "Stores": STORES,
    "Models, weights, saliency": MODELS,
    "Command lines": COMMANDS,
}

CASES = {name: case for cases in GROUPS.values() for name, case in cases.items()}


@cache
def template():
    """Return a valid sample, made once a process and removed when it ends."""
    top = TemporaryDirectory()
    atexit.register(top.cleanup)
    Sample.make(Path(top.name) / "sample")
    return Path(top.name) / "sample"


def run_case(folder, case):
    """Spoil a sample and run the command; return the sample and the finished process."""
    spoil, command, _ = CASES[case]
    shutil.copytree(template(), folder)
    sample = Sample(folder)
    spoil(sample)
    if command[0] == "snakemake":
        return sample, snakemake(folder, *command[1:])
    return sample, aepsl(folder, *command)


def matching_line(text, expected):
    """Return the line of a message that holds what is expected, and the hint after it."""
    lines = [line.strip(" │╭╰╮╯─").removeprefix("aepsl: ") for line in text.splitlines()]
    flat = " ".join(expected.split())
    for number, line in enumerate(lines):
        if flat in line:
            hints = [after for after in lines[number:] if after.startswith("Hint: ")]
            return line, (hints or [""])[0].removeprefix("Hint: ")
    raise AssertionError(f"{expected!r} is not in {text}")


def row(name, text):
    """Return a case's line of the document, from its output."""
    problem, hint = matching_line(text, CASES[name][2])
    cells = (name, f"`{problem[:140]}`", textwrap.shorten(hint, 140, placeholder=" ..."))
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def document(messages):
    """Return docs/bad-input.md from the messages of all cases."""
    parts = [
        "# Error messages for invalid input\n",
        "`make bad-input` runs each case and writes this page; the tests run them again. Each"
        " exits with a status\nother than 0, names the file, shows no traceback and changes nothing"
        " else.\n",
    ]
    for group, cases in GROUPS.items():
        parts.append(f"## {group}\n\n| input | message | hint |\n|---|---|---|")
        parts += [row(name, messages[name]) for name in cases]
        parts.append("")
    return "\n".join(parts)


def main():
    """Run every case and write the document."""
    messages = {}
    with TemporaryDirectory() as top:
        for number, name in enumerate(CASES):
            folder = Path(top) / str(number)
            messages[name] = run_case(folder, name)[1].stderr.replace(f"{folder}/", "")
    DOCUMENT.write_text(document(messages))


if __name__ == "__main__":
    main()
