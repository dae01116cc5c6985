# In: data.root (VOC's layout), or nothing for the generated scenes.
# Out: train_images/<name>/ and eval_images/<name>/, every photograph checked and described;
# train_truth/<name>/ and eval_truth/<name>/, the same of the true masks, for scores only.
# Steps: generate_scenes (scenes only) -> index_images -> index_truth.


rule generate_scenes:
    output:
        f"{run.results}/scenes/{{name}}/scenes.json",
    log:
        run=f"{run.results}/logs/generate_scenes/{{name}}.log",
        checksums=f"{run.results}/checksums/generate_scenes/{{name}}.sha256",
    benchmark:
        f"{run.results}/benchmarks/generate_scenes/{{name}}.tsv"
    conda:
        "../envs/aepsl.yaml"
    threads: run.config.runtime.processes
    resources:
        mem_mb=lambda _, attempt: 1000 * attempt,
        runtime=10,
    params:
        cfg=run.params("scenes"),
        code=run.code("scenes"),
    shell:
        "aepsl generate-scenes --config {params.cfg:q} --output {output:q} --threads {threads}"
        " --log {log.run:q} --checksums {log.checksums:q}"


rule index_images:
    input:
        run.scenes,
    output:
        f"{run.results}/{{part}}_images/{{name}}/manifest.jsonl",
    log:
        run=f"{run.results}/logs/index_images/{{name}}-{{part}}.log",
        checksums=f"{run.results}/checksums/index_images/{{name}}-{{part}}.sha256",
    benchmark:
        f"{run.results}/benchmarks/index_images/{{name}}-{{part}}.tsv"
    conda:
        "../envs/aepsl.yaml"
    threads: run.config.runtime.processes
    resources:
        cache=run.cache,
        root=run.root,
        labels_csv=run.labels_csv,
        mem_mb=lambda _, attempt: 2000 * attempt,
        runtime=60,
    params:
        cfg=run.index_params("images"),
        code=run.module_code("index_images"),
    shell:
        "aepsl index-images --config {params.cfg:q} --part {wildcards.part} --root {resources.root:q}"
        " {resources.labels_csv} --output {output:q} --threads {threads}"
        " --code {params.code} {resources.cache}"
        " --log {log.run:q} --checksums {log.checksums:q}"


rule index_truth:
    input:
        dataset=run.indexed,
    output:
        f"{run.results}/{{part}}_truth/{{name}}/manifest.jsonl",
    log:
        run=f"{run.results}/logs/index_truth/{{name}}-{{part}}.log",
        checksums=f"{run.results}/checksums/index_truth/{{name}}-{{part}}.sha256",
    benchmark:
        f"{run.results}/benchmarks/index_truth/{{name}}-{{part}}.tsv"
    priority: 10  # what is wrong with masks is said before anything is trained
    conda:
        "../envs/aepsl.yaml"
    resources:
        root=run.root,
        mem_mb=lambda _, attempt: 2000 * attempt,
        runtime=60,
    params:
        cfg=run.index_params("truth"),
        code=run.module_code("index_truth"),
    shell:
        "aepsl index-truth --config {params.cfg:q} --dataset {input.dataset:q} --root {resources.root:q}"
        " --output {output:q} --log {log.run:q} --checksums {log.checksums:q}"
