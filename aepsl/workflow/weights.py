"""Check, before any training, that pretrained weights fit the networks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

from aepsl.config.networks import Networks
from aepsl.errors import AepslError, Problem
from aepsl.networks.layouts import LAYOUTS, Shapes
from aepsl.stores.weights import shapes_in


def _misfits(shapes: Mapping[str, tuple[int, ...]], networks: Networks) -> Iterator[str]:
    """Yield the differences between these shapes of tensors and those that a network needs."""
    layout = LAYOUTS[networks.backbone]
    try:
        ours = {name: shapes[theirs] for name, theirs in layout.names(shapes).items()}
    except ValueError as error:
        yield str(error)
        return
    needed = layout.shapes(networks.width, networks.batch_norm)
    for name, shape in needed.items():
        if name not in ours:
            yield f"{name} is missing, but the network has it"
        elif ours[name] != shape:
            yield f"{name} has shape {ours[name]}, the network needs {shape}"
    left_out = layout.shapes(networks.width, True).keys() - needed.keys()
    yield from (
        f"{name} is there, but the network does not have it" for name in ours if name in left_out
    )


def _hint(shapes: Mapping[str, tuple[int, ...]], networks: Networks) -> str:
    """Return a hint: settings that fit the weights, if any do."""
    for backbone, batch_norm in product(LAYOUTS, (False, True)):
        wanted: dict[str, Any] = {"backbone": backbone, "width": 1.0, "batch_norm": batch_norm}
        if not any(_misfits(shapes, networks.model_copy(update=wanted))):
            parts = [
                f"networks.{key}: {str(value).lower().removesuffix('.0')}"
                for key, value in wanted.items()
                if value != getattr(networks, key)
            ]
            return f"set {' and '.join(parts)}"
    return f"give weights of {' or '.join(LAYOUTS)}"


def _shapes(networks: Networks) -> Shapes | None:
    """Return the shapes of a network's pretrained tensors; None if they are unknown.

    Raises:
        AepslError: if the weights are neither a file nor known to torchvision, or are unreadable.
    """
    layout, weights = LAYOUTS[networks.backbone], networks.weights
    if networks.weights_are_a_file:
        return shapes_in(Path(weights))
    if weights not in layout.weights:
        what = f"torchvision has no such weights for {networks.backbone}"
        hint = f"random, {', '.join(layout.weights)}, or a .npz, .pth, .pt or .safetensors file"
        raise AepslError.of(weights, what, hint)
    return layout.shapes(1.0, False)


def weights_problem(networks: Networks) -> Problem | None:
    """Return why pretrained weights do not fit the networks; None if they fit, or are unchecked.

    Only the header of a file is read. A ``.pth`` file has none and is checked when it is loaded.
    """
    if networks.weights == "random" or networks.backbone not in LAYOUTS:
        return None
    try:
        shapes = _shapes(networks)
    except AepslError as error:
        return error.problems[0]
    if shapes is None:
        return None
    misfit = next(_misfits(shapes, networks), None)
    if misfit is None:
        return None
    what = f"the weights do not fit: {misfit}"
    return Problem(networks.weights, what, _hint(shapes, networks))
