"""What Snakemake's workflow catalogue asks of a repository."""

import os
import subprocess
import sys
from importlib.metadata import distribution

import yaml
from conftest import ROOT, new_project

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
