"""The plan of a run: the checked configuration, and the objects that the rules use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from aepsl.config.presets import expanded, merged
from aepsl.config.root import Config
from aepsl.config.sections import parse
from aepsl.errors import AepslError, Problem
from aepsl.host import INSTALL_CRF, has_crf
from aepsl.workflow.checks import problems_of, unfetched, unreadable_paths
from aepsl.workflow.content_digests import ContentDigests
from aepsl.workflow.digest_cache import DigestCache
from aepsl.workflow.inputs import MAIN, Inputs
from aepsl.workflow.paths import Paths
from aepsl.workflow.project import check_project, unwritable
from aepsl.workflow.resources import ExecutionSite, Resources
from aepsl.workflow.stages import SINGLE_RESULT, ResultIndex
from aepsl.workflow.tables import Tables, overrides, rows_with_crf
from aepsl.workflow.variants import Variants

SNAKEMAKE_METADATA = Path(".snakemake", "metadata")
"""Snakemake's metadata folder: settings, code and inputs of each result."""

DIGEST_CACHE_FILE = Path(".snakemake", "aepsl-contents.json")
"""File of the digest cache: digests of photographs and other input files."""


class Plan:
    """The checked configuration with the paths, inputs, resources and tables of the rules."""

    def __init__(
        self,
        config: Mapping[str, Any],
        checkpoints: Any = None,
        *,
        where: ExecutionSite = "here",
        on_object_storage: bool = False,
    ) -> None:
        """Check ``config`` and every variant of it.

        Args:
            config: Snakemake's configuration.
            checkpoints: Snakemake's ``checkpoints`` object, for ``mining.steps: auto``.
            where: ``here`` or ``cluster``: where jobs run; ``job``: this process is a cluster job.
            on_object_storage: whether results are there and fetched for each job.

        Raises:
            AepslError: listing every unknown key and invalid value.
        """
        config = expanded(config)
        self.config = parse(Config, config, where="config")
        self._rows_left_out: list[str] = []
        if self.config.crf.method == "dense" and not has_crf():
            left_out = rows_with_crf(self.config.ablations)
            self._rows_left_out = [f"{table}.{row}" for table, row in left_out]
            for table, row in left_out:
                nothing = {"ablations": {"tables": {table: {"rows": {row: None}}}}}
                config = merged(config, nothing)
            self.config = parse(Config, config, where="config")
        # A variant has neither; the tables take longer to check than all the rest.
        plain = {k: v for k, v in config.items() if k not in ("variants", "ablations")}
        variants = {n: v for n, v in self.config.variants.items() if v is not None}
        self.names = [MAIN, *variants]
        rows = overrides(self.config.ablations)
        taken = sorted({MAIN, *rows} & set(variants))
        if taken:
            hint = (
                "main is the run itself; seed<n> and <table>-<row>-seed<n> are reserved for tables"
            )
            raise AepslError.of(f"variants.{taken[0]}", "the name is taken", hint)
        contents = ContentDigests(DigestCache(DIGEST_CACHE_FILE, trust_cached=where == "job"))
        self.variants = Variants(plain, {MAIN: {}} | variants | rows, contents)
        self._check_settings()
        self._where = where
        self.paths = Paths(self.config.run)
        self.inputs = Inputs(
            self.config,
            self.variants,
            self.paths,
            contents,
            checkpoints=checkpoints,
            on_object_storage=on_object_storage,
        )
        self.resources = Resources(self.config, self.variants, self.inputs, where=where)
        self.tables = Tables(self.config, self.variants, self.inputs, self.names)

    def _check_settings(self) -> None:
        """Check settings across sections, for all variants."""
        problems: dict[str, Problem] = {}
        for name, config in self.variants.items():
            for problem in problems_of(config):
                where = problem.where if name == MAIN else f"variant {name}: {problem.where}"
                problems.setdefault(
                    f"{problem.where}: {problem.what}", replace(problem, where=where)
                )
        if problems:
            raise AepslError(list(problems.values()), "Invalid configuration:")

    def check_files(self) -> None:
        """Check, before anything runs, that all configured files exist and are readable.

        A published saliency network is downloaded.

        Raises:
            AepslError: listing each unusable file with its key; or for a system error.
        """
        problems = {problem.where: problem for problem in unfetched(self.variants.values())}
        for config in self.variants.values():
            for problem in unreadable_paths(config):
                problems.setdefault(problem.where, problem)
        if problems:
            raise AepslError(list(problems.values()), "Files of the configuration cannot be read:")
        for name in self.variants:  # computing the keys hashes the files
            for stage, at in (
                ("index_truth", ResultIndex(role="train")),
                ("index_truth", ResultIndex(role="eval")),
                ("detect_saliency", SINGLE_RESULT),
                ("train_classifier", ResultIndex(step=1)),
                ("assemble_labels", SINGLE_RESULT),
            ):
                self.variants.key(stage, name, at)

    def _removed(self) -> list[str]:
        """Return the missing files behind existing results, where the number of steps is known."""
        automatic = any(config.mining.steps == "auto" for config in self.variants.values())
        if automatic or self._where == "job":
            return []
        return [*self.tables.removed(), *self.tables.removed_from_tables()]

    @property
    def warnings(self) -> list[str]:
        """Warnings to show before the run starts."""
        warnings = []
        settings = [self.variants[name].crf for name in self.names]
        if not has_crf() and any(crf.enabled and crf.method == "dense" for crf in settings):
            warnings.append(
                "pydensecrf is not installed: predictions are not refined by the CRF.\n"
                f"Hint: set crf.method: local, which needs no compiler; or {INSTALL_CRF};"
                " or set crf.enabled: false."
            )
        if self.config.mining.saliency_loss and self.config.saliency.method == "none":
            warnings.append(
                "mining.saliency_loss is not used: saliency.method is none.\n"
                "Hint: set saliency.method: robust_background; or mining.saliency_loss: 0 and,"
                " because maps are then no probabilities, mining.erase_rule: fraction_of_max."
            )
        if self._rows_left_out:
            warnings.append(
                "pydensecrf is not installed: the tables of ablations have no rows"
                f" {', '.join(self._rows_left_out)}."
            )
        if self.config.labels.source == "truth" and self.config.labels.corrections:
            warnings.append(
                "labels.corrections is not used: labels.source is truth.\n"
                "Hint: set labels.source: mined, or remove labels.corrections."
            )
        if Path(self.paths.folder, "checksums").is_dir() and not any(SNAKEMAKE_METADATA.glob("*")):
            warnings.append(
                f"{self.paths.folder} exists, but .snakemake/ does not: Snakemake no longer knows"
                " with what settings the results were made, so it notices no changed setting.\n"
                "Hint: put .snakemake/ back; or, if nothing was changed, snakemake --touch"
                " --forceall; else snakemake --forceall."
            )
        if removed := self._removed():
            warnings.append(
                f"{removed[0]} is missing, although results were made from it: a job failed, or it"
                " was deleted.\n"
                "Hint: the targets all and ablations make it again; a single file as the target"
                " does not."
            )
        if self._where == "here" and (blocked := unwritable(self.paths.folder)):
            warnings.append(f"{blocked} cannot be written: nothing new can be made there.")
        return warnings


def planned(workflow: Any, config: Mapping[str, Any], checkpoints: Any) -> Plan:
    """Return the plan of a run for the rules of a Snakefile, after checking its files.

    On this machine, Snakemake runs at most one GPU job per GPU; ``aepsl/cli/gpus.py`` assigns the
    GPUs to the jobs.

    Args:
        workflow: Snakemake's ``workflow`` object, as in the Snakefile.
        config: Snakemake's configuration.
        checkpoints: Snakemake's ``checkpoints`` object.

    Raises:
        AepslError: if the project, the configuration or a configured file cannot be used.
    """
    where: ExecutionSite = "here" if workflow.nodes is None else "cluster"
    if workflow.is_main_process:
        check_project(workflow.main_snakefile, config_files=workflow.configfiles)
    else:
        where = "job"
    on_object_storage = workflow.storage_settings.default_storage_provider is not None
    plan = Plan(config, checkpoints, where=where, on_object_storage=on_object_storage)
    plan.check_files()
    if where == "here" and plan.resources.gpus and "gpu" not in workflow.global_resources:
        workflow.register_resource("gpu", plan.resources.gpus)
    return plan
