"""The real Snakemake in a forked process, half a second faster than a new one, and its dry runs."""

import contextlib
import multiprocessing
import os
import re
import sys
import traceback
from importlib import import_module
from pathlib import Path

import smart_open  # noqa: F401
import snakemake.cli

from aepsl.workflow.codedigest import import_closure

# Loaded once, for all the processes that are forked from here: half of a dry run's time.
snakemake.cli.get_argument_parser()
for stage in Path(import_module("aepsl.stages").__path__[0]).glob("[a-z]*.py"):
    import_closure(f"aepsl.stages.{stage.stem}")


class Plan(dict):
    """The number of jobs of each rule that a dry run plans, and its output."""

    def __init__(self, status, text):
        self.status, self.text = status, text
        table = text.partition("Job stats:")[2].partition("\ntotal")[0]
        super().__init__(
            {rule: int(n) for rule, n in re.findall(r"^(\w+)\s+(\d+)\s*$", table, re.M)}
        )

    @property
    def rules(self):
        """The rules that would run; what only gathers their results counts as nothing."""
        return set(self) - {"all"}


def _pretend_changed(module):
    """Make the digests of code see another file of that name."""
    from aepsl.workflow import codedigest

    read = codedigest._module_facts

    def other(path):
        text, names = read(path)
        return (text + "changed", names) if path == module else (text, names)

    codedigest._module_facts = other


def _child(folder, arguments, module, log):
    os.chdir(folder)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
    status = 1
    try:
        if module:
            _pretend_changed(module)
        snakemake.cli.main(list(arguments))
        status = 0
    except SystemExit as stop:
        status = stop.code or 0
    except BaseException:
        traceback.print_exc()
    with contextlib.suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(int(status))


def run(folder, *arguments, module=None, timeout=60):
    """Run Snakemake in a folder; return its exit status and its whole output.

    Args:
        folder: of the Snakefile.
        arguments: of Snakemake.
        module: path of a file of the package that is to seem changed.
        timeout: seconds until it is killed.
    """
    log = Path(folder) / f".dry-run-{os.getpid()}.log"
    context = multiprocessing.get_context("fork")
    process = context.Process(target=_child, args=(folder, arguments, module, log))
    process.start()
    process.join(timeout)
    if process.is_alive():
        process.kill()
        process.join()
    return process.exitcode, log.read_text()


def plan(folder, *arguments, module=None):
    """Return what `snakemake -n` plans in a folder; the arguments are those of :func:`run`."""
    return Plan(*run(folder, "--cores", "2", "-n", *arguments, module=module))
