"""The benchmarks run; what they measure is read by people, on a quiet machine."""

import json
import subprocess
import sys

import pytest
from conftest import ROOT


@pytest.mark.long
@pytest.mark.parametrize(
    ("command", "last"),
    [
        (("added_photographs.py", "5", "65"), "the same bytes"),
        (("million_images.py", "30"), "no-op run"),
        (("bill.py",), "| **all, min**"),
        (("speed.py", "--quick"), "measured: cams training prediction"),
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


@pytest.fixture
def speed(monkeypatch):
    """Return the runner of the speed benchmarks, and what its parts share."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import speed
    import speed_tools

    return speed, speed_tools


@pytest.mark.slow
def test_ways_alternate_and_ratios_are_those_of_a_round(speed, tmp_path):
    _, tools = speed
    called = []

    def way(name, seconds):
        left = iter(seconds)

        def run():
            called.append(name)
            return next(left)

        return tools.Way(name, run)

    ways = [way("a", [1.0, 2.0, 4.0]), way("b", [2.0, 4.0, 8.0]), tools.Way("c", None, "absent")]
    bench = tools.Bench(tmp_path, None, rounds=3)
    table = tools.compare("t", ways, bench=bench, work=8, against="a", warm=False)
    assert called == ["a", "b"] * 3
    assert table.rows == [
        tools.Row("a", 4.0, 3.0, 6.0, 1.0),
        tools.Row("b", 2.0, 1.5, 3.0, 0.5),
        tools.Row("c", note="absent"),
    ]


def test_a_part_that_is_measured_again_leaves_the_others(speed, tmp_path, monkeypatch):
    runner, tools = speed
    monkeypatch.setattr(runner, "DOCS", tmp_path)
    table = vars(
        tools.Table("Speed", "images/s", "ours", [vars(tools.Row("ours", 12.34, 12, 13, 1))])
    )
    part = {"about": "What it is.", "date": "2026-01-02", "machine": "A chip, 2 cores", "rounds": 3}
    part |= {"versions": {"torch": "3.0"}, "command": "run it", "data": "photographs"}
    for name, date in (("crf", "2026-01-02"), ("cams", "2026-01-03"), ("crf", "2026-01-04")):
        runner.keep(name, part | {"date": date, "tables": [table]})
    kept = json.loads((tmp_path / "benchmarks.json").read_text())
    assert {name: one["date"] for name, one in kept.items()} == {
        "crf": "2026-01-04",
        "cams": "2026-01-03",
    }
    page = (tmp_path / "benchmarks.md").read_text()
    assert page.index("## cams") < page.index("## crf")
    assert "| ours | 12.3 | 12.0 to 13.0 | 1 |" in page
    assert "A chip, 2 cores. torch 3.0." in page
