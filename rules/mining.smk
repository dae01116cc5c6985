# In: the dataset manifest.
# Out: regions/<name>/step<t>/, the regions that Algorithm 1 has mined up to step t.
# Steps, for each t: train_classifier -> extract_cams -> erase_regions; step 0: start_mining.
# With mining.steps: auto, judge_training decides after each classifier whether mining continues.
# With mining.area, calibrate_delta finds the delta of each step.


rule start_mining:
    output:
        **paths.outputs("start_mining"),
    log:
        **paths.logs("start_mining"),
    conda:
        "../envs/aepsl.yaml"
    resources:
        **resources(mem_mb=500, runtime=5),
    params:
        **inputs.params("start_mining"),
    shell:
        "aepsl start-mining --output {output.manifest:q} {resources.options} --code {params.code} --log {log.run:q}"


rule train_classifier:
    input:
        **inputs("train_classifier"),
    output:
        **paths.outputs("train_classifier"),
    log:
        **paths.logs("train_classifier"),
    benchmark:
        paths.benchmark("train_classifier")
    conda:
        "../envs/aepsl.yaml"
    threads: resources.training_threads
    resources:
        **resources.training(mem_mb=8000, runtime=720),
    params:
        **inputs.params("train_classifier"),
        work=paths.checkpoints("train_classifier"),
    shell:
        'aepsl train-classifier --config {params.cfg:q} --dataset {input.dataset:q} --regions "{input.regions}"'
        ' --saliency "{input.saliency}" --step {wildcards.step} --output {output.model:q} --curve {output.curve:q}'
        " --work {params.work:q}"
        " {resources.options} --code {params.code} --log {log.run:q}"


checkpoint judge_training:
    input:
        **inputs("judge_training"),
    output:
        **paths.outputs("judge_training"),
    log:
        **paths.logs("judge_training"),
    conda:
        "../envs/aepsl.yaml"
    resources:
        **resources(mem_mb=500, runtime=5),
    params:
        **inputs.params("judge_training"),
    shell:
        "aepsl judge-training --config {params.cfg:q} --dataset {input.dataset:q} --curve {input.curve:q}"
        " --step {wildcards.step} --output {output.verdict:q} {resources.options} --code {params.code}"
        " --log {log.run:q}"


rule extract_cams:
    input:
        **inputs("extract_cams"),
    output:
        **paths.outputs("extract_cams"),
    log:
        **paths.logs("extract_cams"),
    benchmark:
        paths.benchmark("extract_cams")
    conda:
        "../envs/aepsl.yaml"
    threads: resources.threads
    resources:
        **resources.network(mem_mb=6000, runtime=120),
    params:
        **inputs.params("extract_cams"),
    shell:
        "aepsl extract-cams --config {params.cfg:q} --dataset {input.dataset:q} --model {input.model:q}"
        ' --regions "{input.regions}" --step {wildcards.step} --output {output.store:q} --shard {wildcards.shard}'
        " --shards {params.shards} {resources.options} --code {params.code} --log {log.run:q}"


rule calibrate_delta:
    input:
        **inputs("calibrate_delta"),
    output:
        **paths.outputs("calibrate_delta"),
    log:
        **paths.logs("calibrate_delta"),
    benchmark:
        paths.benchmark("calibrate_delta")
    conda:
        "../envs/aepsl.yaml"
    resources:
        **resources(mem_mb=4000, runtime=60),
    params:
        **inputs.params("calibrate_delta"),
    shell:
        'aepsl calibrate-delta --config {params.cfg:q} --cams "{input.cams}" --output {output.delta:q}'
        " {resources.options} --code {params.code} --log {log.run:q}"


rule erase_regions:
    input:
        **inputs("erase_regions"),
    output:
        **paths.outputs("erase_regions"),
    log:
        **paths.logs("erase_regions"),
    benchmark:
        paths.benchmark("erase_regions")
    conda:
        "../envs/aepsl.yaml"
    resources:
        **resources("cache", mem_mb=2000, runtime=60),
    params:
        **inputs.params("erase_regions"),
    shell:
        'aepsl erase-regions --config {params.cfg:q} --dataset {input.dataset:q} --cams "{input.cams}"'
        ' --regions "{input.regions}" --calibrated "{input.calibrated}" --step {wildcards.step}'
        " --output {output.store:q} --shard {wildcards.shard} --shards {params.shards} {resources.options}"
        " --code {params.code} --log {log.run:q}"
