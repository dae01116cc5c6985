"""AE-PSL: from image labels to segmentation (Wei et al., CVPR 2017).

In: photographs and their image labels (config.yaml: data). Out: results/<run>/, with the trained
network, its predictions, scores.json and report/index.html.
Steps: index -> [train classifier -> extract CAMs -> erase regions] x steps -> saliency -> labels
-> train segmentation with PSL -> predict -> CRF -> score -> report.
Targets: all (the default), ablations (the tables of config.yaml: ablations).
"""

from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

from aepsl.errors import AepslError
from aepsl.targets import SCORED
from aepsl.workflow.plan import planned

min_version("9.20")


report: "report/workflow.rst"


configfile: f"{workflow.basedir}/config.yaml"


try:
    plan = planned(workflow, config, checkpoints)
except AepslError as error:
    raise WorkflowError(str(error))

paths, inputs, resources, tables = plan.paths, plan.inputs, plan.resources, plan.tables

for warning in plan.warnings:
    logger.warning(warning)


wildcard_constraints:
    name=r"[\w.-]+",
    step=r"[1-9]\d*",
    round=r"\d+",
    shard=r"\d+",
    role="train|eval",


localrules:
    start_mining,
    judge_training,
    summarise,
    tabulate,
    collect_tables,


rule all:
    input:
        paths.outputs("summarise")["scores"],
        paths.outputs("report")["folder"],
        expand(paths.outputs("export_masks")["folder"], name=tables.masks()),
        tables.removed,


include: "rules/dataset.smk"
include: "rules/mining.smk"
include: "rules/labels.smk"
include: "rules/segmentation.smk"
include: "rules/evaluation.smk"
include: "rules/ablations.smk"


onsuccess:
    if Path(paths.folder, "scores.json").exists():
        shell(
            f"aepsl show-scores {paths.folder}/scores.json --report {paths.folder}/report/index.html"
        )
