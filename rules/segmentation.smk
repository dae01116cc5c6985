# In: the dataset manifest and a label store.
# Out: segmentation/<name>/round<r>/, predictions/<name>/, crf/<name>/, masks/<name>/.
# Steps: train_segmentation -> [relabel -> train_segmentation] x rounds (PSL++) -> predict
# -> refine_predictions -> export_masks (on request); predict_shown, for the report.


rule train_segmentation:
    input:
        **inputs("train_segmentation"),
    output:
        **paths.outputs("train_segmentation"),
    log:
        **paths.logs("train_segmentation"),
    benchmark:
        paths.benchmark("train_segmentation")
    conda:
        "../envs/aepsl.yaml"
    threads: resources.training_threads
    resources:
        **resources.training(mem_mb=8000, runtime=720),
    params:
        **inputs.params("train_segmentation"),
        work=paths.checkpoints("train_segmentation"),
    shell:
        'aepsl train-segmentation --config {params.cfg:q} --dataset {input.dataset:q} --labels "{input.labels}"'
        " --output {output.model:q} --curve {output.curve:q} --work {params.work:q} {resources.options}"
        " --code {params.code} --log {log.run:q}"


rule relabel:
    input:
        **inputs("relabel"),
    output:
        **paths.outputs("relabel"),
    log:
        **paths.logs("relabel"),
    benchmark:
        paths.benchmark("relabel")
    conda:
        "../envs/aepsl.yaml"
    threads: resources.threads
    resources:
        **resources.network(mem_mb=6000, runtime=720),
    params:
        **inputs.params("relabel"),
    shell:
        "aepsl relabel --config {params.cfg:q} --dataset {input.dataset:q} --model {input.model:q}"
        ' --corrected "{input.corrected}"'
        " --output {output.store:q} --shard {wildcards.shard} --shards {params.shards} {resources.options}"
        " --code {params.code} --log {log.run:q}"


rule predict:
    input:
        **inputs("predict"),
    output:
        **paths.outputs("predict"),
    log:
        **paths.logs("predict"),
    benchmark:
        paths.benchmark("predict")
    conda:
        "../envs/aepsl.yaml"
    threads: resources.threads
    resources:
        **resources.network(mem_mb=6000, runtime=120),
    params:
        **inputs.params("predict"),
    shell:
        "aepsl predict --config {params.cfg:q} --dataset {input.dataset:q} --model {input.model:q}"
        " --output {output.store:q} --shard {wildcards.shard} --shards {params.shards} {resources.options}"
        " --code {params.code} --log {log.run:q}"


rule predict_shown:
    input:
        **inputs("predict_shown"),
    output:
        **paths.outputs("predict_shown"),
    log:
        **paths.logs("predict_shown"),
    benchmark:
        paths.benchmark("predict_shown")
    conda:
        "../envs/aepsl.yaml"
    threads: resources.threads
    resources:
        **resources.network(mem_mb=6000, runtime=60),
    params:
        **inputs.params("predict_shown"),
        images=plan.config.report.predictions,
    shell:
        "aepsl predict --config {params.cfg:q} --dataset {input.dataset:q} --model {input.model:q}"
        " --limit {params.images} --output {output.store:q} {resources.options} --code {params.code}"
        " --log {log.run:q}"


rule refine_predictions:
    input:
        **inputs("refine_predictions"),
    output:
        **paths.outputs("refine_predictions"),
    log:
        **paths.logs("refine_predictions"),
    benchmark:
        paths.benchmark("refine_predictions")
    conda:
        "../envs/aepsl.yaml"
    threads: resources.processes
    resources:
        **resources("root", "processes", "cache", mem_mb=2000, runtime=240),
    params:
        **inputs.params("refine_predictions"),
    shell:
        "aepsl refine-predictions --config {params.cfg:q} --dataset {input.dataset:q}"
        ' --predictions "{input.predictions}" --output {output.store:q} --shard {wildcards.shard}'
        " --shards {params.shards} {resources.options} --code {params.code} --log {log.run:q}"


rule export_masks:
    input:
        **inputs("export_masks"),
    output:
        folder=directory(paths.outputs("export_masks")["folder"]),
    log:
        **paths.logs("export_masks"),
    benchmark:
        paths.benchmark("export_masks")
    conda:
        "../envs/aepsl.yaml"
    resources:
        **resources(mem_mb=1000, runtime=60),
    params:
        **inputs.params("export_masks"),
    shell:
        'aepsl export-masks --masks "{input.masks}" --output {output.folder:q} {resources.options}'
        " --code {params.code} --log {log.run:q}"
