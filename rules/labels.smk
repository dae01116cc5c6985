# In: the dataset manifest and the regions after the last step.
# Out: labels/<name>/, one mask an image, 255 where nothing is known.
# Steps: detect_saliency -> assemble_labels; copy_true_labels, for the upper bound only.


rule detect_saliency:
    input:
        dataset=run.dataset,
    output:
        store=f"{run.results}/saliency/{{name}}/{{shard}}.h5",
        manifest=f"{run.results}/saliency/{{name}}/{{shard}}.json",
    log:
        run=f"{run.results}/logs/detect_saliency/{{name}}-{{shard}}.log",
        checksums=f"{run.results}/checksums/detect_saliency/{{name}}-{{shard}}.sha256",
    benchmark:
        f"{run.results}/benchmarks/detect_saliency/{{name}}-{{shard}}.tsv"
    conda:
        "../envs/aepsl.yaml"
    threads: run.threads
    resources:
        network_threads=run.threads,
        cache=run.cache,
        root=run.root,
        source=run.saliency_source,
        device=run.detector_device,
        gpu=run.detector_gpu,
        mem_mb=lambda _, attempt: 4000 * attempt,
        runtime=240,
    params:
        shards=run.shards_of("saliency"),
        cfg=run.params("saliency"),
        code=run.code("saliency"),
    shell:
        "aepsl detect-saliency --config {params.cfg:q} --dataset {input.dataset:q} --root {resources.root:q}"
        " {resources.source}"
        " --output {output.store:q} --shard {wildcards.shard} --shards {params.shards} --threads {resources.network_threads}"
        " --device {resources.device}"
        " --code {params.code} {resources.cache}"
        " --log {log.run:q} --checksums {log.checksums:q}"


rule assemble_labels:
    input:
        dataset=run.dataset,
        regions=run.part(run.last_regions),
        saliency=run.part(run.saliency),
    output:
        store=f"{run.results}/labels/{{name}}/{{shard}}.h5",
        manifest=f"{run.results}/labels/{{name}}/{{shard}}.json",
    log:
        run=f"{run.results}/logs/assemble_labels/{{name}}-{{shard}}.log",
        checksums=f"{run.results}/checksums/assemble_labels/{{name}}-{{shard}}.sha256",
    benchmark:
        f"{run.results}/benchmarks/assemble_labels/{{name}}-{{shard}}.tsv"
    conda:
        "../envs/aepsl.yaml"
    resources:
        cache=run.cache,
        mem_mb=lambda _, attempt: 2000 * attempt,
        runtime=60,
    params:
        shards=run.shards_of("labels"),
        cfg=run.params("labels"),
        code=run.code("labels"),
    shell:
        "aepsl assemble-labels --config {params.cfg:q} --dataset {input.dataset:q}"
        ' --regions "{input.regions}" --saliency "{input.saliency}"'
        " --output {output.store:q} --shard {wildcards.shard} --shards {params.shards}"
        " --code {params.code} {resources.cache}"
        " --log {log.run:q} --checksums {log.checksums:q}"


rule copy_true_labels:
    input:
        dataset=run.dataset,
        truth=run.true_masks,
    output:
        store=f"{run.results}/true_labels/{{name}}/{{shard}}.h5",
        manifest=f"{run.results}/true_labels/{{name}}/{{shard}}.json",
    log:
        run=f"{run.results}/logs/copy_true_labels/{{name}}-{{shard}}.log",
        checksums=f"{run.results}/checksums/copy_true_labels/{{name}}-{{shard}}.sha256",
    benchmark:
        f"{run.results}/benchmarks/copy_true_labels/{{name}}-{{shard}}.tsv"
    conda:
        "../envs/aepsl.yaml"
    resources:
        root=run.root,
        mem_mb=lambda _, attempt: 1000 * attempt,
        runtime=60,
    params:
        shards=run.shards_of("true_labels"),
        code=run.code("true_labels"),
    shell:
        "aepsl copy-true-labels --dataset {input.dataset:q} --root {resources.root:q} --truth {input.truth:q} --output {output.store:q}"
        " --shard {wildcards.shard} --shards {params.shards} --log {log.run:q} --checksums {log.checksums:q}"
