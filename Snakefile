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
from aepsl.workflow.run import Workflow

min_version("9.20")


configfile: "config.yaml"


where = "here" if workflow.nodes is None else "cluster"
where = where if workflow.is_main_process else "job"
try:
    stored = workflow.storage_settings.default_storage_provider is not None
    run = Workflow.checked(config, checkpoints, where=where, fetched=stored)
except AepslError as error:
    raise WorkflowError(str(error))

for warning in filter(None, (run.missing, run.forgotten)):
    logger.warning(warning)


if where == "here" and run.gpus and "gpu" not in workflow.global_resources:
    # A job each, unless --resources says otherwise; aepsl/cli/gpus.py says which.
    workflow.register_resource("gpu", run.gpus)


wildcard_constraints:
    name=r"[\w.-]+",
    step=r"[1-9]\d*",
    round=r"\d+",
    shard=r"\d+",
    part="train|eval",


rule all:
    input:
        f"{run.results}/scores.json",
        f"{run.results}/report/index.html",
        run.mask_folders(),


include: "rules/dataset.smk"
include: "rules/mining.smk"
include: "rules/labels.smk"
include: "rules/segmentation.smk"
include: "rules/evaluation.smk"
include: "rules/ablations.smk"


onsuccess:
    if Path(run.results, "scores.json").exists():
        shell(
            f"aepsl show-scores {run.results}/scores.json --report {run.results}/report/index.html"
        )
