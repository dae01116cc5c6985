# In: the dataset manifest and the regions after the last step.
# Out: labels/<name>/, one mask per image, 255 where neither a class nor the background is certain.
# Steps: detect_saliency -> assemble_labels; copy_true_labels, for the upper bound only.


rule detect_saliency:
    input:
        **inputs("detect_saliency"),
    output:
        **paths.outputs("detect_saliency"),
    log:
        **paths.logs("detect_saliency"),
    benchmark:
        paths.benchmark("detect_saliency")
    conda:
        "../envs/aepsl.yaml"
    threads: resources.threads
    resources:
        **resources("root", "source", "device", "cache", mem_mb=4000, runtime=240),
    params:
        **inputs.params("detect_saliency"),
    shell:
        "aepsl detect-saliency --config {params.cfg:q} --dataset {input.dataset:q} --output {output.store:q}"
        " --shard {wildcards.shard} --shards {params.shards} {resources.options} --code {params.code}"
        " --log {log.run:q}"


rule assemble_labels:
    input:
        **inputs("assemble_labels"),
    output:
        **paths.outputs("assemble_labels"),
    log:
        **paths.logs("assemble_labels"),
    benchmark:
        paths.benchmark("assemble_labels")
    conda:
        "../envs/aepsl.yaml"
    threads: resources.processes
    resources:
        **resources(
            "root", "corrections", "processes", "cache", mem_mb=2000, runtime=60
        ),
    params:
        **inputs.params("assemble_labels"),
    shell:
        'aepsl assemble-labels --config {params.cfg:q} --dataset {input.dataset:q} --regions "{input.regions}"'
        ' --cams "{input.cams}" --saliency "{input.saliency}" --output {output.store:q}'
        " --shard {wildcards.shard} --shards {params.shards} {resources.options} --code {params.code} --log {log.run:q}"


rule copy_true_labels:
    input:
        **inputs("copy_true_labels"),
    output:
        **paths.outputs("copy_true_labels"),
    log:
        **paths.logs("copy_true_labels"),
    benchmark:
        paths.benchmark("copy_true_labels")
    conda:
        "../envs/aepsl.yaml"
    resources:
        **resources("root", mem_mb=1000, runtime=60),
    params:
        **inputs.params("copy_true_labels"),
    shell:
        "aepsl copy-true-labels --dataset {input.dataset:q} --truth {input.truth:q} --output {output.store:q}"
        " --shard {wildcards.shard} --shards {params.shards} {resources.options} --code {params.code}"
        " --log {log.run:q}"
