"""Storing class activation maps of 375 x 500 px, and reading them in random order.

Our store keeps maps on cells, float16, compressed, with checksums and a manifest, and writes them
atomically. Peers keep full-resolution float32 maps, one `.npy` file per image. Files were just
written, so reading them is reading the system's memory.
"""

import shutil
from functools import partial

import numpy as np
from speed_inputs import cam_store, cell_maps, dataset
from speed_tools import Bench, Row, Table, Way, compare, installed

from aepsl.grid import Grid, resample
from aepsl.stores.records import Store

IMAGES = 64


def _ours(folder, images, maps):
    cam_store(folder / "cams.h5", images, maps)


def _read_ours(folder, order):
    store = Store([folder / "cams.json"], kind="cams")
    for image_id in order:
        store.array(image_id, "cam")


def _npy(folder, maps):
    for image_id, cam in maps.items():
        np.save(folder / f"{image_id}.npy", cam)


def _read_npy(folder, order):
    for image_id in order:
        np.load(folder / f"{image_id}.npy")


def _zarr(folder, maps):
    import zarr  # noqa: PLC0415

    group = zarr.open_group(folder / "cams.zarr", mode="w")
    for image_id, cam in maps.items():
        group.create_array(image_id, data=cam, chunks=cam.shape)


def _read_zarr(folder, order):
    import zarr  # noqa: PLC0415

    group = zarr.open_group(folder / "cams.zarr", mode="r")
    for image_id in order:
        group[image_id][:]


def _bytes(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def measure(bench: Bench):
    """Yield the speeds of writing and of reading, and the sizes."""
    images = dataset(bench, bench.count(IMAGES)).images()
    cells = cell_maps(images)
    full = {
        one.id: resample(cells[one.id], (one.height, one.width), source=Grid(8))
        for one in images.images
    }
    order = np.random.default_rng(0).permutation(list(cells)).tolist()
    stores = {
        "our store": (partial(_ours, images=images, maps=cells), _read_ours),
        ".npy, float16 on cells": (partial(_npy, maps=cells), _read_npy),
        ".npy, float32 at full resolution": (partial(_npy, maps=full), _read_npy),
        "zarr, float16 on cells": (partial(_zarr, maps=cells), _read_zarr),
    }
    missing = [] if installed("zarr") else [Way("zarr, float16 on cells", None, "not installed")]
    for way in missing:
        del stores[way.name]
    folders = {name: bench.folder / f"store{k}" for k, name in enumerate(stores)}
    for folder in folders.values():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    for title, kind in (("Writing", 0), ("Reading in random order", 1)):
        more = ({}, {"order": order})[kind]
        ways = [
            Way(name, partial(pair[kind], folders[name], **more)) for name, pair in stores.items()
        ]
        work, against = len(cells), "our store"
        yield compare(title, [*ways, *missing], bench=bench, work=work, against=against)
    sizes = {name: _bytes(folder) / len(cells) / 1000 for name, folder in folders.items()}
    rows = [Row(n, size, ratio=size / sizes["our store"]) for n, size in sizes.items()]
    yield Table("Size", "kB an image", "our store", rows, statistic="mean")
