# In: the dataset manifest.
# Out: regions/<name>/step<t>/, what Algorithm 1 has mined after step t.
# Steps, for each t: train_classifier -> extract_cams -> erase_regions; step 0: start_mining.
# With mining.steps: auto, judge_training says after each classifier whether it goes on; with
# mining.area, calibrate_delta finds each step's delta.


rule start_mining:
    output:
        f"{run.results}/regions/step0/0.json",
    log:
        run=f"{run.results}/logs/start_mining.log",
        checksums=f"{run.results}/checksums/start_mining.sha256",
    benchmark:
        f"{run.results}/benchmarks/start_mining.tsv"
    localrule: True
    conda:
        "../envs/aepsl.yaml"
    resources:
        mem_mb=500,
        runtime=5,
    params:
        code=run.module_code("start_mining"),
    shell:
        "aepsl start-mining --output {output:q} --log {log.run:q} --checksums {log.checksums:q}"


rule train_classifier:
    input:
        dataset=run.dataset,
        regions=run.inputs("regions", back=1),
    output:
        model=f"{run.results}/classifier/{{name}}/step{{step}}/model.safetensors",
        curve=f"{run.results}/classifier/{{name}}/step{{step}}/curve.csv",
    log:
        run=f"{run.results}/logs/train_classifier/{{name}}-step{{step}}.log",
        checksums=f"{run.results}/checksums/train_classifier/{{name}}-step{{step}}.sha256",
    benchmark:
        f"{run.results}/benchmarks/train_classifier/{{name}}-step{{step}}.tsv"
    conda:
        "../envs/aepsl.yaml"
    threads: run.training_threads
    resources:
        network_threads=run.threads,
        cache=run.cache,
        root=run.root,
        weights=run.weights,
        workers=run.config.runtime.workers,
        device=run.config.runtime.device,
        training_gpus=run.config.runtime.training_gpus,
        gpu=run.training_gpus,
        mem_mb=lambda _, attempt: 8000 * attempt,
        runtime=720,
    params:
        cfg=run.params("classifier"),
        code=run.code("classifier"),
    shell:
        "aepsl train-classifier --config {params.cfg:q} --dataset {input.dataset:q} --root {resources.root:q}"
        ' --regions "{input.regions}" --step {wildcards.step}'
        " --output {output.model:q} --curve {output.curve:q}"
        f" --work {run.results}/work/classifier-{{wildcards.name}}-step{{wildcards.step}}"
        " {resources.weights}"
        " --threads {resources.network_threads} --device {resources.device} --workers {resources.workers}"
        " --training-gpus {resources.training_gpus}"
        " --code {params.code} {resources.cache}"
        " --log {log.run:q} --checksums {log.checksums:q}"


checkpoint judge_training:
    input:
        dataset=run.dataset,
        curve=run.classifier_curve,
    output:
        f"{run.results}/success/{{name}}/step{{step}}/verdict.json",
    log:
        run=f"{run.results}/logs/judge_training/{{name}}-step{{step}}.log",
        checksums=f"{run.results}/checksums/judge_training/{{name}}-step{{step}}.sha256",
    benchmark:
        f"{run.results}/benchmarks/judge_training/{{name}}-step{{step}}.tsv"
    localrule: True
    conda:
        "../envs/aepsl.yaml"
    resources:
        mem_mb=500,
        runtime=5,
    params:
        cfg=run.params("success"),
        code=run.code("success"),
    shell:
        "aepsl judge-training --config {params.cfg:q} --dataset {input.dataset:q}"
        " --curve {input.curve:q} --step {wildcards.step} --output {output:q} --log {log.run:q} --checksums {log.checksums:q}"


rule extract_cams:
    input:
        dataset=run.dataset,
        model=run.classifier,
        regions=run.part(run.inputs("regions", back=1)),
    output:
        store=f"{run.results}/cams/{{name}}/step{{step}}/{{shard}}.h5",
        manifest=f"{run.results}/cams/{{name}}/step{{step}}/{{shard}}.json",
    log:
        run=f"{run.results}/logs/extract_cams/{{name}}-step{{step}}-{{shard}}.log",
        checksums=f"{run.results}/checksums/extract_cams/{{name}}-step{{step}}-{{shard}}.sha256",
    benchmark:
        f"{run.results}/benchmarks/extract_cams/{{name}}-step{{step}}-{{shard}}.tsv"
    conda:
        "../envs/aepsl.yaml"
    threads: run.threads
    resources:
        network_threads=run.threads,
        cache=run.cache,
        root=run.root,
        device=run.config.runtime.device,
        gpu=run.gpu,
        mem_mb=lambda _, attempt: 6000 * attempt,
        runtime=120,
    params:
        shards=run.shards_of("cams"),
        cfg=run.params("cams"),
        code=run.code("cams"),
    shell:
        "aepsl extract-cams --config {params.cfg:q} --dataset {input.dataset:q} --root {resources.root:q} --model {input.model:q}"
        ' --regions "{input.regions}" --step {wildcards.step} --output {output.store:q}'
        " --shard {wildcards.shard} --shards {params.shards} --threads {resources.network_threads} --device {resources.device}"
        " --code {params.code} {resources.cache}"
        " --log {log.run:q} --checksums {log.checksums:q}"


rule calibrate_delta:
    input:
        cams=run.inputs("cams"),
    output:
        f"{run.results}/calibration/{{name}}/step{{step}}/delta.json",
    log:
        run=f"{run.results}/logs/calibrate_delta/{{name}}-step{{step}}.log",
        checksums=f"{run.results}/checksums/calibrate_delta/{{name}}-step{{step}}.sha256",
    benchmark:
        f"{run.results}/benchmarks/calibrate_delta/{{name}}-step{{step}}.tsv"
    conda:
        "../envs/aepsl.yaml"
    resources:
        mem_mb=lambda _, attempt: 4000 * attempt,
        runtime=60,
    params:
        cfg=run.params("calibration"),
        code=run.code("calibration"),
    shell:
        'aepsl calibrate-delta --config {params.cfg:q} --cams "{input.cams}"'
        " --output {output:q} --log {log.run:q} --checksums {log.checksums:q}"


rule erase_regions:
    input:
        dataset=run.dataset,
        cams=run.part(run.inputs("cams")),
        regions=run.part(run.inputs("regions", back=1)),
        calibrated=run.calibration,
    output:
        store=f"{run.results}/regions/{{name}}/step{{step}}/{{shard}}.h5",
        manifest=f"{run.results}/regions/{{name}}/step{{step}}/{{shard}}.json",
    log:
        run=f"{run.results}/logs/erase_regions/{{name}}-step{{step}}-{{shard}}.log",
        checksums=f"{run.results}/checksums/erase_regions/{{name}}-step{{step}}-{{shard}}.sha256",
    benchmark:
        f"{run.results}/benchmarks/erase_regions/{{name}}-step{{step}}-{{shard}}.tsv"
    conda:
        "../envs/aepsl.yaml"
    resources:
        cache=run.cache,
        mem_mb=lambda _, attempt: 2000 * attempt,
        runtime=60,
    params:
        shards=run.shards_of("regions"),
        cfg=run.params("regions"),
        code=run.code("regions"),
    shell:
        "aepsl erase-regions --config {params.cfg:q} --dataset {input.dataset:q}"
        ' --cams "{input.cams}" --regions "{input.regions}" --calibrated "{input.calibrated}"'
        " --step {wildcards.step} --output {output.store:q}"
        " --shard {wildcards.shard} --shards {params.shards}"
        " --code {params.code} {resources.cache}"
        " --log {log.run:q} --checksums {log.checksums:q}"
