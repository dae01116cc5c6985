"""Where a trained network comes from: a run, a model file, an exported folder or ONNX file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aepsl.config.sections import parse
from aepsl.config.segmentation import Crf, Prediction
from aepsl.errors import AepslError, did_you_mean
from aepsl.stores.atomic import digest_of
from aepsl.stores.records import Store
from aepsl.text import parse_json, read_json
from aepsl.workflow.inputs import MAIN
from aepsl.workflow.stages import STAGES

MODEL, SETTINGS = "model.safetensors", "config.json"
"""The files of an exported folder, named as on Hugging Face's hub."""


@dataclass(frozen=True)
class Source:
    """A stored segmentation network, and how its masks are predicted."""

    model: Path
    prediction: Prediction
    crf: Crf
    run: Path | None = None
    """Folder of the run that trained it."""
    variant: str = ""


def stored(run: Path, stage: str, file: str, **wildcards: object) -> Path:
    """Return where a run keeps an output of a stage; ``*`` stands for any name."""
    return run / STAGES[stage].files[file].format(**wildcards)


def found_in(run: Path, stage: str, file: str, **wildcards: object) -> list[Path]:
    """Return the outputs of a stage in a run, in order; ``*`` stands for any name."""
    return sorted(run.glob(stored(Path(), stage, file, **wildcards).as_posix()))


def _facts(run: Path, stage: str, variant: str) -> Mapping[str, Any]:
    manifest = stored(run, stage, "manifest", name=variant, shard=0)
    return Store([manifest], kind="predictions", all_shards=False).facts()


def _given(config: Mapping[str, Any], section: str) -> dict[str, Any]:
    start = f"{section}."
    return {k.removeprefix(start): v for k, v in config.items() if k.startswith(start)}


def _of_variant(run: Path, variant: str, model: Path) -> Source:
    """Return a network with the settings that the run has predicted with."""
    predicted = parse_json(_facts(run, "predict", variant)["config"], run)
    refined = stored(run, "refine_predictions", "manifest", name=variant, shard=0)
    crf = _facts(run, "refine_predictions", variant)["config"] if refined.exists() else "{}"
    return Source(
        model,
        parse(Prediction, _given(predicted, "prediction"), where=str(run)),
        parse(Crf, _given(parse_json(crf, run), "crf"), where=str(run)),
        run,
        variant,
    )


def _variants(run: Path) -> list[str]:
    return [path.parent.name for path in found_in(run, "predict", "manifest", name="*", shard=0)]


def _in_run(run: Path, variant: str | None) -> Source:
    variants = _variants(run)
    if not variants:
        hint = "let the run finish, or give a model file: segmentation/*/round*/model.safetensors"
        raise AepslError.of(run, "this run has no predictions yet", hint)
    if variant is None:
        variant = MAIN if MAIN in variants else variants[0]
        if variant != MAIN and len(variants) > 1:
            hint = f"choose a variant: {', '.join(variants)}"
            raise AepslError.of(run, "has several networks", hint)
    if variant not in variants:
        hint = did_you_mean(variant, variants) or f"there are {', '.join(variants)}"
        raise AepslError.of(run, f"has no variant {variant!r} with a network of its own", hint)
    wanted = _facts(run, "predict", variant)["model"]
    for model in found_in(run, "train_segmentation", "model", name="*", round="*"):
        if digest_of(model) == wanted:
            return _of_variant(run, variant, model)
    what = f"the network that predicted {variant} is no longer there"
    raise AepslError.of(run, what, "run its configuration again")


def _model_file(path: Path) -> Source:
    """Return the network of a model file, with its run's settings if it lies in a run.

    A network of an earlier round predicted nothing: it gets the settings of its folder's variant.
    """
    run = path.resolve().parents[3] if len(path.resolve().parents) > 3 else path.parent
    digest, variants = digest_of(path), _variants(run)
    for variant in variants:
        if _facts(run, "predict", variant)["model"] == digest:
            return _of_variant(run, variant, path)
    if (folder := path.resolve().parents[1].name) in variants:
        return _of_variant(run, folder, path)
    return Source(path, Prediction(), Crf())


def _exported(folder: Path) -> Source:
    settings = read_json(folder / SETTINGS)
    try:
        prediction, crf = settings["prediction"], settings["crf"]
    except (KeyError, TypeError):
        hint = "export the network again: aepsl export"
        raise AepslError.of(folder / SETTINGS, "not of an exported network", hint) from None
    where = str(folder / SETTINGS)
    return Source(
        folder / MODEL,
        parse(Prediction, prediction, where=where),
        parse(Crf, crf, where=where),
        variant=str(settings.get("variant", "")),
    )


def find_network(path: Path, *, variant: str | None = None) -> Source:
    """Return the network at ``path``, and the settings that its run predicts with.

    Args:
        path: the folder of a run, a folder that ``aepsl export`` wrote, or a model file. A model
            file outside of a run predicts at the photograph's own scale.
        variant: the variant of a run; None: ``main``.

    Raises:
        AepslError: if there is no network, or it is not said which.
    """
    if path.suffix == ".safetensors" and path.is_file():
        return _model_file(path)
    if (path / SETTINGS).exists() and (path / MODEL).exists():
        return _exported(path)
    if path.is_dir() and any(_run_folders(path)):
        return _in_run(path, variant)
    hint = "give results/<run>, a model.safetensors, or what aepsl export wrote"
    what = "no trained network is in this folder" if path.is_dir() else "no such network"
    raise AepslError.of(path, what, hint)


def _run_folders(path: Path) -> Iterator[Path]:
    return (path / name for name in ("predictions", "segmentation") if (path / name).is_dir())
