"""What Snakemake's workflow catalogue asks of a repository."""

import os
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import distribution

import pytest
import yaml
from conftest import ROOT, new_project, run_snakemake

import aepsl


def snakemake_alone(folder):
    """Fill a folder with links to the packages of Snakemake and of what it needs."""
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        from lock import closure
    finally:
        sys.path.remove(str(ROOT / "tools"))
    folder.mkdir()
    for name in closure(["snakemake"]):
        package = distribution(name)
        for top in {path.parts[0] for path in package.files if path.parts[0] != ".."}:
            link = folder / top
            if top != "__pycache__" and not link.exists():
                link.symlink_to(package.locate_file(top))
    return folder


def test_the_workflow_is_linted_where_only_snakemake_is_installed(tmp_path):
    packages = snakemake_alone(tmp_path / "packages")
    there = {path.name for path in packages.iterdir()}
    assert {"snakemake", "pydantic", "yaml"} <= there
    assert not {"numpy", "torch", "PIL", "h5py", "rich", "typer"} & there
    new_project(tmp_path)
    result = subprocess.run(
        [sys.executable, "-S", "-m", "snakemake", "--lint"],  # -S: no other package is found
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": f"{packages}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Congratulations, your workflow is in a good condition!" in result.stderr


@pytest.mark.long
def test_it_is_linted_where_the_logger_plugin_is_not_installed(tmp_path):
    packages = snakemake_alone(tmp_path / "packages")
    result = subprocess.run(
        [sys.executable, "-S", "-P", "-m", "snakemake", "--lint"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(packages)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_catalogue_finds_its_files():
    about = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())
    assert about["usage"]["software-stack-deployment"]["conda"]
    assert set(about["usage"]) == {"software-stack-deployment", "report", "mandatory-flags"}
    assert (ROOT / "config" / "README.md").read_text().startswith("# Configuration")
    readme = (ROOT / "README.md").read_text().lower()
    assert "snakemake" in readme
    assert "workflow" in readme


def test_the_citation_names_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == aepsl.__version__
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()


@pytest.mark.slow
def test_snakemakes_report_holds_the_page_and_the_scores(finished_miniature, tmp_path):
    folder = tmp_path / "project"
    shutil.copytree(finished_miniature, folder, symlinks=True)
    archive = tmp_path / "report.zip"
    run_snakemake(folder, "--configfile", "mini.yaml", "--report", archive)
    with zipfile.ZipFile(archive) as packed:
        names = packed.namelist()
        page = next(name for name in names if name.endswith("/index.html") and "data/" in name)
        assert "<h1>mini</h1>" in packed.read(page).decode()
        assert any(name.endswith("gallery.js") for name in names)
        about = "".join(packed.read(n).decode() for n in names if n.endswith((".js", ".html")))
    for text in (
        "Page",
        "Scores",
        "scores.csv",
        "its verdict in words",
        "trained from image labels",
    ):
        assert text in about
