"""Masks that a person corrected: a folder of PNGs, or a COCO file.

The name of a mask tells its photograph: by the image id, the path, or the end of only one path.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath

import numpy as np
from numpy.typing import NDArray

from aepsl.data.coco import AnnotatedImage, read_annotations
from aepsl.data.coco_masks import draw
from aepsl.data.images import header_of, read_image, read_mask
from aepsl.data.names import id_of, normalised
from aepsl.errors import MOST_EQUAL, AepslError, Problem, did_you_mean
from aepsl.exchange import labelmap
from aepsl.exchange.correction_files import labelmaps_above, masks_folder, masks_in
from aepsl.exchange.labelled import places_of
from aepsl.stores.manifests import ImageEntry

Source = Path | AnnotatedImage
"""A corrected mask: a PNG, or an image of a COCO file."""


def find_corrections(path: Path, images: Sequence[ImageEntry]) -> dict[str, Source]:
    """Return the corrected mask of each photograph that has one, by image id.

    Args:
        path: a folder of PNGs, or a COCO file; of the latter, images without annotations are left
            as they are.
        images: all photographs that may be corrected.

    Raises:
        AepslError: if there is no mask; or listing those of no photograph, or of the same one.
    """
    named = list(_named(path))
    if not named:
        hint = "put in PNG files that are named like the photographs"
        if path.is_file():
            hint = "annotate at least one photograph"
        raise AepslError.of(path, "there is no corrected mask in it", hint)
    known = _ids_by_name(images)
    names = {name for level in known for name in level}
    corrections: dict[str, Source] = {}
    problems, unknown = [], []
    for name, where, source in named:
        wanted = id_of(PurePath(name)), _name(name)
        matches = next((level[w] for level in known for w in wanted if w in level), [])
        if not matches:
            unknown.append((name, where))
        elif len(matches) > 1:
            what = f"may be the mask of {len(matches)} photographs, for instance {matches[0]}"
            problems.append(Problem(where, what, f"name it by the image id: {matches[0]}.png"))
        elif matches[0] in corrections:
            what = f"is another mask of image {matches[0]}"
            problems.append(Problem(where, what, "keep one"))
        else:
            corrections[matches[0]] = source
    for name, where in unknown:
        near = did_you_mean(_name(name), names) if len(unknown) <= MOST_EQUAL else ""
        hint = f"{near} " if near else ""
        hint += "only training photographs can be corrected; name it by the image id"
        problems.append(Problem(where, "no training photograph has this name", hint))
    if problems:
        raise AepslError(problems, f"{path}: {len(problems)} problem(s) with corrected masks:")
    return corrections


def read_correction(
    source: Source, image: ImageEntry, class_names: Sequence[str]
) -> NDArray[np.uint8]:
    """Return a corrected mask: 0 background, 1 + class, 255 ignored.

    Args:
        source: a PNG: its values, or the colours in CVAT's list of labels, else in VOC's palette.
        image: the photograph.
        class_names: the classes of the run, in the order of their values.

    Raises:
        AepslError: if the mask is unreadable, has another size, or an unknown value or class.
    """
    if isinstance(source, AnnotatedImage):
        return draw(source, class_names, height=image.height, width=image.width)
    mask = _values(source, class_names)
    if mask.shape != (image.height, image.width):
        height, width = mask.shape
        what = f"the mask is {width}x{height} pixels, its image {image.width}x{image.height}"
        raise AepslError.of(source, what, "correct it in the size of the photograph")
    strange = sorted(set(np.unique(mask).tolist()) - set(labelmap.values_of(class_names).values()))
    if strange:
        hint = "0 background, 255 ignored, "
        hint += ", ".join(f"{n} {name}" for n, name in enumerate(class_names, start=1))
        raise AepslError.of(source, f"contains the value {strange[0]}, which is no class's", hint)
    return mask


def _values(file: Path, class_names: Sequence[str]) -> NDArray[np.uint8]:
    """Return the values of a PNG; a palette's are its indices, unless CVAT's list is there."""
    listed = next((path for path in labelmaps_above(file.parent) if path.exists()), None)
    coloured = ("RGB", "RGBA", "P") if listed else ("RGB", "RGBA")
    if header_of(file).mode not in coloured:
        return read_mask(file)
    names = labelmap.read_labelmap(listed) if listed else labelmap.palette(class_names)
    try:
        return labelmap.as_values(read_image(file), names, class_names)
    except LookupError as error:
        hint = f"use the colours in {listed or 'VOC’s palette'}, without soft edges; the classes"
        hint += f" are {', '.join(class_names)}"
        raise AepslError.of(file, f"contains {error.args[0]}", hint) from None


def _named(path: Path) -> Iterator[tuple[str, str, Source]]:
    """Yield each corrected mask: its name, where it is, and what holds it."""
    if path.suffix == ".zip":
        raise AepslError.of(path, "is an archive", "unpack it, and name its folder")
    if not path.is_dir():
        for image in read_annotations(path):
            if image.annotations:
                yield image.name, f"{path}: {image.name}", image
        return
    for file in masks_in(path):
        yield file.relative_to(masks_folder(path)).as_posix(), str(file), file


def _ids_by_name(images: Sequence[ImageEntry]) -> list[Mapping[str, list[str]]]:
    """Return the image ids that each name means, the most exact names first.

    They are the id; the path; the path from the folder of all photographs, as in CVAT's export;
    and the end of a path.
    """
    ids, paths, places, ends = (defaultdict[str, list[str]](list) for _ in range(4))
    for image, place in zip(images, places_of([image.path for image in images]), strict=True):
        ids[image.id].append(image.id)
        paths[_name(image.path)].append(image.id)
        places[_name(place)].append(image.id)
        parts = _name(image.path).split("/")
        for start in range(len(parts)):
            ends["/".join(parts[start:])].append(image.id)
    return [ids, paths, places, ends]


def _name(path: str) -> str:
    """Return a path without its suffix."""
    return PurePath(normalised(path)).with_suffix("").as_posix()
