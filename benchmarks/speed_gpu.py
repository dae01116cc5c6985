"""Training and inference of the classifiers on a GPU, and how busy our stages keep it.

A training step is forward pass, backward pass and SGD step on a fixed batch of crops; inference is
on a photograph of 375 x 500 px, which a recipe sees at its own scale. Operations are those that
torch's counter counts (a multiplication and an addition are two), and three times the forward
pass's in training: the counter forgets the groups of depthwise convolutions in the backward pass.
The peak is the dense bfloat16 peak of NVIDIA's data sheets. Busy is the time of all kernels and
copies over the wall time of the stage, with start and end.
"""

import time
from collections import OrderedDict
from dataclasses import dataclass, replace
from functools import partial

import torch
from speed_inputs import dataset, network_file, settings
from speed_tools import Bench, Row, Table, Way, compare
from speed_training import bare_step, write_regions
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from aepsl.config.presets import expanded
from aepsl.networks.grids import shrunk
from aepsl.networks.models import Classifier, NetworkShape, SegmentationNetwork
from aepsl.stages.extract_cams import extract_cams
from aepsl.stages.train_classifier import train_classifier

PEAK_TFLOPS = OrderedDict(
    {
        "B200": 2250,
        "H200": 989,
        "H100 PCIe": 756,
        "H100": 989,
        "A100": 312,
        "L40S": 362,
        "L4": 121,
        "A10G": 70,
        "A10": 125,
    }
)
"""Dense bfloat16 peaks, TFLOP/s, by part of the device's name: NVIDIA's data sheets of each product
(half of the figures that they give with sparsity; H100 is the SXM module)."""
CLASSES, IMAGES = 20, 64
STEPS = 5


@dataclass(frozen=True)
class Recipe:
    """The networks of a recipe, and how it trains them."""

    name: str
    shape: NetworkShape
    """Of the classifier."""
    decoder: str
    batch: int
    crop: int


BEST = expanded({"base": ["photographs", "best"]})
RECIPES = (
    Recipe("VGG-16", NetworkShape(), "largefov", batch=30, crop=321),
    Recipe(
        "best",
        NetworkShape(
            backbone=BEST["networks"]["backbone"],
            head=BEST["mining"]["head"],
            stride=BEST["networks"]["stride"],
            scale=BEST["networks"]["scale"],
            fixed_norm=True,
        ),
        BEST["segmentation"]["head"],
        batch=30,
        crop=BEST["mining"]["train"]["crop"],
    ),
)
"""The paper's with LargeFOV, and the preset best with the paper's batches."""
PAPER = RECIPES[0]


def peak(name: str) -> float | None:
    """Return the peak of a device, TFLOP/s; None for one that is not in the table."""
    words = set(name.replace("-", " ").split())
    return next((v for chip, v in PEAK_TFLOPS.items() if set(chip.split()) <= words), None)


def _wait(device):
    if device.type == "cuda":
        torch.cuda.synchronize()


def _network(bench, recipe, precision, device):
    torch.manual_seed(0)
    width = bench.width if recipe is PAPER else 1
    model = Classifier(classes=CLASSES, shape=replace(recipe.shape, width=width))
    model.precision = precision
    return model.to(device)


def _flops(function):
    with FlopCounterMode(display=False) as counter:
        function()
    return counter.get_total_flops()


def _with_flops(table: Table, flops_of_image: float, name: str) -> Table:
    """Return the speeds of a table in TFLOP/s, with the share of the peak as its note."""
    found, top = Table(f"{table.title}: operations", "TFLOP/s"), peak(name)
    for row in table.rows:
        rate = row.median * flops_of_image / 1e12
        share = f"{100 * rate / top:.0f} % of {top} TFLOP/s" if top else "peak unknown"
        found.rows.append(Row(row.way, rate, note=share))
    return found


def _steps(step, forward, device):
    for _ in range(STEPS):
        step(forward)
    _wait(device)


def _training(bench, recipe, device, name):
    batch, crop = (2, 65) if bench.quick else (recipe.batch, recipe.crop)
    ways, flops = [], 0
    for title, precision, compiled, layout in (
        ("bfloat16, channels_last (ours)", "bfloat16", False, torch.channels_last),
        ("bfloat16, channels_last, torch.compile", "bfloat16", True, torch.channels_last),
        ("bfloat16", "bfloat16", False, torch.contiguous_format),
        ("float32, channels_last", "float32", False, torch.channels_last),
    ):
        model = _network(bench, recipe, precision, device)
        step = bare_step(model, batch=batch, crop=crop, classes=CLASSES, device=device)
        if layout == torch.contiguous_format:
            plain_layout(model)
        backend = "eager" if bench.quick else "inductor"
        forward = torch.compile(model, backend=backend) if compiled else model
        flops = flops or 3 * _flops(partial(model, torch.zeros(1, 3, crop, crop, device=device)))
        ways.append(Way(title, partial(_steps, step, forward, device)))
    title = f"{recipe.name}: training step, batches of {batch}, crop {crop}"
    table = compare(title, ways, bench=bench, work=STEPS * batch, against=ways[0].name)
    yield table
    yield _with_flops(table, flops, name)


def plain_layout(model) -> None:
    """Let a network compute in the plain layout of tensors, n x channels x height x width."""
    model.to(memory_format=torch.contiguous_format)
    model.normalise.register_forward_hook(lambda layer, given, out: out.contiguous())


@torch.inference_mode()
def _infer(model, pixels, device, times):
    for _ in range(times):
        model(pixels)
    _wait(device)


def _seen(bench, recipe, *, batch, device):
    """Return photographs of noise, as the recipe's network sees them."""
    return shrunk(torch.rand(batch, 3, *bench.size, device=device) * 255, scale=recipe.shape.scale)


def _inference(bench, recipe, device, name):
    ways, flops = [], 0
    for precision in ("bfloat16", "float32"):
        model = _network(bench, recipe, precision, device).eval()
        model.to(memory_format=torch.channels_last)
        for batch in (1, 16):
            times = 1 if bench.quick else 64 // batch
            pixels = _seen(bench, recipe, batch=batch, device=device)
            flops = flops or _flops(partial(_infer, model, pixels, device, 1)) / batch
            run = partial(_infer, model, pixels, device, times)
            title = f"{precision}, batches of {batch}"
            ways.append(Way(title, run, work=times * batch))
    height, width = bench.size
    title = f"{recipe.name}: inference, {height} x {width} px"
    table = compare(title, ways, bench=bench, work=1, against=ways[0].name)
    yield table
    yield _with_flops(table, flops, name)


def _busy(run, device):
    """Return the share of the wall time in which the device computes, and the seconds."""
    gpu = device.type == "cuda"
    activity = ProfilerActivity.CUDA if gpu else ProfilerActivity.CPU
    with profile(activities=[activity]) as recorded:
        started = time.perf_counter()
        run()
        _wait(device)
        wall = time.perf_counter() - started
    kernel = "self_device_time_total" if gpu else "self_cpu_time_total"
    kind = torch.autograd.DeviceType.CUDA if gpu else torch.autograd.DeviceType.CPU
    events = (event for event in recorded.key_averages() if event.device_type == kind)
    spent = sum(getattr(event, kernel) for event in events)
    return spent / 1e6 / wall, wall


def _stages(bench, device):
    """Yield how busy the stages keep the device."""
    made = dataset(bench, bench.count(IMAGES))
    images, out = made.images(), bench.folder
    model = network_file(bench, Classifier, images.class_names, precision="auto")
    cams = settings("extract_cams", step=1)
    train = {"epochs": 1 if bench.quick else 4, "learning_rate": 1e-4}
    train |= {"batch_size": 2 if bench.quick else PAPER.batch}
    train |= {"crop": 65 if bench.quick else PAPER.crop}
    networks = {"width": bench.width, "batch_norm": False, "fc6_dilation": 12}
    config = {"mining": {"train": train}, "networks": networks}
    training, regions = settings("train_classifier", config, step=2), write_regions(bench, images)
    where = {"device": device.type, "threads": 1 if bench.quick else 4}

    def extract():
        given = (cams, made.manifest, made.root, model, [made.no_regions])
        extract_cams(*given, step=1, output=out / "cams.h5", **where)

    def learn():
        given = (training, made.manifest, made.root, [regions], [])
        files = {"output": out / "model.safetensors", "curve": out / "curve.csv"}
        train_classifier(*given, step=2, **files, workers=0 if bench.quick else 4, **where)

    table = Table(f"Share of the time in which the {device.type} computes", "%", statistic="once")
    for name, run in (("extract_cams", extract), ("train_classifier", learn)):
        if not bench.quick:
            run()  # kernels are chosen and loaded
        share, wall = _busy(run, device)
        table.rows.append(Row(name, 100 * share, note=f"{wall:.1f} s"))
    yield table


def _operations(bench):
    """Return the operations of each recipe's networks, for one crop and one photograph."""
    table = Table("Counted operations, 20 classes", "GFLOP", statistic="counted")
    for recipe in RECIPES:
        for what, kind, head in (
            ("classifier", Classifier, recipe.shape.head),
            ("segmentation network", SegmentationNetwork, recipe.decoder),
        ):
            with torch.device("meta"):
                model = kind(classes=CLASSES, shape=replace(recipe.shape, head=head)).eval()
            crop = torch.zeros(1, 3, recipe.crop, recipe.crop, device="meta")
            photograph = _seen(bench, recipe, batch=1, device="meta")
            note = f"{sum(p.numel() for p in model.parameters()) / 1e6:.1f} million parameters"
            for title, pixels, passes in (
                (f"a training step, crop of {recipe.crop} px", crop, 3),
                (f"a photograph of 375 x 500 px at {recipe.shape.scale:g}", photograph, 1),
            ):
                count = passes * _flops(partial(model, pixels)) / 1e9
                table.rows.append(Row(f"{recipe.name}, {what}: {title}", count, note=note))
    return table


def measure(bench: Bench):
    """Yield the tables; without a GPU, only the counted operations."""
    yield _operations(bench)
    if not torch.cuda.is_available() and not bench.quick:
        yield Table("GPU", "images/s", rows=[Row("no GPU here", note="not measured")])
        return
    gpu = torch.cuda.is_available() and not bench.quick
    device = torch.device("cuda" if gpu else "cpu")
    name = torch.cuda.get_device_name() if gpu else "CPU"
    for recipe in RECIPES:
        yield from _training(bench, recipe, device, name)
        yield from _inference(bench, recipe, device, name)
    yield from _stages(bench, device)
