"""The command line: its messages, its help, its progress bar on a terminal."""

import os
import pty
import re
import subprocess
import sys

import in_process
import numpy as np
import pytest
from PIL import Image

from aepsl.console import tracked
from aepsl.stores.records import Record, writing_shard


def aepsl(*arguments):
    return subprocess.run(["aepsl", *arguments], capture_output=True, text=True, check=False)


def on_a_terminal(code):
    """Run Python code whose standard error is a terminal; return what that showed."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", code], stderr=follower, env=os.environ | {"TERM": "xterm"}
    )
    os.close(follower)
    shown = b""
    while True:
        try:
            part = os.read(leader, 4096)
        except OSError:  # Linux's way to say that the other end is closed
            break
        if not part:
            break
        shown += part
    assert process.wait() == 0
    return shown.decode()


ROT = '{"data": {"rot": 1}}'


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show-scores", "absent.json"], "absent.json"),
        (["inspect", "absent.json"], "absent.json"),
        (["inspect", __file__], "test_cli.py"),
        (["no-such-stage"], "No such command"),
        (["index-images", "--config", "{"], "not JSON"),
        (["index-images", "--config", "[]"], "not a JSON object"),
        (
            ["index-images", "--config", ROT, "--output", "x", "--role", "train", "--root", "."],
            "mean root?",
        ),
    ],
)
def test_errors_are_reported_without_a_traceback(tmp_path, arguments, message):
    result = in_process.aepsl(tmp_path, *arguments)
    assert result.returncode in (1, 2)
    assert message in result.stderr
    assert "Traceback" not in result.stdout + result.stderr


def test_help_names_every_stage():
    shown = aepsl("--help").stdout
    stages = "index-images train-classifier extract-cams erase-regions detect-saliency"
    for stage in f"{stages} assemble-labels train-segmentation predict refine-predictions".split():
        assert stage in shown


COUNT = """
import time
from aepsl.console import tracked
for _ in tracked(range(3), total=3, what="saliency"):
    time.sleep(0.3)
"""


def test_a_terminal_shows_a_bar_with_an_estimate():
    shown = on_a_terminal(COUNT)
    assert "saliency" in shown
    assert "33%" in shown
    assert re.search(r"\d:\d\d:\d\d", shown)


def test_a_log_gets_ten_plain_lines(caplog):
    from aepsl.console import log

    log.propagate = True
    with caplog.at_level("INFO", logger="aepsl"):
        assert list(tracked(range(25), total=25, what="saliency")) == list(range(25))
    lines = [record.message for record in caplog.records]
    assert len(lines) == 10
    assert lines[-1] == "saliency: 25 of 25, 0 s left"
    assert not any("\x1b" in line for line in lines)


def test_masks_are_exported_with_vocs_palette(tmp_path):
    mask = np.array([[0, 1, 2], [20, 255, 0]], np.uint8)
    with writing_shard(tmp_path / "0.h5", kind="predictions", facts={}) as writer:
        writer.add("beach_01", Record({"mask": mask}))
    result = aepsl("export-masks", "--masks", tmp_path / "0.json", "--output", tmp_path / "png")
    assert result.returncode == 0, result.stderr
    with Image.open(tmp_path / "png" / "beach_01.png") as image:
        assert image.mode == "P"
        np.testing.assert_array_equal(np.asarray(image), mask)
        colours = np.asarray(image.convert("RGB"))
    assert colours[0].tolist() == [[0, 0, 0], [128, 0, 0], [0, 128, 0]]


@pytest.mark.parametrize(
    ("given", "policy", "spins"),
    [
        ({}, "PASSIVE", "3000"),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE", "None"),
        ({"GOMP_SPINCOUNT": "7"}, "PASSIVE", "7"),
    ],
)
def test_threads_that_wait_sleep_unless_the_user_decides(given, policy, spins):
    names = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    code = "import os, sys, atexit; from aepsl.cli import main; sys.argv = ['aepsl', '--version'];"
    code += f"atexit.register(lambda: print(*map(os.environ.get, {names}))); main()"
    without = {name: value for name, value in os.environ.items() if name not in names}
    process = subprocess.run(
        [sys.executable, "-c", code],
        env=without | given,
        capture_output=True,
        text=True,
        check=True,
    )
    assert process.stdout.split()[-2:] == [policy, spins]
