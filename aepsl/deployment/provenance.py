"""How a network came about: what a model card says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from aepsl import __version__
from aepsl.deployment.sources import Source, found_in, stored
from aepsl.report.scores import target_title
from aepsl.stores.manifests import ImageManifest, read_images
from aepsl.stores.models import load_model
from aepsl.stores.records import Store
from aepsl.targets import TARGETS
from aepsl.text import parse_json, read_json


@dataclass(frozen=True)
class Provenance:
    """Origin of a network; what is unknown outside of a run is None or empty."""

    class_names: tuple[str, ...]
    shape: Mapping[str, Any]
    """Options of the network: :class:`aepsl.networks.models.NetworkShape`."""
    convention: Mapping[str, Any]
    """Normalisation of its input: mean and scale of RGB in 0..255."""
    settings: Mapping[str, Any]
    """The settings of its training, by dotted key."""
    run: str | None
    variant: str
    drawn_masks: str | None
    """How many of the masks that it learnt from people drew: ``all``, ``some`` or ``none``."""
    trained_on: ImageManifest | None
    detector: str
    """Where the saliency maps came from, in words; empty if there were none."""
    scores: tuple[Mapping[str, Any], ...]
    """The scores of its predictions, one row a target, with split, images, seed and mIoU."""

    @property
    def pretrained(self) -> str:
        """What the backbone was initialised with."""
        weights = str(self.settings["networks"]["weights"])
        return "nothing: random weights" if weights == "random" else weights

    @property
    def versions(self) -> dict[str, str]:
        """The versions of this package and of torch."""
        return {"aepsl": __version__, "torch": version("torch")}


def provenance(source: Source) -> Provenance:
    """Return the origin of a stored network.

    Raises:
        AepslError: if the model or a file of its run is unreadable.
    """
    _, facts = load_model(source.model)
    run = source.run
    return Provenance(
        tuple(facts["class_names"]),
        facts["shape"],
        facts["input"],
        parse_json(facts["config"], source.model),
        run.resolve().name if run else None,
        source.variant,
        facts.get("drawn_masks"),
        _trained_on(run, source.variant) if run else None,
        _detector(run, source.variant) if run else "",
        tuple(_scores(run, source.variant)) if run else (),
    )


def _trained_on(run: Path, variant: str) -> ImageManifest | None:
    """Return the training images: of the variant, or of the only one that lists images."""
    own = stored(run, "index_images", "manifest", role="train", name=variant)
    others = found_in(run, "index_images", "manifest", role="train", name="*")
    listed = [own] if own.exists() else others
    return read_images(listed[0]) if len(listed) == 1 else None


def _detector(run: Path, variant: str) -> str:
    """Return where saliency came from: of the variant, or of the only one that has any."""
    own = stored(run, "detect_saliency", "manifest", name=variant, shard=0)
    others = found_in(run, "detect_saliency", "manifest", name="*", shard=0)
    found = [own] if own.exists() else others
    if len(found) != 1:
        return ""
    return str(Store(found, kind="saliency", all_shards=False).facts()["detector"])


def _scores(run: Path, variant: str) -> Iterator[Mapping[str, Any]]:
    """Yield the rows about predictions that have true masks to compare with."""
    table = stored(run, "summarise", "scores")
    for row in read_json(table) if table.exists() else ():
        evaluated = TARGETS[row["target"]].role == "eval"
        if row["variant"] == variant and evaluated and row["miou"] is not None:
            yield {**row, "title": target_title(row)}
