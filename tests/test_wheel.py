"""The wheel is the whole product: built from the source distribution, used without a checkout."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from email import message_from_string
from pathlib import Path

import pytest
from conftest import ROOT, shared_folder

WORKFLOW = ("Snakefile", "config.yaml", "config.schema.json", "rules", "profiles", "envs", "report")


def files_in(place):
    """Return the files of a file or folder of the checkout, relative to the checkout."""
    paths = [place] if place.is_file() else place.rglob("*")
    return {p.relative_to(ROOT).as_posix() for p in paths if p.is_file() and p.suffix != ".pyc"}


def build(folder):
    """Build the source distribution, and the wheel from it."""
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.fixture(scope="session")
def built(tmp_path_factory, worker_id):
    """Return the folder of both."""
    return shared_folder(tmp_path_factory, worker_id, "built", build)


def test_the_wheel_holds_the_package_and_the_workflow_once(built):
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    package = files_in(ROOT / "aepsl") | files_in(ROOT / "snakemake_logger_plugin_aepsl")
    workflow = set().union(*(files_in(ROOT / name) for name in WORKFLOW))
    assert names == package | {f"aepsl/shipped/{name}" for name in workflow}
    assert {"aepsl/py.typed", "aepsl/shipped/profiles/slurm/profile.yaml"} <= names


def test_the_source_distribution_holds_what_builds_and_tests_it(built):
    with tarfile.open(next(built.glob("*.tar.gz"))) as source:
        names = {name.partition("/")[2] for name in source.getnames()}
    wanted = {"Snakefile", "start.py", "requirements.lock", "tests/conftest.py", "tests/mini.yaml"}
    assert wanted <= names


def test_the_description_leads_nowhere_outside_itself(built):
    """An index page shows README.md, where a path of the repository is no address."""
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        metadata = next(name for name in wheel.namelist() if name.endswith("/METADATA"))
        about = message_from_string(wheel.read(metadata).decode())
    text = about.get_payload()
    assert "aepsl run" in text
    assert not re.findall(r"\]\((?!https?:|#)[^)]*\)", text)
    assert {"crf", "gpu", "slurm"} <= set(about.get_all("Provides-Extra"))


@pytest.fixture
def installed(built, tmp_path):
    """Return the command ``aepsl`` of a fresh environment: the wheel, and what it depends on."""
    place = tmp_path / "environment"
    venv.create(place, symlinks=True)
    python = place / "bin" / "python"
    site = Path(sysconfig.get_path("purelib", vars={"base": str(place)}))
    # Its dependencies are those of this environment; a link to this checkout is not followed.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps"]
    subprocess.run([*pip, "--no-index", next(built.glob("*.whl"))], check=True)
    return place / "bin" / "aepsl"


@pytest.mark.slow
def test_an_installed_wheel_runs_from_an_empty_folder(installed, tmp_path):
    """Without a checkout, an activated environment or a word about where it lies."""
    folder = tmp_path / "empty"
    folder.mkdir()
    plain = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    plain["PATH"] = os.defpath

    def aepsl(*arguments):
        command = [installed, *arguments]
        result = subprocess.run(
            command, cwd=folder, env=plain, capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout + result.stderr

    assert aepsl("config").startswith("base: scenes ")
    dry = aepsl("run", "--profile", "slurm", "-n", "--executor", "dryrun")
    assert "train_segmentation" in dry
    shutil.copy(ROOT / "tests" / "mini.yaml", folder)
    mini = ("mini.yaml", "--config", "variants={truth: null}")
    assert "predictions" in aepsl("run", *mini)
    assert aepsl("status", *mini).startswith("results/mini: done")
    assert (folder / "results/mini/report/index.html").is_file()
    photographs = folder / "results/mini/scenes/main/JPEGImages"
    aepsl("segment", "--network", "results/mini", "--output", "found", str(photographs))
    assert (folder / "found" / "areas.csv").is_file()
    assert {path.name for path in folder.iterdir()} == {
        *("mini.yaml", "results", "found", ".snakemake"),
    }
