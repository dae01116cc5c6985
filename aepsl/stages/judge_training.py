"""Decide whether a step's training succeeded, so that mining continues."""

from __future__ import annotations

from aepsl.config.mining import Success
from aepsl.console import log
from aepsl.errors import AepslError
from aepsl.mining.success import training_succeeds, uniform_loss
from aepsl.stages._options import Curve, DatasetFile, Output, Settings, Step
from aepsl.stores.atomic import write_manifest_json
from aepsl.stores.manifests import read_images
from aepsl.text import read_columns


def judge_training(
    config: Settings,
    dataset: DatasetFile,
    curve: Curve,
    step: Step,
    output: Output,
) -> None:
    """Decide whether the training of a step succeeded, so that mining continues.

    Writes the verdict with its reason.

    Raises:
        AepslError: if the training of step 1 failed: there is nothing to mine.
    """
    limits = config.section("mining.success", Success)
    manifest = read_images(dataset)
    uniform = uniform_loss(manifest.label_matrix(manifest.images), loss=config["mining.loss"])
    last = {name: values[-1] for name, values in read_columns(curve).items()}
    loss, recall = last.get("label_loss", last["loss"]), last["recall"]
    verdict = training_succeeds(
        loss=loss,
        recall=recall,
        uniform=uniform,
        largest_loss=limits.loss,
        smallest_recall=limits.recall,
    )
    log.info("step %d: %s: %s", step, "success" if verdict.success else "stop", verdict.reason)
    if step == 1 and not verdict.success:
        hint = "train longer or at a higher rate (mining.train), or relax mining.success"
        raise AepslError.of(str(curve), f"the first classifier failed: {verdict.reason}", hint)
    facts = {"step": step, "loss": loss, "recall": recall, "uniform_loss": uniform}
    write_manifest_json(output, verdict._asdict() | facts)
