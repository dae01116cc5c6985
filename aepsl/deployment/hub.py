"""Export of a trained network as a folder for Hugging Face's hub."""

from __future__ import annotations

from pathlib import Path

from aepsl.config.segmentation import Prediction
from aepsl.deployment.provenance import provenance
from aepsl.deployment.sources import MODEL, SETTINGS, Source
from aepsl.masks import BACKGROUND_NAME
from aepsl.report.card import render_card
from aepsl.stores.atomic import atomic_folder, write_json, write_text


def write_folder(path: Path, source: Source, *, license: str) -> None:
    """Write weights, configuration and model card; ``aepsl.load`` reads the folder.

    Args:
        path: the folder to write.
        source: the network, and how its masks are predicted.
        license: the identifier of the weights' licence, for the card.

    Raises:
        AepslError: if the stored network is unreadable.
    """
    about = provenance(source)
    names = (BACKGROUND_NAME, *about.class_names)
    views = source.prediction.model_dump(include=set(Prediction.model_fields) - {"palette_png"})
    card = render_card(about, license=license)
    settings = {
        "model_type": "aepsl",
        "id2label": {str(value): name for value, name in enumerate(names)},
        "network": about.shape,
        "input": about.convention,
        "prediction": views,
        "crf": source.crf.kernels(),
        "variant": about.variant,
        "training": about.settings,
        "versions": about.versions,
    }
    with atomic_folder(path) as folder:
        (folder / MODEL).write_bytes(source.model.read_bytes())
        write_json(folder / SETTINGS, settings)
        write_text(folder / "README.md", card)
