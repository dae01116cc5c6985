"""Snakemake on the project's workflow, from any folder: ``aepsl run`` and ``aepsl explain``."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from aepsl.config.files import PROJECT, read_configuration
from aepsl.errors import AepslError

CONFIGURATIONS = (".yaml", ".yml")
"""Suffixes by which configuration files are told from Snakemake's targets."""


def snakemake_command(
    words: Sequence[str],
    settings: Sequence[str] = (),
    *,
    cores: str = "all",
    profile: str | None = None,
    verbose: bool = False,
) -> list[str]:
    """Return the command of Snakemake for a command line of ``aepsl run`` or ``explain``.

    Args:
        words: configuration files, targets and ``key=value``, up to the first option; then options
            of Snakemake.
        settings: more of ``key=value``.
        cores: number of cores, or all.
        profile: folder of a profile, or the name of one of the project's.
        verbose: whether Snakemake shows its own text.

    Raises:
        AepslError: if Snakemake is not on the PATH, or a configuration file cannot be read.
    """
    if not shutil.which("snakemake"):
        raise AepslError.of("snakemake", "is not on the PATH", "source .venv/bin/activate")
    first = next((n for n, word in enumerate(words) if word.startswith("-")), len(words))
    named, options = words[:first], words[first:]
    _check_order(options)
    files = [word for word in named if word.endswith(CONFIGURATIONS)]
    settings = [*settings, *(word for word in named if "=" in word)]
    read_configuration([Path(file) for file in files], settings)
    command = ["snakemake", *(word for word in named if word not in (*files, *settings))]
    if (PROJECT / "Snakefile").is_file():  # else the one in the current folder
        command += ["--snakefile", str(PROJECT / "Snakefile")]
    command += ["--cores", cores]
    if profile:
        ours = PROJECT / "profiles" / profile
        command += ["--profile", str(ours if ours.is_dir() else profile)]
    command += ["--printshellcmds"] if verbose else []
    command += ["--configfile", *files] if files else []
    command += ["--config", *settings] if settings else []
    return [*command, *options]


def _check_order(options: Sequence[str]) -> None:
    """Check that no configuration comes after an option: Snakemake would take it for a target.

    Raises:
        AepslError: naming it.
    """
    if {"--configfile", "--configfiles", "--config", "-C"} & set(options):
        return
    late = [word for word in options if word.endswith(CONFIGURATIONS) and Path(word).is_file()]
    if late:
        what, hint = "comes after an option", "name configuration files before options"
        raise AepslError.of(late[0], what, hint)


def become(command: list[str]) -> NoReturn:
    """Become Snakemake: its signals, its terminal and its exit status are this command's."""
    os.environ["AEPSL_COMMAND"] = shlex.join(["aepsl", *sys.argv[1:]])
    sys.stdout.flush()
    sys.stderr.flush()
    os.execvp(command[0], command)
