# In: the dataset manifest and a label store.
# Out: segmentation/<name>/round<r>/, predictions/<name>/, crf/<name>/, masks/<name>/.
# Steps: train_segmentation -> [relabel -> train_segmentation] x rounds (PSL++) -> predict
# -> refine_predictions -> export_masks (on request); predict_shown, for the report.


rule train_segmentation:
    input:
        dataset=run.dataset,
        labels=run.training_labels,
    output:
        model=f"{run.results}/segmentation/{{name}}/round{{round}}/model.safetensors",
        curve=f"{run.results}/segmentation/{{name}}/round{{round}}/curve.csv",
    log:
        run=f"{run.results}/logs/train_segmentation/{{name}}-round{{round}}.log",
        checksums=f"{run.results}/checksums/train_segmentation/{{name}}-round{{round}}.sha256",
    benchmark:
        f"{run.results}/benchmarks/train_segmentation/{{name}}-round{{round}}.tsv"
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
        cfg=run.params("segmentation"),
        code=run.code("segmentation"),
    shell:
        "aepsl train-segmentation --config {params.cfg:q} --dataset {input.dataset:q} --root {resources.root:q}"
        ' --labels "{input.labels}" --output {output.model:q} --curve {output.curve:q}'
        f" --work {run.results}/work/segmentation-{{wildcards.name}}-round{{wildcards.round}}"
        " {resources.weights}"
        " --threads {resources.network_threads} --device {resources.device} --workers {resources.workers}"
        " --training-gpus {resources.training_gpus}"
        " --code {params.code} {resources.cache}"
        " --log {log.run:q} --checksums {log.checksums:q}"


rule relabel:
    input:
        dataset=run.dataset,
        model=run.earlier_network,
    output:
        store=f"{run.results}/relabelled/{{name}}/round{{round}}/{{shard}}.h5",
        manifest=f"{run.results}/relabelled/{{name}}/round{{round}}/{{shard}}.json",
    log:
        run=f"{run.results}/logs/relabel/{{name}}-round{{round}}-{{shard}}.log",
        checksums=f"{run.results}/checksums/relabel/{{name}}-round{{round}}-{{shard}}.sha256",
    benchmark:
        f"{run.results}/benchmarks/relabel/{{name}}-round{{round}}-{{shard}}.tsv"
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
        runtime=720,
    params:
        shards=run.shards_of("relabelled"),
        cfg=run.params("relabelled"),
        code=run.code("relabelled"),
    shell:
        "aepsl relabel --config {params.cfg:q} --dataset {input.dataset:q} --root {resources.root:q}"
        " --model {input.model:q} --output {output.store:q}"
        " --shard {wildcards.shard} --shards {params.shards} --threads {resources.network_threads} --device {resources.device}"
        " --code {params.code} {resources.cache}"
        " --log {log.run:q} --checksums {log.checksums:q}"


rule predict:
    input:
        dataset=run.evaluated,
        model=run.final_network,
    output:
        store=f"{run.results}/predictions/{{name}}/{{shard}}.h5",
        manifest=f"{run.results}/predictions/{{name}}/{{shard}}.json",
    log:
        run=f"{run.results}/logs/predict/{{name}}-{{shard}}.log",
        checksums=f"{run.results}/checksums/predict/{{name}}-{{shard}}.sha256",
    benchmark:
        f"{run.results}/benchmarks/predict/{{name}}-{{shard}}.tsv"
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
        shards=run.shards_of("predictions"),
        cfg=run.params("predictions"),
        code=run.code("predictions"),
    shell:
        "aepsl predict --config {params.cfg:q} --dataset {input.dataset:q} --root {resources.root:q}"
        " --model {input.model:q} --output {output.store:q}"
        " --shard {wildcards.shard} --shards {params.shards} --threads {resources.network_threads} --device {resources.device}"
        " --code {params.code} {resources.cache}"
        " --log {log.run:q} --checksums {log.checksums:q}"


rule predict_shown:
    input:
        dataset=run.dataset,
        model=run.final_network,
    output:
        store=f"{run.results}/shown/{{name}}/0.h5",
        manifest=f"{run.results}/shown/{{name}}/0.json",
    log:
        run=f"{run.results}/logs/predict_shown/{{name}}.log",
        checksums=f"{run.results}/checksums/predict_shown/{{name}}.sha256",
    benchmark:
        f"{run.results}/benchmarks/predict_shown/{{name}}.tsv"
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
        runtime=60,
    params:
        cfg=run.params("predictions"),
        code=run.code("predictions"),
        images=run.config.report.images,
    shell:
        "aepsl predict --config {params.cfg:q} --dataset {input.dataset:q} --root {resources.root:q}"
        " --model {input.model:q} --limit {params.images}"
        " --output {output.store:q} --threads {resources.network_threads} --device {resources.device}"
        " --code {params.code} {resources.cache}"
        " --log {log.run:q} --checksums {log.checksums:q}"


rule refine_predictions:
    input:
        dataset=run.evaluated,
        predictions=run.part(run.predictions),
    output:
        store=f"{run.results}/crf/{{name}}/{{shard}}.h5",
        manifest=f"{run.results}/crf/{{name}}/{{shard}}.json",
    log:
        run=f"{run.results}/logs/refine_predictions/{{name}}-{{shard}}.log",
        checksums=f"{run.results}/checksums/refine_predictions/{{name}}-{{shard}}.sha256",
    benchmark:
        f"{run.results}/benchmarks/refine_predictions/{{name}}-{{shard}}.tsv"
    conda:
        "../envs/aepsl.yaml"
    threads: run.config.runtime.processes
    resources:
        cache=run.cache,
        root=run.root,
        mem_mb=lambda _, attempt: 2000 * attempt,
        runtime=240,
    params:
        shards=run.shards_of("crf"),
        cfg=run.params("crf"),
        code=run.code("crf"),
    shell:
        "aepsl refine-predictions --config {params.cfg:q} --dataset {input.dataset:q} --root {resources.root:q}"
        ' --predictions "{input.predictions}" --output {output.store:q}'
        " --shard {wildcards.shard} --shards {params.shards} --threads {threads}"
        " --code {params.code} {resources.cache}"
        " --log {log.run:q} --checksums {log.checksums:q}"


rule export_masks:
    input:
        run.final_masks,
    output:
        directory(f"{run.results}/masks/{{name}}"),
    log:
        run=f"{run.results}/logs/export_masks/{{name}}.log",
        checksums=f"{run.results}/checksums/export_masks/{{name}}.sha256",
    benchmark:
        f"{run.results}/benchmarks/export_masks/{{name}}.tsv"
    conda:
        "../envs/aepsl.yaml"
    resources:
        mem_mb=lambda _, attempt: 1000 * attempt,
        runtime=60,
    params:
        code=run.module_code("export_masks"),
    shell:
        'aepsl export-masks --masks "{input}" --output {output:q} --log {log.run:q} --checksums {log.checksums:q}'
