"""Masks, overlays and areas of new photographs."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aepsl.concurrency import read_ahead
from aepsl.console import tracked
from aepsl.data.catalogue import image_paths
from aepsl.data.images import encode_jpeg, encode_mask, read_image, voc_palette
from aepsl.data.names import id_of
from aepsl.deployment.predictor import Predictor, Segmentation
from aepsl.errors import AepslError, Problem
from aepsl.report.escape import csv_cell
from aepsl.report.pictures import overlay_mask
from aepsl.stores.atomic import atomic_write, write_text

FIELDS = ("photograph", "class", "pixels", "area", "confidence", "score")
"""Columns of areas.csv: area is a share of the photograph; all but pixels are 0..1."""


def photographs(paths: Iterable[Path], *, without: Path) -> list[Path]:
    """Return the photographs that ``paths`` name: files, and image files in and below folders.

    Args:
        paths: files and folders; a photograph that is named twice is returned once.
        without: folder of the results of an earlier call, which are no photographs.

    Raises:
        AepslError: if a path does not exist, or there is no photograph.
    """
    files: dict[Path, Path] = {}
    for path in paths:
        if not path.exists():
            raise AepslError.of(path, "no such photograph or folder", "check the path")
        inside = list(image_paths(path, without=[without])) if path.is_dir() else [path]
        if not inside:
            raise AepslError.of(path, "there is no photograph in this folder", "check the path")
        for file in inside:
            files.setdefault(file.resolve(), file)
    if not files:
        raise AepslError.of("photographs", "none is given", "name files or folders, or use --list")
    return list(files.values())


def output_names(paths: Sequence[Path]) -> list[str]:
    """Return a name for the results of each photograph: the shortest kind that is unique.

    It is the file's name without suffix; if two are equal, with its folders; if still two are
    equal, with the suffix.

    >>> output_names([Path("a/x.jpg"), Path("b/x.jpg")])
    ['a__x', 'b__x']
    >>> output_names([Path("x.jpg"), Path("x.png")])
    ['x.jpg', 'x.png']

    Raises:
        AepslError: if two are equal even then.
    """
    absolute = [path.absolute() for path in paths]
    common = Path(os.path.commonpath([path.parent for path in absolute])) if paths else Path()
    folders = [id_of(path.relative_to(common)) for path in absolute]
    suffixed = [name + path.suffix for name, path in zip(folders, paths, strict=True)]
    for names in ([path.stem for path in paths], folders, suffixed):
        known: dict[str, Path] = {}
        for name, path in zip(names, paths, strict=True):
            if (other := known.setdefault(name.casefold(), path)) != path:
                break
        else:
            return names
    what = f"has the same name as {other}, once folders are joined by __"
    raise AepslError.of(path, what, "rename one of them")


class Read(NamedTuple):
    """A photograph that was read, and the name of its results."""

    path: Path
    name: str
    pixels: NDArray[np.uint8]


def _read(item: tuple[Path, str]) -> Read | AepslError:
    path, name = item
    try:
        return Read(path, name, read_image(path))
    except AepslError as error:
        return error


def _readable(
    items: Iterable[tuple[Path, str]], problems: list[Problem], *, ahead: int
) -> Iterator[Read]:
    """Yield the photographs in order, but for those that are added to ``problems``."""
    with read_ahead(_read, items, ahead=ahead) as read:
        for result in read:
            if isinstance(result, AepslError):
                problems += result.problems
            else:
                yield result


def _batches(photographs: Iterable[Read], *, size: int) -> Iterator[list[Read]]:
    """Yield up to ``size`` consecutive photographs of equal height and width."""
    for _, equal in groupby(photographs, lambda read: read.pixels.shape):
        while batch := list(islice(equal, size)):
            yield batch


def _rows(read: Read, segmentation: Segmentation) -> Iterator[tuple[object, ...]]:
    for name, pixels, area, confidence in segmentation.areas():
        score = segmentation.scores.get(name)
        shown = "" if score is None else f"{score:.4f}"
        place = csv_cell(str(read.path))
        yield place, csv_cell(name), pixels, f"{area:.4f}", f"{confidence:.4f}", shown


def _write(read: Read, segmentation: Segmentation, folder: Path) -> None:
    shown = overlay_mask(read.pixels, segmentation.mask, voc_palette())
    for path, content in (
        (folder / "masks" / f"{read.name}.png", encode_mask(segmentation.mask)),
        (folder / "overlays" / f"{read.name}.jpg", encode_jpeg(shown)),
    ):
        with atomic_write(path) as temporary:
            temporary.write_bytes(content)


def segment(
    predictor: Predictor, paths: Sequence[Path], output: Path, *, batch_size: int
) -> list[Problem]:
    """Write mask, overlay and areas of each photograph.

    Args:
        predictor: the network.
        paths: image files.
        output: the folder for ``masks/<name>.png`` with VOC's palette, ``overlays/<name>.jpg``, and
            ``areas.csv``; see :data:`FIELDS`.
        batch_size: most photographs of one size that are computed together.

    Returns:
        One problem for each photograph that cannot be read; the others are done.
    """
    items = list(zip(paths, output_names(paths), strict=True))
    problems: list[Problem] = []
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(FIELDS)
    read = tracked(items, total=len(items), what="segment")
    readable = _readable(read, problems, ahead=2 * batch_size)
    try:
        for batch in _batches(readable, size=batch_size):
            for one, segmentation in zip(
                batch, predictor.batch([b.pixels for b in batch]), strict=True
            ):
                _write(one, segmentation, output)
                table.writerows(_rows(one, segmentation))
    finally:  # whoever stops it has the areas of the masks that are there
        write_text(output / "areas.csv", text.getvalue())
    return problems
