# In: data.root (VOC's layout), or nothing for the generated scenes.
# Out: dataset/<name>/manifest.json, every image checked and described.
# Steps: generate_scenes (scenes only) -> index_dataset.


rule generate_scenes:
    output:
        directory(f"{run.results}/scenes/{{name}}"),
    log:
        f"{run.results}/logs/generate_scenes/{{name}}.log",
    benchmark:
        f"{run.results}/benchmarks/generate_scenes/{{name}}.tsv"
    conda:
        "../envs/aepsl.yaml"
    threads: run.config.runtime.processes
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        cfg=run.params("scenes"),
        code=run.code("scenes"),
    shell:
        "aepsl generate-scenes --config {params.cfg:q} --output {output:q} --threads {threads}"
        " --log {log:q}"


rule index_dataset:
    input:
        unpack(run.dataset_inputs),
    output:
        f"{run.results}/dataset/{{name}}/manifest.json",
    log:
        f"{run.results}/logs/index_dataset/{{name}}.log",
    benchmark:
        f"{run.results}/benchmarks/index_dataset/{{name}}.tsv"
    conda:
        "../envs/aepsl.yaml"
    threads: run.config.runtime.processes
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        cfg=run.params("dataset"),
        code=run.code("dataset"),
        scenes=run.scenes_option,
    shell:
        "aepsl index-dataset --config {params.cfg:q} {params.scenes} --output {output:q}"
        " --threads {threads} --log {log:q}"
