"""Masks from the file of a photograph: VGG-16 LargeFOV, 375 x 500 px, 20 classes and background,
one scale.

The stage reads photographs, predicts masks at full resolution, and stores them with
log-probabilities for the CRF. Bare networks compute scores of ready tensors. ONNX Runtime and
OpenVINO run the file that `aepsl export --format onnx` writes, which returns masks at full
resolution, probabilities and image scores. The last layers are random, with scores far apart:
shares of other pixels are not those of a trained network.
"""

from functools import partial

import numpy as np
import torch
from speed_inputs import dataset, network_file, settings
from speed_tools import Bench, Row, Table, Way, compare, optional

from aepsl.config.segmentation import Crf, Prediction
from aepsl.data.photographs import photograph
from aepsl.deployment.networks import mask_network
from aepsl.deployment.onnx import write_onnx
from aepsl.deployment.sources import Source
from aepsl.networks.layers import as_batch
from aepsl.networks.models import SegmentationNetwork
from aepsl.stages.predict import predict
from aepsl.stores.networks import load_network

CPU = torch.device("cpu")
IMAGES = 12
SPREAD = 1.0
"""Standard deviation of the last layers' weights: probabilities near 0 and 1."""


def _stage(made, model, config, output):
    predict(config, made.manifest, made.root, model, output=output, device="cpu", threads=1)


@torch.inference_mode()
def _bare(network, tensors):
    for tensor in tensors:
        network(tensor)


def _torch_masks(model, tensors):
    """Return the masks that torch predicts in the precision of a model file."""
    network, _ = mask_network(Source(model, Prediction(), Crf()), device=CPU)
    with torch.inference_mode():
        return [network(tensor).mask.numpy() for tensor in tensors]


class _Onnx:
    """Masks by ONNX Runtime."""

    def __init__(self, path, tensors):
        import onnxruntime  # noqa: PLC0415

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        providers = ["CPUExecutionProvider"]
        self.session = onnxruntime.InferenceSession(path, options, providers=providers)
        self.tensors = [tensor.contiguous().numpy() for tensor in tensors]

    def __call__(self):
        self.masks = [self.session.run(None, {"images": t})[0] for t in self.tensors]


class _OpenVino:
    """Masks by OpenVINO."""

    def __init__(self, path, tensors, precision):
        import openvino  # noqa: PLC0415

        options = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": 1}
        options |= {"PERFORMANCE_HINT": "LATENCY"}
        self.network = openvino.Core().compile_model(path, "CPU", options)
        self.tensors = [tensor.contiguous().numpy() for tensor in tensors]

    def __call__(self):
        self.masks = [self.network(tensor)[0].copy() for tensor in self.tensors]


def _others(ways, reference, tensors, auto) -> Table:
    """Return the share of pixels with another class than torch's in float32."""
    table = Table("Pixels with another class than torch, float32", "%")
    found = {"torch, auto": _torch_masks(auto, tensors)}
    found |= {way.name: way.run.masks for way in ways if hasattr(way.run, "masks")}
    for name, masks in found.items():
        differ = [np.mean(a != b) for a, b in zip(masks, reference, strict=True)]
        table.rows.append(Row(name, 100 * float(np.mean(differ))))
    table.statistic = "mean"
    return table


def measure(bench: Bench):
    """Yield the speeds and the differences."""
    made = dataset(bench, bench.count(IMAGES))
    images = made.images()
    config = settings("predict")
    models = {
        precision: network_file(
            bench, SegmentationNetwork, images.class_names, precision=precision, spread=SPREAD
        )
        for precision in ("auto", "float32")
    }
    bare = {p: load_network(SegmentationNetwork, models[p], device=CPU)[0] for p in models}
    pixels = (photograph(image, root=made.root) for image in images.images)
    tensors = [as_batch([image], CPU) for image in pixels]
    exported, out = bench.folder / "network.onnx", bench.folder / "predictions.h5"
    write_onnx(exported, Source(models["float32"], Prediction(), Crf()), facts={})
    ways = [
        Way("the stage", partial(_stage, made, models["auto"], config, out)),
        Way("the stage, float32", partial(_stage, made, models["float32"], config, out)),
        Way("limit: the bare network", partial(_bare, bare["auto"], tensors)),
        Way("limit, float32", partial(_bare, bare["float32"], tensors)),
        Way("ONNX Runtime, float32", _Onnx(exported, tensors)),
        *(
            optional(name, "openvino", partial(_OpenVino, exported, tensors, precision))
            for name, precision in (("OpenVINO, float32", "f32"), ("OpenVINO, bfloat16", "bf16"))
        ),
    ]
    yield compare("Masks", ways, bench=bench, work=len(tensors), against="the stage")
    yield _others(ways, _torch_masks(models["float32"], tensors), tensors, models["auto"])
