# In: the photographs of data.root, or nothing for the generated scenes.
# Out: train_images/<name>/ and eval_images/<name>/, manifests of the checked photographs;
# train_truth/<name>/ and eval_truth/<name>/, manifests of the true masks (scores, upper bound).
# Steps: generate_scenes (scenes only) -> index_images -> index_truth.


rule generate_scenes:
    output:
        **paths.outputs("generate_scenes"),
    log:
        **paths.logs("generate_scenes"),
    benchmark:
        paths.benchmark("generate_scenes")
    conda:
        "../envs/aepsl.yaml"
    threads: resources.processes
    resources:
        **resources("processes", mem_mb=1000, runtime=10),
    params:
        **inputs.params("generate_scenes"),
    shell:
        "aepsl generate-scenes --config {params.cfg:q} --output {output.digest:q} {resources.options}"
        " --code {params.code} --log {log.run:q}"


rule index_images:
    input:
        **inputs("index_images"),
    output:
        **paths.outputs("index_images"),
    log:
        **paths.logs("index_images"),
    benchmark:
        paths.benchmark("index_images")
    conda:
        "../envs/aepsl.yaml"
    threads: resources.processes
    resources:
        **resources("root", "labels_csv", "processes", "cache", mem_mb=2000, runtime=60),
    params:
        **inputs.params("index_images"),
    shell:
        'aepsl index-images --config {params.cfg:q} --role {wildcards.role} --scenes "{input.scenes}"'
        " --output {output.manifest:q}"
        " {resources.options} --code {params.code} --log {log.run:q}"


rule index_truth:
    input:
        **inputs("index_truth"),
    output:
        **paths.outputs("index_truth"),
    log:
        **paths.logs("index_truth"),
    benchmark:
        paths.benchmark("index_truth")
    priority: 10  # corrupt masks are reported before any training
    conda:
        "../envs/aepsl.yaml"
    resources:
        **resources("root", mem_mb=2000, runtime=60),
    params:
        **inputs.params("index_truth"),
    shell:
        "aepsl index-truth --config {params.cfg:q} --dataset {input.dataset:q} --output {output.manifest:q}"
        " {resources.options} --code {params.code} --log {log.run:q}"
