"""Where a network's features lie in the image, followed through torch's functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode

from aepsl.grid import PIXELS, Grid

Side = int | tuple[int, ...]


def _of_columns(value: Side) -> int:
    return value if isinstance(value, int) else value[-1]


def _kernel(grid: Grid, size: int, stride: Side, padding: Side | str, dilation: Side) -> Grid:
    """Return the grid after a kernel of ``size`` cells: each of its cells lies in their middle."""
    reach = (size - 1) * _of_columns(dilation)
    before = 0 if padding == "valid" else reach // 2
    if not isinstance(padding, str):
        before = _of_columns(padding)
    return Grid(grid.stride * _of_columns(stride), grid.positions(reach / 2 - before))


def _convolution(
    grid: Grid,
    images: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Side = 1,
    padding: Side | str = 0,
    dilation: Side = 1,
    groups: int = 1,
) -> Grid:
    return _kernel(grid, weight.shape[-1], stride, padding, dilation)


def _pooling(
    grid: Grid,
    images: Tensor,
    kernel_size: Side,
    stride: Side | None = None,
    padding: Side = 0,
    dilation: Side = 1,
    **options: Any,
) -> Grid:
    return _kernel(grid, _of_columns(kernel_size), stride or kernel_size, padding, dilation)


def _average(
    grid: Grid,
    images: Tensor,
    kernel_size: Side,
    stride: Side | None = None,
    padding: Side = 0,
    *options: Any,
    **more: Any,
) -> Grid:
    return _pooling(grid, images, kernel_size, stride, padding)


def _padding(grid: Grid, images: Tensor, pad: tuple[int, ...], *options: Any, **more: Any) -> Grid:
    return Grid(grid.stride, grid.positions(-pad[0])) if images.ndim == 4 else grid


def _selection(grid: Grid, images: Tensor, index: Any) -> Grid:
    """Return the grid of every second cell, for instance; other indices choose no columns."""
    parts = index if isinstance(index, tuple) else (index,)
    steps = [part for part in parts if isinstance(part, slice) and (part.step or 1) > 1]
    if not steps:
        return grid
    return Grid(grid.stride * steps[-1].step, grid.positions(steps[-1].start or 0))


MOVING: dict[str, Callable[..., Grid]] = {
    "conv2d": _convolution,
    "max_pool2d": _pooling,
    "avg_pool2d": _average,
    "pad": _padding,
    "__getitem__": _selection,
}
"""Functions whose results lie elsewhere than what they are made of; all others keep the grid."""


def _tensors(values: Iterable[Any]) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from _tensors(value)


class Following(TorchFunctionMode):
    """While it is active, each tensor made of one with a grid has a grid: the attribute ``grid``.

    What is made of several has that of the first: features of a gate, a shortcut or what is
    attended to do not move them.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Call a function of torch, and carry the grid to what it returns."""
        made = func(*args, **(kwargs or {}))
        known = (getattr(tensor, "grid", None) for tensor in _tensors(args))
        if grid := next(filter(None, known), None):
            move = MOVING.get(func.__name__)
            grid = move(grid, *args, **(kwargs or {})) if move else grid
            for tensor in _tensors([made]):
                tensor.grid = grid  # type: ignore[attr-defined]
        return made


def follow(images: Tensor) -> Following:
    """Return the mode in which all that is made of ``images`` gets a grid."""
    images.grid = PIXELS  # type: ignore[attr-defined]
    return Following()


def grid_of(feature: Tensor, *, side: int) -> Grid:
    """Return where the cells of a followed feature lie, in images of ``side`` pixels.

    Where there are fewer cells than its functions explain, a reshaping merged neighbours (Swin):
    these lie in their middle.

    Raises:
        ValueError: if a function on the way could not be followed.
    """
    grid: Grid | None = getattr(feature, "grid", None)
    if grid is None:
        raise ValueError("where its features lie in the image cannot be found; choose another")
    merged = round(side / feature.shape[-1] / grid.stride)
    return Grid(merged * grid.stride, grid.positions((merged - 1) / 2))
