"""start.py, with pip replaced by a script that records its arguments."""

import runpy
import stat

import pytest
from conftest import ROOT

PIP = """#!/bin/sh
echo "$*" >> {calls}
case "$*" in *{broken}*) exit 1;; esac
"""


@pytest.fixture
def start(tmp_path):
    """Return start.py's names, its environment in a temporary folder, and what makes pip fail."""
    names = runpy.run_path(str(ROOT / "start.py"))
    calls = tmp_path / "calls.txt"
    (tmp_path / "bin").mkdir()

    def with_broken(part):
        python = tmp_path / "bin" / "python"
        python.write_text(PIP.format(calls=calls, broken=part))
        python.chmod(python.stat().st_mode | stat.S_IXUSR)
        names["set_up"].__globals__.update(ENVIRONMENT=tmp_path, BIN=tmp_path / "bin")
        return names["set_up"], lambda: calls.read_text() if calls.exists() else ""

    return with_broken


def test_without_a_compiler_the_rest_is_installed_with_a_message(start, capsys):
    set_up, calls = start("requirements-crf.lock")
    set_up(slurm=False, tests=True)
    assert "requirements.lock" in calls()
    assert "requirements-dev.lock" in calls()
    assert "install a C++ compiler" in capsys.readouterr().out


def test_failed_packages_are_tried_again_and_installed_ones_are_not(start, tmp_path):
    set_up, calls = start("requirements-crf.lock")
    set_up(slurm=False, tests=False)
    (tmp_path / "calls.txt").unlink()
    set_up(slurm=False, tests=False)
    assert "requirements-crf.lock" in calls()
    assert "requirements.lock" not in calls()


def test_the_cluster_plugin_is_installed_on_request(start):
    set_up, calls = start("nothing")
    set_up(slurm=False, tests=False)
    assert "requirements-slurm.lock" not in calls()
    set_up(slurm=True, tests=False)
    assert "requirements-slurm.lock" in calls()


def test_without_torch_setup_stops(start):
    set_up, calls = start("requirements.lock")
    with pytest.raises(SystemExit, match="could not be installed"):
        set_up(slurm=False, tests=True)
    assert "requirements-dev.lock" not in calls()
