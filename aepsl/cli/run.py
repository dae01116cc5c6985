"""Snakemake on the project's workflow, from any folder: ``aepsl run`` and ``aepsl explain``."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from aepsl.config.files import read_configuration
from aepsl.errors import AepslError
from aepsl.shipped import shipped

SNAKEMAKE = (sys.executable, "-P", "-m", "snakemake")
"""The Snakemake of this environment, on the PATH or not; -P: no module of the current folder."""

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
        AepslError: if a configuration file cannot be read.
    """
    first = next((n for n, word in enumerate(words) if word.startswith("-")), len(words))
    named, options = words[:first], words[first:]
    _check_order(options)
    files = [word for word in named if word.endswith(CONFIGURATIONS)]
    settings = [*settings, *(word for word in named if "=" in word)]
    read_configuration([Path(file) for file in files], settings)
    command = [*SNAKEMAKE, *(word for word in named if word not in (*files, *settings))]
    command += ["--snakefile", str(shipped("Snakefile")), "--cores", cores]
    if profile:
        ours = shipped("profiles") / profile
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


def environment() -> dict[str, str]:
    """Return the environment of Snakemake: the rules find the ``aepsl`` beside this Python.

    It need not be on the PATH: pipx, uv and a call by its path do without.
    """
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return os.environ | {"PATH": path, "AEPSL_COMMAND": shlex.join(["aepsl", *sys.argv[1:]])}


def become(command: list[str]) -> NoReturn:
    """Become Snakemake: its signals, its terminal and its exit status are this command's."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(command[0], command, environment())
