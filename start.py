#!/usr/bin/env python3
"""Set up and run the project in this file's folder; needs only Python 3.11 or later.

    python3 start.py                 set up, then run the main job: snakemake on all cores
    python3 start.py run ARGUMENTS   the same with arguments for snakemake, such as
                                     --profile profiles/slurm on a cluster
    python3 start.py test ARGUMENTS  set up, then run the tests
    python3 start.py setup           set up only

The environment is .venv; it is updated when a lock file or pyproject.toml changes.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import venv
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).resolve().parent
ENVIRONMENT = ROOT / ".venv"
BIN = ENVIRONMENT / "bin"


def pip(*arguments: str, **options: bool) -> bool:
    """Run pip in the environment; return whether it succeeded."""
    command = [str(BIN / "python"), "-m", "pip", "install", "--disable-pip-version-check"]
    return subprocess.run([*command, *arguments], cwd=ROOT, check=False, **options).returncode == 0


def install(name: str, steps: list[list[str]], *, needed: bool = True) -> None:
    """Run pip's ``steps``, unless they ran before with the same lock files."""
    files = [ROOT / part for step in steps for part in step if part.endswith(".lock")]
    files.append(ROOT / "pyproject.toml")
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
    stamp = ENVIRONMENT / f"{name}.installed"
    if stamp.exists() and stamp.read_text() == digest:
        return
    print(f"start: installing {name} (once)", flush=True)
    if all(pip("--quiet", *step) for step in steps):
        stamp.write_text(digest)
    elif needed:
        sys.exit(f"start: {name} could not be installed; pip's messages are above.")
    else:
        print(
            f"start: {name} could not be installed, the rest works without it."
            "\n    Hint: it is compiled; install a C++ compiler (Debian: apt-get install g++).",
            flush=True,
        )


def set_up(*, slurm: bool, tests: bool) -> None:
    """Create the environment and install missing packages."""
    if not (BIN / "python").exists():
        venv.create(ENVIRONMENT, with_pip=True)
    package = ["--no-deps", "--no-build-isolation", "-e", "."]
    install("aepsl", [["-r", "requirements.lock"], package])
    install("pydensecrf", [["-r", "requirements-crf.lock"]], needed=False)
    if slurm or tests:
        install("SLURM's plugin", [["-r", "requirements-slurm.lock"]])
    if tests:
        # Without dependencies: the lock is complete, and one package's metadata lags behind.
        install("test tools", [["--no-deps", "-r", "requirements-dev.lock"]])


def main() -> None:
    """Run the command line."""
    if sys.version_info < (3, 11):  # noqa: UP036 - an older Python may run this file
        sys.exit(f"start: Python 3.11 or later is needed, this is {sys.version.split()[0]}.")
    sys.path.insert(0, str(ROOT))
    import_module("aepsl")  # on Windows, its message ends this
    task, *arguments = sys.argv[1:] or ["run"]
    if task not in ("run", "test", "setup"):
        sys.exit(__doc__)
    slurm = any("slurm" in part for part in [os.environ.get("SNAKEMAKE_PROFILE", ""), *arguments])
    set_up(slurm=slurm, tests=task == "test")
    os.environ["PATH"] = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    command = ["pytest", "-n", "2", "--dist", "worksteal", *arguments]
    if task == "run":
        given = any(part.startswith(("--cores", "-c", "--profile")) for part in arguments)
        command = ["snakemake", *([] if given else ["--cores", "all"]), *arguments]
    if task != "setup":
        sys.exit(subprocess.run(command, cwd=ROOT, check=False).returncode)


if __name__ == "__main__":
    main()
