"""Label Studio: masks as predictions that a person corrects with the brush."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

import numpy as np
from numpy.typing import NDArray

from aepsl.console import tracked
from aepsl.data.images import voc_palette
from aepsl.errors import AepslError
from aepsl.exchange.labelled import Labelled, LabelledImage
from aepsl.exchange.labelmap import values_of
from aepsl.masks import IGNORED_NAME
from aepsl.stores.atomic import write_json, write_text

LOCAL_FILES = "/data/local-files/?d="
"""Prefix of a photograph in Label Studio's local storage, whose root is the dataset's folder."""


def write_label_studio(labelled: Labelled, folder: Path) -> None:
    """Write ``config.xml``, the labelling interface, and ``tasks.json``, to be imported.

    Ignored pixels have the label ``ignored``; background has none.

    Raises:
        AepslError: if a class is called ``ignored``.
    """
    if IGNORED_NAME in labelled.class_names:
        what = f"the class {IGNORED_NAME!r} has the name of ignored pixels"
        raise AepslError.of("data.class_names", what, "rename it")
    palette = voc_palette()
    values = {name: value for name, value in values_of(labelled.class_names).items() if value}
    labels = "".join(
        "    <Label value={} background={}/>\n".format(
            quoteattr(name), quoteattr("#{:02x}{:02x}{:02x}".format(*palette[value]))
        )
        for name, value in values.items()
    )
    write_text(
        folder / "config.xml",
        '<View>\n  <Image name="image" value="$image"/>\n'
        f'  <BrushLabels name="brush" toName="image">\n{labels}  </BrushLabels>\n</View>\n',
    )
    progress = tracked(labelled.images, total=len(labelled.images), what="labelstudio")
    write_json(folder / "tasks.json", [_task(image, values) for image in progress])


def _task(image: LabelledImage, values: dict[str, int]) -> dict[str, Any]:
    results = list(_results(image, values))
    return {
        "data": {"image": LOCAL_FILES + quote(image.entry.path)},
        "predictions": [{"model_version": "aepsl", "result": results}],
    }


def _results(image: LabelledImage, values: dict[str, int]) -> Iterator[dict[str, Any]]:
    mask, entry = image.mask(), image.entry
    for name, value in values.items():
        if not (region := mask == value).any():
            continue
        yield {
            "id": f"label{value}",
            "type": "brushlabels",
            "from_name": "brush",
            "to_name": "image",
            "original_width": entry.width,
            "original_height": entry.height,
            "image_rotation": 0,
            "value": {"format": "rle", "rle": brush_runs(region), "brushlabels": [name]},
        }


WIDTHS = (3, 4, 8, 16)
"""Bits of the length of a run, one of four; a block names its width in two bits."""


def brush_runs(region: NDArray[np.bool_]) -> list[int]:
    """Return a (height, width) region as the bytes of Label Studio's brush.

    A stream of bits: the number of values in 32 bits; the bits of a value less one in 5; the four
    widths less one in 4 bits each; then blocks. A block of equal values is a bit 1, the number of
    its width in 2 bits, its length less one in so many, and the value in 8. Each pixel is four
    equal values, 0 or 255: red, green, blue and alpha.
    """
    flat = region.ravel()
    starts = np.flatnonzero(np.concatenate([[True], flat[1:] != flat[:-1]]))
    lengths = 4 * np.diff(np.append(starts, flat.size))
    bits = f"{4 * flat.size:032b}{7:05b}" + "".join(f"{width - 1:04b}" for width in WIDTHS)
    blocks = [bits]
    for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
        for part in _parts(length):
            number = next(k for k, width in enumerate(WIDTHS) if part <= 1 << width)
            value = 255 if flat[start] else 0
            blocks.append(f"1{number:02b}{part - 1:0{WIDTHS[number]}b}{value:08b}")
    stream = "".join(blocks)
    stream += "0" * (-len(stream) % 8)
    return list(int(stream, 2).to_bytes(len(stream) // 8, "big"))


def _parts(length: int) -> Iterator[int]:
    """Yield the lengths of the blocks of a run."""
    most = 1 << WIDTHS[-1]
    while length > 0:
        yield min(length, most)
        length -= most
