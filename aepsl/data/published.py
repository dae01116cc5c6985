"""Published saliency networks, by the names that ``saliency.network.file`` takes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from aepsl.data.download import fetch_file, is_published
from aepsl.errors import AepslError


class Published(NamedTuple):
    """A file that anybody can download."""

    url: str
    digest: str
    """Name of a hash function, colon, hexadecimal digest."""
    about: str
    """What it is, and what it learnt from."""


NETWORKS = {
    "u2netp": Published(  # Apache-2.0
        "https://github.com/danielgatis/rembg/releases/download/v0.0.0/u2netp.onnx",
        "sha256:309c8469258dda742793dce0ebea8e6dd393174f89934733ecc8b14c76f4ddd8",
        "U2-Netp (Qin et al., 2020), trained on masks of salient objects without classes (DUTS-TR)",
    ),
}


def _beside_torchs(file: str) -> Path:
    """Return where a file is downloaded to: torch's folder of weights, found without torch."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    torch = Path(os.environ.get("TORCH_HOME") or cache / "torch")
    return torch.expanduser() / "hub" / "checkpoints" / file


def _of_rembg(file: str) -> Path:
    """Return where rembg keeps a file, which many have."""
    return Path(os.environ.get("U2NET_HOME") or Path.home() / ".u2net").expanduser() / file


def network_file(name: str) -> Path:
    """Return the file that ``saliency.network.file`` names: one of :data:`NETWORKS`, or a path.

    A published network need not be there: :func:`fetch_network` downloads it.
    """
    if name not in NETWORKS:
        return Path(name)
    ours, theirs = _beside_torchs(f"{name}.onnx"), _of_rembg(f"{name}.onnx")
    return theirs if not ours.exists() and is_published(theirs, NETWORKS[name].digest) else ours


def about_network(file: Path) -> str:
    """Return what a saliency network is, in words; little of a file that is not published here."""
    known = (about for about in NETWORKS.values() if is_published(file, about.digest))
    return next((network.about for network in known), "a network of the user's")


def fetch_network(name: str) -> None:
    """Download one of :data:`NETWORKS` unless it is there.

    Raises:
        AepslError: if the download fails.
    """
    about, path = NETWORKS[name], network_file(name)
    try:
        fetch_file(about.url, path, digest=about.digest)
    except (OSError, RuntimeError) as error:
        hint = f"download {about.url} elsewhere and put it there"
        what = f"the saliency network {name} could not be downloaded ({error})"
        raise AepslError.of(path, what, hint) from None
