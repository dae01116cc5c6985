"""The formats that a trained network is exported in."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from aepsl.deployment.hub import write_folder
from aepsl.deployment.onnx import write_onnx
from aepsl.deployment.provenance import provenance
from aepsl.deployment.sources import Source, find_network
from aepsl.errors import AepslError


def _onnx(path: Path, source: Source, license: str) -> None:
    about = provenance(source)
    facts = {"run": about.run or "", "variant": about.variant, "license": license}
    facts |= {"seed": str(about.settings["seed"]), "versions": json.dumps(about.versions)}
    write_onnx(path, source, facts=facts)


def _huggingface(path: Path, source: Source, license: str) -> None:
    write_folder(path, source, license=license)


FORMATS: dict[str, Callable[[Path, Source, str], None]] = {
    "onnx": _onnx,
    "huggingface": _huggingface,
}
"""Writers by format: a file for ONNX Runtime, a folder for Hugging Face's hub."""


def export(network: Path, output: Path, *, format: str, variant: str | None, license: str) -> None:
    """Export a trained network.

    Args:
        network: a run, a model file or an exported folder; see :func:`find_network`.
        output: the file or folder to write.
        format: one of :data:`FORMATS`.
        variant: the variant of a run.
        license: the identifier of the weights' licence.

    Raises:
        AepslError: if there is no such network, or ``output`` exists.
    """
    if output.exists():
        raise AepslError.of(output, "exists", "remove it, or give --output another name")
    FORMATS[format](output, find_network(network, variant=variant), license)
