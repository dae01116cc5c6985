"""The benchmarks run; what they measure is read by people, on a quiet machine."""

import subprocess
import sys

import pytest
from conftest import ROOT


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "last"),
    [
        (("added_photographs.py", "5", "65"), "the same bytes"),
        (("million_images.py", "30"), "no-op run"),
        (("bill.py",), "| **files**"),
    ],
)
def test_a_benchmark_runs_to_its_end(tmp_path, command, last):
    name, *arguments = command
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / name, *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith(last)
