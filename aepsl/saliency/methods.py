"""The saliency methods and their requirements; importing this module imports no method."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Detector: TypeAlias = "Callable[[NDArray[np.uint8]], NDArray[np.float32]]"
"""Function from a (height, width, 3) RGB image to its (height, width) saliency, 0..1.

Raises ``ValueError`` if the method's file is invalid.
"""


def _robust_background(*, superpixels: int) -> Detector:
    from aepsl.saliency.robust_background import robust_background_saliency

    return partial(robust_background_saliency, superpixels=superpixels)


def _network(*, network: Mapping[str, Any], source: Path, threads: int, device: str) -> Detector:
    from aepsl.saliency.network import DetectorOptions, SaliencyNetwork

    options = {name: value for name, value in network.items() if name != "file"}
    return SaliencyNetwork(source, DetectorOptions(**options), threads=threads, device=device)


class Method(NamedTuple):
    """One method of saliency detection."""

    options: tuple[str, ...] = ()
    """Keys of the section ``saliency`` that the method reads, besides its source."""
    source_key: str | None = None
    """Key of that section with the path of the file or folder that the method reads."""
    on_device: bool = False
    """Whether the method runs on the configured device, in one process with all threads of the job;
    otherwise it runs on the CPU, in one process per thread."""
    about: str = ""
    """Where the maps come from, in words; empty if that depends on the method's file."""
    make: Callable[..., Detector] | None = None
    """Function from the options to a detector; also takes ``source`` if the method has one, and
    ``threads`` and ``device`` if it runs on a device. None if nothing is computed."""

    @property
    def reads_maps(self) -> bool:
        """Whether the maps exist already, in the source folder."""
        return self.make is None and self.source_key is not None


METHODS = {
    "robust_background": Method(
        ("superpixels",),
        about="computed from each photograph alone, without training (robust background detection)",
        make=_robust_background,
    ),
    "network": Method(("network",), "network.file", on_device=True, make=_network),
    "precomputed": Method(source_key="folder", about="maps of the user's"),
    "none": Method(),
}
