# In: the score files and training curves of each row and seed of config.yaml: ablations.
# Out: ablations/<table>.csv, .md, .png, and tables.md, all tables on one page.
# Steps: tabulate (each table) -> collect_tables.


rule ablations:
    input:
        paths.outputs("collect_tables")["page"],
        tables.removed_from_tables,


rule tabulate:
    input:
        tables.inputs,
    output:
        text=paths.outputs("tabulate")["text"],
        data=report(
            paths.outputs("tabulate")["data"],
            caption="../report/table.rst",
            category="Tables",
            labels={"table": "{table}", "as": "numbers"},
        ),
        plot=report(
            paths.outputs("tabulate")["plot"],
            caption="../report/table.rst",
            category="Tables",
            labels={"table": "{table}", "as": "plot"},
        ),
    log:
        **paths.logs("tabulate"),
    wildcard_constraints:
        table=tables.pattern,
    conda:
        "../envs/aepsl.yaml"
    resources:
        **resources(mem_mb=1000, runtime=5),
    params:
        **inputs.params("tabulate"),
        spec=tables.specification,
    shell:
        "aepsl tabulate --specification {params.spec:q} --output {output.data:q} --text {output.text:q}"
        " --plot {output.plot:q} {resources.options} --code {params.code} --log {log.run:q}"


rule collect_tables:
    input:
        texts=expand(paths.outputs("tabulate")["text"], table=tables.names),
        curves=tables.loss_curves,
    output:
        **paths.outputs("collect_tables"),
    log:
        **paths.logs("collect_tables"),
    conda:
        "../envs/aepsl.yaml"
    resources:
        **resources(mem_mb=1000, runtime=5),
    params:
        **inputs.params("collect_tables"),
        name=plan.config.run,
        command=tables.command(workflow.configfiles),
    shell:
        'aepsl collect-tables --texts "{input.texts}" --curves "{input.curves}" --name {params.name:q}'
        " --command {params.command:q} --output {output.page:q} --plot {output.plot:q} {resources.options}"
        " --code {params.code} --log {log.run:q}"
