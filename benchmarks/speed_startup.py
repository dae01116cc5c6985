"""Start of commands, and what a job costs besides its work: the best of several starts, in seconds.

Wall is what a user waits for, CPU what all its processes compute. `snakemake -n` plans a finished
run of the miniature (tests/mini.yaml), so that nothing is to be done.
"""

import resource
import shutil
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

from speed_tools import Bench, Row, Table

ROOT = Path(__file__).resolve().parent.parent
PYTHON = (sys.executable, "-c")
AEPSL = (sys.executable, "-m", "aepsl")
SNAKEMAKE = (sys.executable, "-m", "snakemake", "--cores", "2", "--configfile", "mini.yaml")


def _commands(folder):
    """Return the commands by name; the folder has the files of a clone."""
    modules = sorted(path.stem for path in (ROOT / "aepsl" / "stages").glob("[a-z]*.py"))
    job = ("start-mining", "--output", folder / "0.json", "--log", folder / "start.log")
    return {
        "python -c pass": (*PYTHON, "pass"),
        "import numpy": (*PYTHON, "import numpy"),
        "import torch": (*PYTHON, "import torch"),
        "aepsl --help": (*AEPSL, "--help"),
        "aepsl --version": (*AEPSL, "--version"),
        "a job without work: aepsl start-mining": (*AEPSL, *job),
    } | {f"import of {name}": (*PYTHON, f"import aepsl.stages.{name}") for name in modules}


def _cost(command, folder, says=""):
    """Run a command, which prints ``says``; return its wall seconds and its CPU seconds."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        list(map(str, command)), cwd=folder, capture_output=True, text=True, check=False
    )
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0 and says in done.stdout, done.stdout + done.stderr
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu


def _miniature(folder):
    """Make the files of a clone in ``folder``."""
    for name in ("Snakefile", "rules", "config.yaml", "envs", "profiles", "report"):
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
    shutil.copy(ROOT / "tests" / "mini.yaml", folder / "mini.yaml")


def _best(commands, rounds, folder):
    """Return the least wall and CPU seconds of each command; they alternate in rounds."""
    found = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            found[name].append(_cost(command, folder))
    return {name: tuple(map(min, zip(*costs, strict=True))) for name, costs in found.items()}


def measure(bench: Bench):
    """Yield wall and CPU seconds."""
    _miniature(bench.folder)
    commands = _commands(bench.folder)
    if bench.quick:
        commands = dict(list(commands.items())[:6])
    else:
        _cost(SNAKEMAKE, bench.folder)
        commands["snakemake -n, nothing to do"] = (*SNAKEMAKE, "-n")
        _cost((*SNAKEMAKE, "-n"), bench.folder, says="Nothing to be done")
    best = _best(commands, bench.rounds, bench.folder)
    table = partial(Table, statistic="best")
    for title, number in (("Wall", 0), ("CPU", 1)):
        rows = [Row(name, cost[number]) for name, cost in best.items()]
        yield table(title, "s", rows=rows)
