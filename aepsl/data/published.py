"""Published saliency networks, by the names that ``saliency.network.file`` takes."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from aepsl.data.voc import shared_folder


class Published(NamedTuple):
    """A file that anybody can download."""

    url: str
    digest: str
    """Name of a hash function, colon, hexadecimal digest."""


NETWORKS = {
    "u2netp": Published(  # U2-Netp (Qin et al., 2020), Apache-2.0, trained on the masks of DUTS-TR
        "https://github.com/danielgatis/rembg/releases/download/v0.0.0/u2netp.onnx",
        "sha256:309c8469258dda742793dce0ebea8e6dd393174f89934733ecc8b14c76f4ddd8",
    ),
}


def network_file(name: str) -> Path:
    """Return the file that ``saliency.network.file`` names: one of :data:`NETWORKS`, or a path."""
    return shared_folder() / f"{name}.onnx" if name in NETWORKS else Path(name)
