"""The score files of a run, and the ablation tables that are made from them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from aepsl.config.ablations import Ablations, Row, Table
from aepsl.config.presets import merged
from aepsl.config.root import Config
from aepsl.targets import TARGETS
from aepsl.workflow.inputs import MAIN, Inputs
from aepsl.workflow.stages import Dependency, classifier, score, scored, uses_crf
from aepsl.workflow.variants import Variants


def _tables(ablations: Ablations) -> Iterator[tuple[str, Table]]:
    return ((name, table) for name, table in ablations.tables.items() if table is not None)


def _rows(table: Table) -> dict[str, Row]:
    return {name: row for name, row in table.rows.items() if row is not None}


def rows_with_crf(ablations: Ablations) -> list[tuple[str, str]]:
    """Return the table and the name of each row whose labels the CRF refines."""
    return [
        (name, row_name)
        for name, table in _tables(ablations)
        for row_name, row in _rows(table).items()
        if row.override.get("labels", {}).get("crf")
        or row.override.get("segmentation", {}).get("relabel_crf")
    ]


def _variant(table: str, row: str, seed: int) -> str:
    return f"{table}-{row}-seed{seed}"


def overrides(ablations: Ablations) -> dict[str, dict[str, Any]]:
    """Return the overrides of all table variants, by name.

    The run itself with each seed comes first, so that results shared by rows are filed under
    ``seed<n>``, independent of the tables.
    """
    if not any(_tables(ablations)):
        return {}
    return {f"seed{seed}": {"seed": seed} for seed in ablations.seeds} | {
        _variant(name, row_name, seed): merged(row.override, {"seed": seed})
        for name, table in _tables(ablations)
        for row_name, row in _rows(table).items()
        for seed in ablations.seeds
    }


class Tables:
    """The score files of the run's variants, and the inputs of each ablation table."""

    def __init__(
        self, config: Config, variants: Variants, inputs: Inputs, names: Sequence[str]
    ) -> None:
        """``names``: the variants of the run, without those of the tables."""
        self._config = config
        self._variants = variants
        self._inputs = inputs
        self._names = names

    # Scores

    def _score(self, variant: str, target: str) -> Dependency | None:
        """Return the score of a variant's target; None if the variant lacks the target.

        ``regions`` are those of the last step, ``relabelled`` those of the last round;
        ``classifier`` is the training curve of the last step.
        """
        config = self._variants[variant]
        rounds = config.segmentation.relabel_rounds
        exists = {
            "classifier": config.labels.source == "mined",
            "saliency": config.saliency.method != "none",
            "regions": config.labels.source == "mined",
            "labels": config.labels.source == "mined",
            "relabelled": rounds > 0,
            "predictions": True,
            "predictions_crf": uses_crf(config),
        }
        if not exists[target]:
            return None
        if target == "classifier":
            return classifier(self._inputs.steps(variant), "curve")
        match TARGETS[target].counted:
            case "step":
                target += f"-step{self._inputs.steps(variant)}"
            case "round":
                target += f"-round{rounds}"
        return score(target)

    def score_file(self, variant: str, target: str) -> str | None:
        """Return the score file of a variant's target; None if the variant lacks the target."""
        source = self._score(variant, target)
        return source and self._inputs.files(source, variant)[0]

    def _scores(self) -> Iterator[tuple[str, Dependency]]:
        """Yield the scores of the run's variants, in the order of the table."""
        for name in self._names:
            for target in (target for target, about in TARGETS.items() if about.summary_title):
                last = self._score(name, target)
                if last and TARGETS[target].counted == "step":
                    for step in range(1, self._inputs.steps(name)):
                        yield name, score(f"{target}-step{step}")
                if last:
                    yield name, last

    def score_files(self, w: Any = None) -> list[str]:
        """Return the score files of the run's variants, each once, in the order of the table."""
        files = [self._inputs.files(source, name)[0] for name, source in self._scores()]
        return list(dict.fromkeys(files))

    def removed(self, w: Any = None) -> list[str]:
        """Return the removed files that the results of the run were made from."""
        results = [(MAIN, Dependency("report", file="folder")), *self._scores()]
        return self._inputs.removed(Dependency("summarise", file="scores"), results)

    def score_options(self, w: Any) -> str:
        """Return the options of a score job that identify the score in tables."""
        target, at = scored(w.target)
        options = f"--target {target} --seed {self._variants[w.name].seed}"
        return options + (f" --step {at.step}" if at.step else "")

    def masks(self) -> list[str]:
        """Return the variants whose masks are to be exported as palette PNGs."""
        return [name for name in self._names if self._variants[name].prediction.palette_png]

    # Ablation tables

    @property
    def names(self) -> list[str]:
        """Names of the enabled tables."""
        return [name for name, _ in _tables(self._config.ablations)]

    @property
    def pattern(self) -> str:
        """Regular expression that matches the names of the tables."""
        return "|".join(map(re.escape, self.names)) or "(?!)"

    def _cells(self, name: str) -> Iterator[tuple[str, int, str, str]]:
        """Yield row, seed, variant and target of each score that a table needs."""
        table = self._config.ablations.tables[name]
        assert table is not None
        targets = dict.fromkeys(column.partition(".")[0] for column in table.columns)
        for row in _rows(table):
            for seed in self._config.ablations.seeds:
                for target in targets:
                    yield row, seed, _variant(name, row, seed), target

    def inputs(self, w: Any) -> list[str]:
        """Return the score files that a table is made from, each once."""
        cells = self._cells(w.table)
        files = [self.score_file(variant, target) for _, _, variant, target in cells]
        return list(dict.fromkeys(path for path in files if path))

    def removed_from_tables(self, w: Any = None) -> list[str]:
        """Return the removed files that the scores of all tables were made from."""
        cells = [cell for name in self.names for cell in self._cells(name)]
        scores = [(variant, self._score(variant, target)) for _, _, variant, target in cells]
        results = [(variant, source) for variant, source in scores if source]
        return self._inputs.removed(Dependency("collect_tables", file="page"), results)

    def specification(self, w: Any) -> str:
        """Return the specification of a table as JSON: texts and score files."""
        table = self._config.ablations.tables[w.table]
        assert table is not None
        scores: dict[str, dict[str, dict[str, str | None]]] = {name: {} for name in _rows(table)}
        for row, seed, variant, target in self._cells(w.table):
            scores[row].setdefault(str(seed), {})[target] = self.score_file(variant, target)
        rows = [
            {
                "name": name,
                "label": row.label,
                "paper": row.paper,
                "paper_source": row.paper_source,
                "scores": scores[name],
            }
            for name, row in _rows(table).items()
        ]
        about: dict[str, Any] = {"name": w.table, "title": table.title, "note": table.note}
        about |= {"reference": table.reference, "columns": table.columns, "rows": rows}
        about |= {"confidence": self._config.evaluation.confidence}
        return json.dumps(about, sort_keys=True)

    def loss_curves(self, w: Any) -> list[str]:
        """Return the training curves of each step and seed of ``ablations.loss_curves``."""
        ablations = self._config.ablations
        table, _, row = (ablations.loss_curves or "").partition(".")
        variants = [_variant(table, row, seed) for seed in ablations.seeds] if row else []
        return [
            path
            for name in variants
            for step in range(1, self._inputs.steps(name) + 1)
            for path in self._inputs.files(classifier(step, "curve"), name)
        ]

    @staticmethod
    def command(config_files: Sequence[str | Path]) -> str:
        """Return the command that makes the tables, with relative paths of the config files."""
        given = [os.path.relpath(p) for p in config_files if Path(p).name != "config.yaml"]
        options = ["--configfile", *given] if given else []
        return " ".join(["snakemake --cores N ablations", *options])
