"""Shapes of the tensors in weights files, read from headers: without tensor data or torch."""

from __future__ import annotations

import zipfile
from pathlib import Path

from aepsl.errors import require_file
from aepsl.text import parsing

Shapes = dict[str, tuple[int, ...]]


def _of_npz(path: Path) -> Shapes:
    from numpy.lib import format as npy

    shapes: Shapes = {}
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            with archive.open(name) as file:
                first = npy.read_magic(file) == (1, 0)
                read = npy.read_array_header_1_0 if first else npy.read_array_header_2_0
                shape, _, kind = read(file)
            if kind.hasobject:
                raise ValueError(f"{name} holds pickled objects")
            shapes[name.removesuffix(".npy")] = shape
    return shapes


def _of_safetensors(path: Path) -> Shapes:
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118


def shapes_in(path: Path) -> Shapes | None:
    """Return the shape of each tensor in a ``.npz`` or ``.safetensors`` file.

    None for other files: the shapes in a ``.pth`` file can only be read by unpickling it.

    Raises:
        AepslError: if the file is missing, corrupt, or contains pickled objects.
    """
    readers = {".npz": _of_npz, ".safetensors": _of_safetensors}
    with parsing(path, "weights", "use a file of named tensors"):
        require_file(path)
        return readers[path.suffix](path) if path.suffix in readers else None
