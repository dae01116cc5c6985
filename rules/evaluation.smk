# In: stores of regions, labels and predictions, and the dataset manifest.
# Out: scores.json, scores.csv, report/index.html; on request voc_test/<name>.tar.gz.
# Steps: score (each target) -> summarise -> report; pack_voc_test.


rule score:
    input:
        **inputs("score"),
    output:
        **paths.outputs("score"),
    log:
        **paths.logs("score"),
    benchmark:
        paths.benchmark("score")
    wildcard_constraints:
        target=SCORED,
    conda:
        "../envs/aepsl.yaml"
    resources:
        **resources("root", "cache", mem_mb=1000, runtime=60),
    params:
        **inputs.params("score"),
        about=tables.score_options,
    shell:
        'aepsl score --config {params.cfg:q} --truth {input.truth:q} --store "{input.store}" {params.about}'
        " --variant {wildcards.name} --output {output.scores:q} {resources.options} --code {params.code}"
        " --log {log.run:q}"


rule summarise:
    input:
        tables.score_files,
    output:
        scores=paths.outputs("summarise")["scores"],
        table=report(
            paths.outputs("summarise")["table"],
            caption="../report/scores.rst",
            category="Scores",
        ),
    log:
        **paths.logs("summarise"),
    conda:
        "../envs/aepsl.yaml"
    resources:
        **resources(mem_mb=500, runtime=5),
    params:
        **inputs.params("summarise"),
    shell:
        "aepsl summarise {input:q} --output {output.scores:q} --table {output.table:q} {resources.options}"
        " --code {params.code} --log {log.run:q}"


rule report:
    input:
        **inputs("report"),
    output:
        folder=report(
            directory(paths.outputs("report")["folder"]),
            caption="../report/page.rst",
            category="Page",
            htmlindex="index.html",
        ),
    log:
        **paths.logs("report"),
    benchmark:
        paths.benchmark("report")
    conda:
        "../envs/aepsl.yaml"
    threads: resources.processes
    resources:
        **resources("root", "processes", mem_mb=2000, runtime=120),
    params:
        **inputs.params("report"),
        name=plan.config.run,
        variant=plan.names[0],
        seed=plan.config.seed,
        benchmarks=paths.benchmarks,
        images=plan.config.report.images,
    shell:
        "aepsl report --dataset {input.dataset:q} --evaluated {input.evaluated:q} --truth {input.truth:q}"
        " --evaluated-truth {input.evaluated_truth:q} --scores {input.scores:q}"
        ' --final-score {input.final_score:q} --cams "{input.cams}" --regions "{input.regions}"'
        ' --saliency "{input.saliency}" --labels "{input.labels}" --shown "{input.shown}"'
        ' --predictions "{input.predictions}" --refined "{input.refined}" --classifier-curves "{input.curves}"'
        ' --segmentation-curve {input.segmentation:q} --verdicts "{input.verdicts}"'
        " --limit {params.images} --benchmarks {params.benchmarks:q} --name {params.name:q} --variant {params.variant:q}"
        " --seed {params.seed} --output {output.folder:q} {resources.options} --code {params.code} --log {log.run:q}"


rule pack_voc_test:
    input:
        **inputs("pack_voc_test"),
    output:
        **paths.outputs("pack_voc_test"),
    log:
        **paths.logs("pack_voc_test"),
    benchmark:
        paths.benchmark("pack_voc_test")
    conda:
        "../envs/aepsl.yaml"
    resources:
        **resources(mem_mb=1000, runtime=60),
    params:
        **inputs.params("pack_voc_test"),
    shell:
        'aepsl pack-voc-test --config {params.cfg:q} --truth {input.truth:q} --masks "{input.masks}"'
        " --output {output.archive:q} {resources.options} --code {params.code} --log {log.run:q}"
