"""What the Snakefile asks of a run: what each rule reads, and what the targets are."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from aepsl.workflow import ablations
from aepsl.workflow.codedigest import code_digest
from aepsl.workflow.resources import Resources
from aepsl.workflow.stages import STAGES, label_stage

OF_EVALUATION = ("predictions", "predictions_crf")
"""What is scored on the photographs predicted; the rest is scored on those learnt from."""


class Workflow(Resources):
    """The results of a run as Snakemake sees them: functions of a rule's wildcards ``w``."""

    # What a rule reads

    def params(self, stage: str) -> Callable[[Any], str]:
        """Return what gives a rule's ``--config``: a callable, for JSON has braces."""
        return lambda w: self.variants.slice_of(stage, w.name)

    def index_params(self, kind: str) -> Callable[[Any], str]:
        """Return the same for the index of ``images`` or ``truth``, of one part of the dataset."""
        return lambda w: self.variants.slice_of(f"{w.part}_{kind}", w.name)

    def code(self, stage: str) -> str:
        """Return the digest of the code behind ``stage``."""
        return self.module_code(STAGES[stage].module)

    def module_code(self, module: str) -> str:
        """Return the digest of the code behind a module of ``aepsl.stages``."""
        return code_digest(f"aepsl.stages.{module}")

    def inputs(self, stage: str, *, back: int = 0) -> Callable[[Any], list[str]]:
        """Return what gives the files of the store of ``stage``, ``back`` steps earlier."""
        return lambda w: self.store(stage, w.name, int(w.step) - back)

    def part(self, store: Callable[[Any], list[str]]) -> Callable[[Any], list[str]]:
        """Return what gives of a store the part about the images of the job.

        Shards are of the same images in every store; a store without images has but one.
        """

        def find(w: Any) -> list[str]:
            files = store(w)
            return [f for f in files if f.rpartition("/")[2].startswith(f"{w.shard}.")] or files

        return find

    def shards_of(self, stage: str) -> Callable[[Any], int]:
        """Return what gives the number of parts of ``stage``."""
        return lambda w: self.shards(stage, w.name)

    def dataset(self, w: Any) -> str:
        """Return the manifest of the photographs that a variant learns from."""
        return f"{self.folder('train_images', w.name)}/manifest.jsonl"

    def evaluated(self, w: Any) -> str:
        """Return the manifest of the photographs that a variant predicts."""
        return f"{self.folder('eval_images', w.name)}/manifest.jsonl"

    def true_masks(self, w: Any) -> str:
        """Return the manifest of the true masks of the photographs learnt from."""
        return f"{self.folder('train_truth', w.name)}/manifest.jsonl"

    def evaluated_masks(self, w: Any) -> str:
        """Return the manifest of the true masks of the photographs predicted."""
        return f"{self.folder('eval_truth', w.name)}/manifest.jsonl"

    def indexed(self, w: Any) -> str:
        """Return the manifest of the photographs whose masks are indexed."""
        return f"{self.folder(f'{w.part}_images', w.name)}/manifest.jsonl"

    def scenes(self, w: Any) -> list[str]:
        """Return the digest of the generated scenes, if they are used; it lies beside them."""
        data = self.variants[w.name].data
        return [f"{self.folder('scenes', w.name)}/scenes.json"] if data.adapter == "scenes" else []

    def calibration(self, w: Any) -> list[str]:
        """Return the file with the delta of a step, if it is to be found."""
        if self.variants[w.name].mining.area is None:
            return []
        return [f"{self.folder('calibration', w.name, int(w.step))}/delta.json"]

    def classifier(self, w: Any) -> str:
        """Return the classifier of a step."""
        return self.model("classifier", w.name, int(w.step))

    def classifier_curve(self, w: Any) -> str:
        """Return the training curve of a step's classifier."""
        return f"{self.folder('classifier', w.name, int(w.step))}/curve.csv"

    def last_regions(self, w: Any) -> list[str]:
        """Return the region store after a variant's last step."""
        return self.store("regions", w.name, self.steps(w.name))

    def saliency(self, w: Any) -> list[str]:
        """Return the saliency store that a variant's labels are made with, if any."""
        if self.variants[w.name].saliency.method == "none":
            return []
        return self.store("saliency", w.name)

    def training_labels(self, w: Any) -> list[str]:
        """Return the label store that a round's network is trained on."""
        if int(w.round):
            return self.store("relabelled", w.name, int(w.round))
        return self.store(label_stage(self.variants[w.name]), w.name)

    def earlier_network(self, w: Any) -> str:
        """Return the network of the round before."""
        return self.model("segmentation", w.name, int(w.round) - 1)

    def final_network(self, w: Any) -> str:
        """Return the network of a variant's last round."""
        rounds = self.variants[w.name].segmentation.relabel_rounds
        return self.model("segmentation", w.name, rounds)

    def predictions(self, w: Any) -> list[str]:
        """Return the predictions of a variant."""
        return self.store("predictions", w.name)

    def final_masks(self, w: Any) -> list[str]:
        """Return the store of a variant's last masks: after the CRF, if it is used."""
        return self.store("crf" if self.refines(w.name) else "predictions", w.name)

    # Scores, report, tables

    def score_file(self, variant: str, target: str) -> str | None:
        """Return the file that scores ``target`` of a variant; None if it has no such thing.

        ``regions`` are those of the last step, ``relabelled`` those of the last round;
        ``classifier`` is the training curve of the last step.
        """
        config = self.variants[variant]
        if target in ("regions", "labels", "classifier") and config.labels.source != "mined":
            return None
        if target == "saliency" and config.saliency.method == "none":
            return None
        if target == "predictions_crf" and not self.refines(variant):
            return None
        rounds = config.segmentation.relabel_rounds
        if target == "relabelled" and not rounds:
            return None
        stage = "crf" if target == "predictions_crf" else target
        match STAGES[stage].counted:
            case "step":
                number = self.steps(variant)
            case "round":
                number = rounds
            case _:
                number = 0
        if target == "classifier":
            return f"{self.folder('classifier', variant, number)}/curve.csv"
        return self._score(stage, target, variant, number)

    def _score(self, stage: str, target: str, variant: str, at: int) -> str:
        counted = STAGES[stage].counted
        name = f"{target}-{counted}{at}" if counted else target
        return f"{self.results}/scores/{self.variants.owner(stage, variant, at)}/{name}.json"

    def scored_truth(self, w: Any) -> str:
        """Return the true masks that a score file is about."""
        target = w.target.partition("-")[0]
        return self.evaluated_masks(w) if target in OF_EVALUATION else self.true_masks(w)

    def scored_store(self, w: Any) -> list[str]:
        """Return the store that a score file is about."""
        target, _, at = w.target.partition("-")
        stage = "crf" if target == "predictions_crf" else target
        return self.store(stage, w.name, int(at.removeprefix(STAGES[stage].counted or "") or 0))

    def score_options(self, w: Any) -> str:
        """Return the options that name a score for the table."""
        target, _, at = w.target.partition("-")
        options = f"--target {target} --seed {self.variants[w.name].seed}"
        return options + (f" --step {at.removeprefix('step')}" if at.startswith("step") else "")

    def evaluation(self, w: Any) -> str:
        """Return how answers are scored, as canonical JSON."""
        how = self.config.evaluation.model_dump(exclude={"voc_competition"})
        return json.dumps({"evaluation": how}, sort_keys=True)

    def competition(self, w: Any) -> str:
        """Return where answers are handed in, as canonical JSON."""
        how = self.config.evaluation.model_dump(include={"voc_competition"})
        return json.dumps({"evaluation": how}, sort_keys=True)

    def score_files(self, w: Any = None) -> list[str]:
        """Return the score files of the run's variants, each once, in the order of the table."""
        files: dict[str | None, None] = {}
        for name in self.names:
            if self.variants[name].labels.source == "mined":
                for step in range(1, self.steps(name) + 1):
                    files[self._score("regions", "regions", name, step)] = None
            for target in ("labels", "relabelled", "predictions", "predictions_crf"):
                files[self.score_file(name, target)] = None
        return [path for path in files if path]

    def mask_folders(self) -> list[str]:
        """Return the folders of palette PNGs that are asked for."""
        asked = [name for name in self.names if self.variants[name].prediction.palette_png]
        return [f"{self.results}/masks/{name}" for name in asked]

    def shown(self, name: str) -> Callable[[Any], Any]:
        """Return what gives one of the inputs of the report; each may have to wait for ``auto``."""
        return lambda w: self.report_inputs()[name]

    def report_inputs(self) -> dict[str, Any]:
        """Return what the report shows: the scores, and every stage of the first variant."""
        name = self.main
        steps, rounds = self.steps(name), self.config.segmentation.relabel_rounds
        each = range(1, steps + 1)
        return {
            "dataset": f"{self.folder('train_images', name)}/manifest.jsonl",
            "evaluated": f"{self.folder('eval_images', name)}/manifest.jsonl",
            "truth": f"{self.folder('train_truth', name)}/manifest.jsonl",
            "scores": f"{self.results}/scores.json",
            "cams": [path for step in each for path in self.store("cams", name, step)],
            "regions": [path for step in each for path in self.store("regions", name, step)],
            "curves": [f"{self.folder('classifier', name, step)}/curve.csv" for step in each],
            "verdicts": self.verdicts(name),
            "saliency": self.saliency(SimpleNamespace(name=name)),
            "labels": self.store(label_stage(self.config), name),
            "segmentation": f"{self.folder('segmentation', name, rounds)}/curve.csv",
            "shown": self.files(
                f"{self.results}/shown/{self.variants.owner('predictions', name)}", 1
            ),
        }

    def tables(self) -> list[str]:
        """Return the names of the tables of ablations."""
        return ablations.table_names(self.config.ablations)

    def loss_curves(self, w: Any) -> list[str]:
        """Return the training curves of each step and seed of the row that they are asked of."""
        variants = ablations.of_loss_curves(self.config.ablations)
        return [
            f"{self.folder('classifier', name, step)}/curve.csv"
            for name in variants
            for step in range(1, self.steps(name) + 1)
        ]

    def command(self, config_files: Sequence[str | Path]) -> str:
        """Return the command that makes the tables, with the configurations as seen from here."""
        given = [os.path.relpath(p) for p in config_files if Path(p).name != "config.yaml"]
        options = ["--configfile", *given] if given else []
        return " ".join(["snakemake --cores N ablations", *options])

    @property
    def table_pattern(self) -> str:
        """Return the names of the tables as a regular expression."""
        return "|".join(map(re.escape, self.tables())) or "(?!)"

    def table_inputs(self, w: Any) -> list[str]:
        """Return the scores that a table is made from."""
        return ablations.files_of(self.config.ablations, w.table, self.score_file)

    def table_specification(self, w: Any) -> str:
        """Return what a table says and where its numbers stand, as JSON."""
        return ablations.specification(
            self.config.ablations,
            w.table,
            self.score_file,
            confidence=self.config.evaluation.confidence,
        )
