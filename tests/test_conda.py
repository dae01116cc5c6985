"""The environment for conda, as Snakemake makes it, with a stand-in for conda and no network."""

import os
import re
import runpy
import shutil
import stat
import subprocess
import sys
from importlib.util import find_spec

import pytest
import yaml
from conftest import ROOT, new_project, run_snakemake

BASE = """#!{python}
import json, os, stat, subprocess, sys
from pathlib import Path
import yaml

match sys.argv[1:]:
    case ["info", "--json"]:
        print(json.dumps({{"conda_prefix": "{base}", "platform": "linux-64"}}))
    case ["--version"]:
        print("conda 25.1.0")
    case ["config", *_]:
        print(json.dumps({{"get": {{"channel_priority": "strict"}}}}))
    case ["env", "create", "--quiet", "--no-default-packages", "--file", file, "--prefix", prefix]:
        environment = yaml.safe_load(Path(file).read_text())
        lists = [part["pip"] for part in environment["dependencies"] if isinstance(part, dict)]
        # As conda does: a file of requirements, beside the copy of the environment's file.
        wanted = Path(file).with_name("condaenv.requirements.txt")
        wanted.write_text("\\n".join(line for lines in lists for line in lines))
        pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--dry-run"]
        subprocess.run([*pip, "-q", "-r", wanted], cwd=wanted.parent, check=True)
        python = Path(prefix, "bin", "python")
        python.parent.mkdir(parents=True)
        python.write_text('#!/bin/sh\\necho "$PWD: $*" >> {base}/calls.txt\\n')
        python.chmod(python.stat().st_mode | stat.S_IXUSR)
    case ["clean", *_]:
        pass
    case other:
        sys.exit(f"not known here: {{other}}")
"""

ACTIVATE = 'export PATH="$1/bin:$PATH"\n'


@pytest.fixture
def conda(tmp_path, monkeypatch):
    """Put a stand-in for conda on the path, which pip really obeys; return its folder."""
    base = tmp_path / "conda"
    (base / "bin").mkdir(parents=True)
    command = base / "bin" / "conda"
    command.write_text(BASE.format(python=sys.executable, base=base))
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    (base / "bin" / "activate").write_text(ACTIVATE)
    monkeypatch.setenv("PATH", f"{base / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return base


@pytest.mark.slow
@pytest.mark.skipif(not find_spec("pydensecrf"), reason="pydensecrf is not installed")
def test_snakemake_makes_the_environment_and_installs_the_package(conda, tmp_path):
    (tmp_path / "project").mkdir()
    folder = new_project(tmp_path / "project")
    shutil.copy(ROOT / "pyproject.toml", folder)
    run_snakemake(folder, "--sdm", "conda", "--conda-create-envs-only")
    assert (conda / "calls.txt").read_text() == (
        f"{folder}: -m pip install --no-deps --no-build-isolation --editable .\n"
    )


def test_without_a_checkout_the_version_that_runs_is_installed(tmp_path):
    """Neither a package in this folder nor an installed one is an error, with a hint."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, said in (("aepsl", "echo aepsl 1.2.3"), ("python", 'echo "$*"')):
        (tools / name).write_text(f"#!/bin/sh\n{said}\n")
        (tools / name).chmod(0o755)
    script = ["bash", ROOT / "envs" / "aepsl.post-deploy.sh"]

    def deployed(path):
        environment = os.environ | {"PATH": path}
        return subprocess.run(
            script, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )

    found = deployed(f"{tools}{os.pathsep}/usr/bin:/bin")
    assert found.stdout == "-m pip install --no-deps aepsl==1.2.3\n"
    missing = deployed("/usr/bin:/bin")
    assert missing.returncode == 1
    assert "Hint: start Snakemake in the folder of pyproject.toml" in missing.stdout


def test_the_environment_has_the_versions_of_the_lock_files():
    environment = yaml.safe_load((ROOT / "envs" / "aepsl.yaml").read_text())
    (pins,) = [part["pip"] for part in environment["dependencies"] if isinstance(part, dict)]
    locks = ("requirements.lock", "requirements-crf.lock")
    lines = [line for name in locks for line in (ROOT / name).read_text().splitlines()]
    assert sorted(pins) == sorted(lines)
    assert all(re.fullmatch(r"[a-z0-9-]+==[\w.]+", pin) for pin in pins)


def test_new_locks_replace_the_versions_and_nothing_else():
    with_pins = runpy.run_path(str(ROOT / "tools" / "lock.py"))["with_pins"]
    old = "channels:\n  - x\ndependencies:\n  - pip\n  - pip:\n      - a==1\n      - gone==3\n"
    assert with_pins(old, ["a==2\nc==1\n", "b==7\n"]) == (
        "channels:\n  - x\ndependencies:\n  - pip\n  - pip:\n"
        "      - a==2\n      - b==7\n      - c==1\n"
    )
