# In: stores of regions, labels and predictions, and the dataset manifest.
# Out: scores.json, scores.csv, report/index.html; on request voc_test/<name>.tar.gz.
# Steps: score (each target) -> summarise -> report; pack_voc_test.


rule score:
    input:
        truth=run.scored_truth,
        store=run.scored_store,
    output:
        f"{run.results}/scores/{{name}}/{{target}}.json",
    log:
        run=f"{run.results}/logs/score/{{name}}-{{target}}.log",
        checksums=f"{run.results}/checksums/score/{{name}}-{{target}}.sha256",
    benchmark:
        f"{run.results}/benchmarks/score/{{name}}-{{target}}.tsv"
    conda:
        "../envs/aepsl.yaml"
    resources:
        cache=run.cache,
        root=run.root,
        mem_mb=lambda _, attempt: 1000 * attempt,
        runtime=60,
    params:
        cfg=run.evaluation,
        code=run.module_code("score"),
        options=run.score_options,
    shell:
        'aepsl score --config {params.cfg:q} --truth {input.truth:q} --root {resources.root:q} --store "{input.store}"'
        " {params.options} --variant {wildcards.name} --output {output:q}"
        " --code {params.code} {resources.cache}"
        " --log {log.run:q} --checksums {log.checksums:q}"


rule summarise:
    input:
        run.score_files,
    output:
        scores=f"{run.results}/scores.json",
        table=f"{run.results}/scores.csv",
    log:
        run=f"{run.results}/logs/summarise.log",
        checksums=f"{run.results}/checksums/summarise.sha256",
    benchmark:
        f"{run.results}/benchmarks/summarise.tsv"
    localrule: True
    conda:
        "../envs/aepsl.yaml"
    resources:
        mem_mb=500,
        runtime=5,
    params:
        code=run.module_code("summarise"),
    shell:
        "aepsl summarise {input:q} --output {output.scores:q} --table {output.table:q}"
        " --log {log.run:q} --checksums {log.checksums:q}"


rule report:
    input:
        dataset=run.shown("dataset"),
        evaluated=run.shown("evaluated"),
        truth=run.shown("truth"),
        scores=run.shown("scores"),
        cams=run.shown("cams"),
        regions=run.shown("regions"),
        curves=run.shown("curves"),
        verdicts=run.shown("verdicts"),
        saliency=run.shown("saliency"),
        labels=run.shown("labels"),
        segmentation=run.shown("segmentation"),
        shown=run.shown("shown"),
    output:
        page=f"{run.results}/report/index.html",
        pictures=directory(f"{run.results}/report/pictures"),
    log:
        run=f"{run.results}/logs/report.log",
        checksums=f"{run.results}/checksums/report.sha256",
    benchmark:
        f"{run.results}/benchmarks/report.tsv"
    conda:
        "../envs/aepsl.yaml"
    resources:
        root=run.main_root,
        mem_mb=lambda _, attempt: 2000 * attempt,
        runtime=30,
    params:
        code=run.module_code("report"),
        name=run.config.run,
        variant=run.main,
        seed=run.config.seed,
    shell:
        "aepsl report --dataset {input.dataset:q} --evaluated {input.evaluated:q} --truth {input.truth:q}"
        " --root {resources.root:q} --scores {input.scores:q}"
        ' --cams "{input.cams}" --regions "{input.regions}" --saliency "{input.saliency}"'
        ' --labels "{input.labels}" --predictions "{input.shown}"'
        ' --classifier-curves "{input.curves}" --segmentation-curve {input.segmentation:q}'
        ' --verdicts "{input.verdicts}"'
        " --name {params.name:q} --variant {params.variant:q} --seed {params.seed}"
        " --output {output.page:q} --log {log.run:q} --checksums {log.checksums:q}"


rule pack_voc_test:
    input:
        truth=run.evaluated_masks,
        masks=run.final_masks,
    output:
        f"{run.results}/voc_test/{{name}}.tar.gz",
    log:
        run=f"{run.results}/logs/pack_voc_test/{{name}}.log",
        checksums=f"{run.results}/checksums/pack_voc_test/{{name}}.sha256",
    benchmark:
        f"{run.results}/benchmarks/pack_voc_test/{{name}}.tsv"
    conda:
        "../envs/aepsl.yaml"
    resources:
        mem_mb=lambda _, attempt: 1000 * attempt,
        runtime=60,
    params:
        cfg=run.competition,
        code=run.module_code("pack_voc_test"),
    shell:
        "aepsl pack-voc-test --config {params.cfg:q} --truth {input.truth:q}"
        ' --masks "{input.masks}" --output {output:q} --log {log.run:q} --checksums {log.checksums:q}'
