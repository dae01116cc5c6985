"""Read photographs and masks: the pixels that an image viewer shows, or an AepslError."""

from __future__ import annotations

import hashlib
import io
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from aepsl.errors import AepslError, read_error, require_file

_BOMBS = (Image.DecompressionBombWarning, Image.DecompressionBombError)

_SIXTEEN_BIT = ("I;16", "I;16B", "I;16L", "I")


def to_rgb(image: Image.Image) -> Image.Image:
    """Return an upright 8-bit RGB image; transparent pixels become white, as on a web page."""
    image = ImageOps.exif_transpose(image)
    if image.mode in _SIXTEEN_BIT:
        wide = np.asarray(image).astype(np.uint32)
        return Image.fromarray((wide >> 8).clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    if image.mode in ("RGBA", "LA", "PA"):
        rgba = image.convert("RGBA")
        page = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(page, rgba).convert("RGB")
    return image.convert("RGB")


def _content(path: Path, sha256: str | None) -> io.BytesIO:
    """Return the content of a file after checking its digest."""
    require_file(path)
    content = path.read_bytes()
    if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
        raise AepslError.of(path, "was modified after it was indexed", "run Snakemake again")
    return io.BytesIO(content)


def read_image(path: Path, *, sha256: str | None = None) -> NDArray[np.uint8]:
    """Return a photograph as (height, width, 3) RGB, 0..255.

    Grey, palette, CMYK, transparent and 16-bit files are converted; EXIF rotation is applied.
    Only the first picture of a camera's multi-picture file (MPO) is read.

    Args:
        path: the file.
        sha256: expected digest, from the index.

    Raises:
        AepslError: if the file is missing, empty, truncated, modified, an animation, or no image.
    """
    try:
        content = _content(path, sha256)
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(content) as image:
                frames = getattr(image, "n_frames", 1)
                if frames > 1 and image.format != "MPO":
                    what = f"an animation of {frames} frames"
                    raise AepslError.of(path, what, "save the frame that its labels are about")
                return np.asarray(to_rgb(image))
    except FileNotFoundError:
        raise AepslError.of(
            path, "the image does not exist", "put it there, or take it out of the split"
        ) from None
    except UnidentifiedImageError:
        empty = path.stat().st_size == 0
        what = "the file is empty" if empty else "not a readable image format"
        raise AepslError.of(path, what, "replace it, or take it out of the split") from None
    except (OSError, ValueError, SyntaxError, *_BOMBS) as error:
        hint = "replace it, or take it out of the split"
        raise read_error(error, path, f"the image is broken ({error})", hint) from None


class Header(NamedTuple):
    """What a file says of its image before the pixels."""

    mode: str
    """How the pixels are stored: P (palette), L (grey), RGB, or another mode of Pillow."""
    size: tuple[int, int]
    """Width and height, pixels, before any turn that EXIF asks for."""


def header_of(path: Path) -> Header:
    """Return what a file says of its image, without reading the pixels.

    Raises:
        AepslError: if the file is no image.
    """
    try:
        require_file(path)
        with Image.open(path) as image:
            return Header(image.mode, image.size)
    except UnidentifiedImageError:
        raise AepslError.of(path, "not a readable image format", "replace the file") from None
    except (OSError, ValueError, SyntaxError, *_BOMBS) as error:
        what = f"the image is broken ({error})"
        raise read_error(error, path, what, "replace the file") from None


def read_mask(path: Path, *, sha256: str | None = None) -> NDArray[np.uint8]:
    """Return a true mask's (height, width) values: palette indices or grey values.

    Args:
        path: the file.
        sha256: expected digest, from the index.

    Raises:
        AepslError: if the file is unreadable, stores colours instead of indices, or was modified.
    """
    try:
        with Image.open(_content(path, sha256)) as image:
            if image.mode not in ("P", "L", "1"):
                raise AepslError.of(
                    path, f"the mask has mode {image.mode}", "store class indices (palette or grey)"
                )
            return np.asarray(image).astype(np.uint8)
    except UnidentifiedImageError:
        what = "not a readable image format"
        raise AepslError.of(path, what, "replace the file") from None
    except (OSError, ValueError, SyntaxError, *_BOMBS) as error:
        what = f"the mask is broken ({error})"
        raise read_error(error, path, what, "replace the file") from None


def values_in(path: Path) -> list[int]:
    """Return the values of a true mask, in order; see :func:`read_mask`."""
    return list(map(int, np.unique(read_mask(path))))


def voc_palette(colours: int = 256) -> NDArray[np.uint8]:
    """Return PASCAL VOC's (colours, 3) palette: bits of a class index alternate between channels.

    >>> voc_palette(3).tolist()
    [[0, 0, 0], [128, 0, 0], [0, 128, 0]]
    """
    numbers = np.arange(colours)[:, None]
    palette = np.zeros((colours, 3), np.int64)
    for bit in range(7, -1, -1):
        palette |= ((numbers >> np.arange(3)) & 1) << bit
        numbers = numbers >> 3
    return palette.astype(np.uint8)


def mask_image(mask: NDArray[np.uint8]) -> Image.Image:
    """Return a mask as an image with VOC's palette; its values stay the classes."""
    image = Image.fromarray(mask)
    image.putpalette(voc_palette().ravel().tolist())
    return image


def encode_mask(mask: NDArray[np.uint8]) -> bytes:
    """Return a mask as a PNG with VOC's palette."""
    content = io.BytesIO()
    mask_image(mask).save(content, format="PNG")
    return content.getvalue()


def encode_jpeg(pixels: NDArray[np.uint8]) -> bytes:
    """Return a (height, width, 3) RGB picture as a JPEG."""
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, format="JPEG", quality=90)
    return content.getvalue()


def decode_mask(png: bytes) -> NDArray[np.uint8]:
    """Return the (height, width) values of a mask that :func:`encode_mask` encoded."""
    with Image.open(io.BytesIO(png)) as image:
        return np.asarray(image)


def write_mask(path: Path, mask: NDArray[np.uint8]) -> None:
    """Write a mask as a PNG with VOC's palette."""
    path.write_bytes(encode_mask(mask))


def read_grey(path: Path) -> NDArray[np.float32]:
    """Return a (height, width) map, 0..1, from an 8-bit image.

    Raises:
        AepslError: if the file is unreadable.
    """
    try:
        require_file(path)
        with Image.open(path) as image:
            return np.asarray(image.convert("L")).astype(np.float32) / np.float32(255)
    except (OSError, ValueError, SyntaxError, *_BOMBS) as error:
        hint = "write one 8-bit map per image"
        raise read_error(error, path, f"not readable ({error})", hint) from None
