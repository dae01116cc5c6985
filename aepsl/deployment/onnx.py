"""Export of a trained network to ONNX, with all that prediction does around it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import onnx
import torch
from onnxscript import INT64
from onnxscript import opset18 as op

from aepsl.deployment.networks import Outputs, mask_network
from aepsl.deployment.sources import Source
from aepsl.segmentation.inference import MaskNetwork
from aepsl.stores.atomic import atomic_write

INPUT = "images"
"""Name of the input: (n, 3, height, width) float32 RGB, 0..255."""

SIZES = {0: "n", 2: "height", 3: "width"}
"""The dimensions of the input that may have any size."""


OUTPUT_SIZES = {
    "mask": ("n", "height", "width"),
    "probabilities": ("n", "", "height", "width"),
    "scores": ("n", ""),
}
"""The dimensions of each output that depend on the input, by name."""


def _round(value, digits=None):  # type: ignore[no-untyped-def]
    """Round half to even, as Python does: the size of a scaled photograph."""
    return op.Cast(op.Round(value), to=INT64.dtype)


def write_onnx(path: Path, source: Source, *, facts: Mapping[str, str]) -> None:
    """Write a network as an ONNX file, atomically.

    The graph takes photographs of any size and contains normalisation, scales, flip, upsampling and
    threshold. Its outputs are those of :class:`MaskNetwork`.

    Args:
        path: the file to write.
        source: the network, and how its masks are predicted.
        facts: further metadata of the file.

    Raises:
        AepslError: if the stored network is unreadable.
    """
    network, class_names = mask_network(source, device=torch.device("cpu"))
    network.network.precision = "float32"  # an ONNX graph has one precision, for every processor
    model = onnx_graph(network)
    about = {"class_names": json.dumps(class_names, ensure_ascii=False)}
    about |= {"threshold": str(network.threshold), **facts}
    onnx.helper.set_model_props(model, about)
    with atomic_write(path) as temporary:
        temporary.write_bytes(model.SerializeToString(deterministic=True))


def onnx_graph(network: MaskNetwork) -> onnx.ModelProto:
    """Return the graph of a network, in float32, for photographs of any size."""
    example = torch.zeros(2, 3, 97, 131)  # no size divisible by the stride, none equal
    program = torch.onnx.export(
        network.requires_grad_(False),
        (example,),
        input_names=[INPUT],
        output_names=list(Outputs._fields),
        dynamic_shapes=(SIZES,),
        custom_translation_table={round: _round},
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    model = program.model_proto
    for part in (*model.graph.node, *model.graph.value_info, *model.graph.output):
        del part.metadata_props[:]  # the exporter's notes: paths of this machine
    for output in model.graph.output:
        sizes = output.type.tensor_type.shape.dim
        for dimension, name in zip(sizes, OUTPUT_SIZES[output.name], strict=True):
            if name:
                dimension.dim_param = name
    return model
