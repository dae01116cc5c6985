"""Checks of the project folder: whether Snakemake can work in it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from aepsl.config.files import refuse_duplicate_keys
from aepsl.errors import AepslError


def check_project(snakefile: str, *, config_files: Iterable[str | Path]) -> None:
    """Check, before the rules are read, that Snakemake can work in the project folder.

    Args:
        snakefile: path of the main Snakefile.
        config_files: the configuration files of the run.

    Raises:
        AepslError: if the folder has braces in its name, the current folder cannot be written, or a
            configuration file has a key twice.
    """
    folder = Path(snakefile).parent
    if set("{}") & set(str(folder)):
        what = "has braces in its name, which Snakemake reads as wildcards"
        raise AepslError.of(folder, what, "rename the folder")
    if blocked := unwritable(".snakemake"):
        hint = f"run it in a folder that you can write to: snakemake --snakefile {snakefile}"
        raise AepslError.of(blocked, "cannot be written", hint)
    refuse_duplicate_keys(config_files)


def unwritable(folder: str | Path) -> Path | None:
    """Return the path that prevents writing to or creating ``folder``; None if it is writable.

    The path is the folder itself or, if it is missing, its nearest existing parent folder; or a
    link to a disk that is not mounted.
    """
    path = Path(folder).absolute()
    nearest = next(place for place in (path, *path.parents) if os.path.lexists(place))
    return None if os.access(nearest, os.W_OK | os.X_OK) else nearest
