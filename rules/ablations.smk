# In: the score files and training curves of each row and seed of config.yaml: ablations.
# Out: ablations/<table>.csv, .md, .png, and tables.md, all tables on one page.
# Steps: tabulate (each table) -> collect_tables.


rule ablations:
    input:
        f"{run.results}/ablations/tables.md",


rule tabulate:
    input:
        run.table_inputs,
    output:
        data=f"{run.results}/ablations/{{table}}.csv",
        text=f"{run.results}/ablations/{{table}}.md",
        plot=f"{run.results}/ablations/{{table}}.png",
    log:
        run=f"{run.results}/logs/tabulate/{{table}}.log",
        checksums=f"{run.results}/checksums/tabulate/{{table}}.sha256",
    benchmark:
        f"{run.results}/benchmarks/tabulate/{{table}}.tsv"
    wildcard_constraints:
        table=run.table_pattern,
    localrule: True
    conda:
        "../envs/aepsl.yaml"
    resources:
        mem_mb=lambda _, attempt: 1000 * attempt,
        runtime=5,
    params:
        code=run.module_code("tabulate"),
        spec=run.table_specification,
    shell:
        "aepsl tabulate --specification {params.spec:q} --output {output.data:q}"
        " --text {output.text:q} --plot {output.plot:q} --log {log.run:q} --checksums {log.checksums:q}"


rule collect_tables:
    input:
        texts=expand(f"{run.results}/ablations/{{table}}.md", table=run.tables()),
        curves=run.loss_curves,
    output:
        page=f"{run.results}/ablations/tables.md",
        plot=f"{run.results}/ablations/losses.png",
    log:
        run=f"{run.results}/logs/collect_tables.log",
        checksums=f"{run.results}/checksums/collect_tables.sha256",
    benchmark:
        f"{run.results}/benchmarks/collect_tables.tsv"
    localrule: True
    conda:
        "../envs/aepsl.yaml"
    resources:
        mem_mb=lambda _, attempt: 1000 * attempt,
        runtime=5,
    params:
        code=run.module_code("collect_tables"),
        name=run.config.run,
        command=run.command(workflow.configfiles),
    shell:
        'aepsl collect-tables --texts "{input.texts}" --curves "{input.curves}" --name {params.name:q}'
        " --command {params.command:q} --output {output.page:q} --plot {output.plot:q} --log {log.run:q} --checksums {log.checksums:q}"
