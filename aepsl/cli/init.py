"""Write the configuration of a folder of photographs."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from aepsl.config.data import VOC_CLASSES
from aepsl.config.labels import SaliencyNetworkConfig
from aepsl.config.listing import flow_style
from aepsl.data.images import header_of
from aepsl.data.published import fetch_network
from aepsl.data.recognise import Recognised, recognise
from aepsl.errors import AepslError, told_once
from aepsl.host import INSTALL_CRF, INSTALL_ONNX, has_crf, has_onnx_runtime
from aepsl.stores.atomic import write_text

LAYOUTS = {
    "voc": "PASCAL VOC's layout",
    "folder": "one folder per class",
    "csv": "a table",
    "coco": "COCO's JSON",
    "huggingface": "Hugging Face's imagefolder",
}


def initialise(folder: Path, *, output: Path | None) -> None:
    """Look at a folder of photographs, say what is in it, and write its configuration.

    Args:
        folder: the photographs.
        output: the file to write; None: named after the folder, in the current folder.

    Raises:
        AepslError: if nothing can be learnt from the folder, or the file exists.
    """
    name = re.sub(r"[^\w.-]+", "-", folder.resolve().name).strip("-.") or "photographs"
    output = output or Path(f"{name}.yaml")
    if output.exists():
        raise AepslError.of(
            output, "already exists", "remove it, or name another file with --output"
        )
    dataset = recognise(folder)
    console = Console(highlight=False)
    _print(dataset, console)
    for problem in told_once(dataset.catalogue.problems):
        console.print(str(problem), markup=False, soft_wrap=True)
    missing = _no_saliency_network()
    if missing:
        console.print(
            "Saliency, from which background is learnt, will be computed without a network, which"
            f" is less accurate on photographs: {missing}, and remove saliency from the file.",
            markup=False,
            soft_wrap=True,
        )
    text = configuration(dataset, folder=folder, run=name, saliency_network=not missing)
    write_text(output, text)
    console.print(f"Wrote {output}.", markup=False, soft_wrap=True)
    console.print(f"Next: aepsl check {output}", markup=False, soft_wrap=True)
    console.print(f"      aepsl run {output}", markup=False, soft_wrap=True)


def _no_saliency_network() -> str:
    """Return why the preset's saliency network cannot be used, and what to do; "" if it can.

    The network is downloaded unless it is there.
    """
    if not has_onnx_runtime():
        return f"ONNX Runtime is not installed. To use the network, {INSTALL_ONNX}"
    name = SaliencyNetworkConfig().file
    try:
        fetch_network(name)
    except AepslError as error:
        (problem,) = error.problems
        return f"{problem.where}: {problem.what}. To use the network, {problem.hint}"
    return ""


def configuration(dataset: Recognised, *, folder: Path, run: str, saliency_network: bool) -> str:
    """Return the YAML of a dataset: at most fifteen lines.

    Without ``saliency_network``, saliency is computed from each photograph alone.
    """
    data = dict(dataset.settings, root=str(folder), class_names=_class_names(dataset))
    if not (folder / "masks").exists():
        data.setdefault("mask_folder", "masks")  # for those that are drawn later
    values: dict[str, Any] = {"base": ["photographs", "best"], "run": run, "data": data}
    values["networks"] = {"scale": _scale(dataset)}
    if not saliency_network:
        values["saliency"] = {"method": "robust_background"}  # needs no other file
    if not has_crf():
        values["crf"] = {"method": "local"}  # needs no compiler
    lines = [f"# {_summary(dataset)}"]
    for key, value in values.items():
        if isinstance(value, dict):
            lines += [f"{key}:", *(f"  {k}: {flow_style(v)}" for k, v in value.items())]
        else:
            lines.append(f"{key}: {flow_style(value)}")
    return "\n".join(lines) + "\n"


SEEN = 375
"""Longer side, px, at which the preset ``best`` looks at photographs, as it does at VOC's."""

LOOKED_AT = 200
"""Number of photographs, evenly spaced, whose size is looked at."""


def _scale(dataset: Recognised) -> float:
    """Return the factor that brings the dataset's usual size to :data:`SEEN`, at most 1."""
    paths = [item.path for item in dataset.catalogue.items.values()]
    sides = []
    for path in paths[:: 1 + len(paths) // LOOKED_AT]:
        with suppress(AepslError):  # a broken photograph: aepsl check names it
            sides.append(max(header_of(path).size))
    return min(1.0, float(f"{SEEN / median(sides):.2g}")) if sides else 1.0


def _class_names(dataset: Recognised) -> list[str]:
    """Return the classes in the order of the masks' values: VOC's, or sorted."""
    names = VOC_CLASSES if set(dataset.counts) <= set(VOC_CLASSES) else sorted(dataset.counts)
    return [
        name for name in names if name in dataset.counts or dataset.settings["adapter"] == "voc"
    ]


def _summary(dataset: Recognised) -> str:
    count, layout = len(dataset.catalogue.items), LAYOUTS[dataset.settings["adapter"]]
    return f"{count} photographs in {layout}, {len(dataset.counts)} classes"


def _photographs(number: int) -> str:
    return "1 photograph shows" if number == 1 else f"{number} photographs show"


def _print(dataset: Recognised, console: Console) -> None:
    console.print(_summary(dataset), markup=False)
    table = Table("class", "photographs")
    for name, count in sorted(dataset.counts.items()):
        table.add_row(name, str(count))
    if dataset.shows_nothing:
        table.add_row("(background only)", str(dataset.shows_nothing))
    if dataset.unlabelled:
        table.add_row("(no label: predicted only)", str(dataset.unlabelled))
    console.print(table, markup=False)
    several = sum(len(item.labels or ()) > 1 for item in dataset.catalogue.items.values())
    if several:
        console.print(f"{_photographs(several)} several classes.")
    splits = ", ".join(dataset.catalogue.splits())
    console.print(f"Splits: {splits or 'none; one in five is drawn for evaluation'}.", markup=False)
    if folder := dataset.settings.get("mask_folder"):
        values = ", ".join(f"{n} {name}" for n, name in enumerate(_class_names(dataset), start=1))
        console.print(
            f"True masks in {folder}, for scores only. Their values must be 0 background,"
            f" {values}; otherwise reorder class_names.",
            markup=False,
        )
    elif any(item.mask for item in dataset.catalogue.items.values()):
        console.print("True masks: those that the annotations give, for scores only.")
    else:
        console.print("No true masks: the report will have no scores.")
    if not has_crf():
        console.print(
            "The CRF is not installed, so masks are refined by local averages, which are less"
            f" accurate on photographs. For the CRF: {INSTALL_CRF}, and remove crf from the file.",
            markup=False,
        )
