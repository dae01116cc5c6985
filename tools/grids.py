"""Draw where each kind of network sees a square, into docs/pictures/grids.webp.

For each network: the change of its last features when a square appears in a grey image, carried
back to the pixels by the network's grid. The kernels are made their own mirror images, in rows and
columns, because random ones would shift what they see. Look at the picture before you commit it.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.patches import Rectangle
from torch import nn

from aepsl.grid import Grid, resample
from aepsl.networks.backbones import BackboneShape
from aepsl.networks.timm_networks import TimmBackbone

PICTURE = Path(__file__).parent.parent / "docs" / "pictures" / "grids.webp"

NETWORKS = {
    "resnet18": 16,
    "tf_efficientnet_lite0": 16,
    "convnext_atto": 16,
    "mobilenetv3_small_050": 32,
    "vit_tiny_patch16_224": 16,
    "mobilevit_xxs": 16,
}
"""One network of each kind, and its stride."""

SIDE = 384
"""Side of the image, px."""

SQUARE = 48
"""Side of the square, px."""

PLACES = (160, 166, 172)
"""Where the square begins, px: moved by less than a cell."""

SHOWN = (80, 288)
"""Rows and columns that the picture shows, px."""


def symmetric(name: str, stride: int) -> TimmBackbone:
    """Return a random network whose kernels are their own mirror images."""
    torch.manual_seed(0)
    network = TimmBackbone(name, BackboneShape(stride=stride)).eval()
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            for side in (2, 3):
                layer.weight.data.add_(layer.weight.flip(side).clone())
        elif isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 1  # one pass over noise makes all layers equally strong
    network.train()(torch.randn(4, 3, SIDE, SIDE))
    return network.eval()


@torch.no_grad()
def response(network: TimmBackbone, place: int) -> np.ndarray:
    """Return the (cells, cells) change of the last features when the square appears."""
    images = torch.zeros(2, 3, SIDE, SIDE)
    images[1, :, place : place + SQUARE, place : place + SQUARE] = 1
    nothing, square = network(images)[-1]
    change = (square - nothing).norm(dim=0)
    return (change - change.median()).clamp(min=0).numpy()


def centre(weights: np.ndarray, grid: Grid) -> float:
    """Return the mean column of the response, px."""
    return float(np.average(grid.positions(np.arange(weights.shape[1])), weights=weights.sum(0)))


def main() -> None:
    """Draw one row for each network, one column for each place of the square."""
    figure, axes = plt.subplots(len(NETWORKS), len(PLACES), figsize=(6, 12), layout="constrained")
    for row, (name, stride) in zip(axes, NETWORKS.items(), strict=True):
        network = symmetric(name, stride)
        grid = network.levels[-1].grid
        for axis, place in zip(row, PLACES, strict=True):
            change = response(network, place)
            pixels = resample(change[None], (SIDE, SIDE), source=grid)[0]
            axis.imshow(pixels, cmap="magma")
            axis.add_patch(
                Rectangle((place - 0.5, place - 0.5), SQUARE, SQUARE, fill=False, color="cyan")
            )
            off = centre(change, grid) - (place + (SQUARE - 1) / 2)
            axis.set_title(f"centre {off:+.1f} px", fontsize=8)
            axis.set(xlim=(SHOWN[0], SHOWN[1]), ylim=(SHOWN[1], SHOWN[0]))
            axis.set_xticks([])
            axis.set_yticks([])
        row[0].set_ylabel(f"{name}\n{grid.offset:g} + {grid.stride:g} k", fontsize=8)
    PICTURE.parent.mkdir(exist_ok=True)
    figure.savefig(PICTURE, dpi=100)


if __name__ == "__main__":
    main()
