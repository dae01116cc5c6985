"""Every case of docs/bad-input.md, and one real process per exit status."""

import os
import signal
import subprocess
import sys
import time

import pytest
from bad_input import CASES, DOCUMENT, GROUPS, index, row, run_case
from conftest import new_project, settings_of

ROWS = DOCUMENT.read_text().splitlines()


@pytest.mark.parametrize("case", CASES)
def test_an_error_names_file_problem_and_hint(tmp_path, case):
    folder = tmp_path / "sample"
    sample, result = run_case(folder, case)
    stderr = result.stderr.replace(f"{folder}/", "")
    text = " ".join(stderr.split())
    assert result.returncode in (1, 2)
    assert CASES[case][2] in text
    assert "Hint: " in text or "Usage: " in text
    assert "Traceback" not in result.stdout + result.stderr
    assert (sample.path("results/earlier.txt")).read_text() == "what was there"
    assert [path.name for path in sample.path("results").iterdir()] == ["earlier.txt"]
    assert not list(folder.rglob("a-pickle-was-run"))
    assert row(case, stderr) in ROWS, "run make bad-input"


def test_the_document_has_every_case_and_no_other():
    assert len(CASES) >= 60
    assert len(CASES) == sum(map(len, GROUPS.values()))
    assert len([line for line in ROWS if line.startswith("| ")]) == len(CASES) + len(GROUPS)


# Exit status: real processes


def real(folder, *arguments, before=""):
    """Start a command as a process of its own; ``before`` is Python that it runs first."""
    code = f"import sys\nfrom aepsl.cli import main\n{before}\nsys.argv[0] = 'aepsl'\nmain()"
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process):
    """Wait for a process; return its exit status and standard error."""
    _, stderr = process.communicate(timeout=60)
    return process.returncode, stderr


LOG = ("--log", "logs/job.log")
A_FAULT = "import hashlib; hashlib.sha256 = lambda *arguments: 1 / 0"
A_FULL_DISK = "import PIL.Image\ndef full(*_): raise OSError(28, 'No space left', 'x')\n"
A_FULL_DISK += "PIL.Image.open = full"


@pytest.fixture
def sample(tmp_path):
    """Return a folder in which photograph a is cut off."""
    run_case(tmp_path / "sample", "a truncated photograph")
    return tmp_path / "sample"


def test_invalid_input_is_status_1(sample):
    status, stderr = ended(real(sample, *index()))
    assert status == 1
    assert "\naepsl: photographs: 1 problem(s), nothing was indexed:\n" in stderr
    assert "photographs/JPEGImages/a.png: the image is broken" in stderr
    assert stderr.endswith("Hint: replace it, or take it out of the split\n")


def test_a_wrong_command_line_is_status_2(sample):
    status, stderr = ended(real(sample, "predict"))
    assert status == 2
    assert stderr.startswith("Usage: aepsl predict")
    assert "Missing option '--config'" in stderr


def test_an_error_is_in_the_log_of_the_job(sample):
    status, stderr = ended(real(sample, *index(), *LOG))
    assert status == 1
    log = (sample / "logs/job.log").read_text()
    for text in (stderr, log):
        assert "photographs/JPEGImages/a.png: the image is broken" in text
        assert "Hint: " in text
        assert "Traceback" not in text


def test_a_bug_is_status_70_with_its_traceback_in_the_log(sample):
    status, stderr = ended(real(sample, *index(), *LOG, before=A_FAULT))
    assert status == 70
    assert stderr == "aepsl: ZeroDivisionError: division by zero (see the log)\n"
    log = (sample / "logs/job.log").read_text()
    assert "please report it with this log" in log
    assert "Traceback" in log


def test_a_bug_without_a_log_shows_its_traceback(sample):
    status, stderr = ended(real(sample, *index(), before=A_FAULT))
    assert status == 1
    assert "Traceback" in stderr
    assert stderr.endswith("ZeroDivisionError: division by zero\n")


def test_a_system_error_is_status_1(sample):
    status, stderr = ended(real(sample, *index(), *LOG, before=A_FULL_DISK))
    assert status == 1
    assert "the disk is full" in stderr
    assert "Traceback" not in stderr + (sample / "logs/job.log").read_text()


SCENES = settings_of(
    "generate_scenes",
    {"data": {"scenes": {"train_images": 100_000, "val_images": 1, "size": 33}}},
).canonical()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_status_128_and_its_number(tmp_path, number):
    write = ("--output", "scenes/scenes.json")
    process = real(tmp_path, "generate-scenes", "--config", SCENES, *write, *LOG)
    until = time.monotonic() + 60
    while not list(tmp_path.glob("scenes/JPEGImages/*.png")):
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.02)
    os.kill(process.pid, number)
    status, stderr = ended(process)
    assert status == 128 + number
    expected = f"stopped by {number.name}; run the same command to resume"
    assert stderr == f"aepsl: {expected}\n"
    assert (tmp_path / "logs/job.log").read_text().endswith(f" {expected}\n")
    assert not (tmp_path / "scenes/scenes.json").exists()


def test_under_snakemake_an_error_is_in_the_named_log(sample, snakemake):
    new_project(sample)
    (sample / "mine.yaml").write_text(
        "data: { adapter: voc, root: photographs, labels: csv, labels_csv: photographs/labels.csv,"
        " class_names: [cat, dog] }\n"
    )
    manifest = "results/scenes/train_images/main/manifest.jsonl"
    result = snakemake(sample, manifest, "--configfile", "mine.yaml", check=False)
    assert result.returncode == 1
    (log,) = (sample / "results").rglob("logs/index_images/train-*.log")
    assert str(log.relative_to(sample)) in result.stderr
    assert "photographs/JPEGImages/a.png: the image is broken" in log.read_text()
    assert "Traceback" not in result.stderr
