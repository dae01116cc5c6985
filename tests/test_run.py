"""``aepsl run``, ``aepsl status`` and the display: the real Snakemake, on a terminal and piped."""

import json
import os
import pty
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import in_process
import pytest
from conftest import ROOT, VocFolder, new_project, run_snakemake

from aepsl.cli.run import SNAKEMAKE, environment, snakemake_command
from aepsl.errors import AepslError

MINI = ROOT / "tests" / "mini.yaml"
FIRST = "results/mini/regions/step0/0.json"
INDEX = "results/mini/train_images/main/manifest.jsonl"
"""Targets of one job and of two."""

SCENES = "results/mini/scenes/main/scenes.json"
LONG = (SCENES, "--config", 'data={"scenes": {"train_images": 100000}}')
"""One job that takes a minute and more."""


@pytest.fixture
def folder(tmp_path):
    """Return a folder, not the project's, with a configuration in it."""
    shutil.copy(MINI, tmp_path)
    return tmp_path


def aepsl(folder, *arguments):
    """Run a command that does not end by itself as other commands do."""
    command = ["aepsl", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def undated(text):
    """Return the dated lines of a text without their dates."""
    return re.findall(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d (.*)$", text, re.M)


def status(folder, *arguments):
    """Return what ``aepsl status --json`` prints."""
    return json.loads(in_process.aepsl(folder, "status", "mini.yaml", *arguments, "--json").stdout)


class Terminal:
    """A command on a terminal."""

    def __init__(self, folder, *command):
        environment = os.environ | {"TERM": "xterm", "COLUMNS": "100"}
        self.pid, self._leader = pty.fork()
        if not self.pid:
            os.chdir(folder)
            os.execvpe(command[0], command, environment)
        self.shown = ""

    def read(self):
        """Take in what was shown meanwhile; return whether there may be more."""
        try:
            part = os.read(self._leader, 65536)
        except OSError:  # Linux's way to say that the other end is closed
            part = b""
        self.shown += part.decode(errors="replace")
        return bool(part)

    def until(self, text):
        """Read until ``text`` is shown."""
        end = time.monotonic() + 60
        while text not in self.shown:
            assert self.read(), self.shown
            assert time.monotonic() < end, self.shown

    def type(self, key):
        """Type a key, such as Ctrl-C."""
        os.write(self._leader, key)

    def wait(self):
        """Read to the end; return the exit status."""
        while self.read():
            pass
        os.close(self._leader)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


# The command


def test_the_command_is_snakemake_with_the_project_s_workflow():
    snakefile = str(ROOT / "Snakefile")
    assert snakemake_command([]) == [*SNAKEMAKE, "--snakefile", snakefile, "--cores", "all"]
    words = [str(MINI), "ablations", "seed=1", "scores.json", "--forcerun", "report"]
    assert snakemake_command(words, ["run=x"], cores="3", profile="slurm", verbose=True) == [
        *(*SNAKEMAKE, "ablations", "scores.json", "--snakefile", snakefile, "--cores", "3"),
        *("--profile", str(ROOT / "profiles" / "slurm"), "--printshellcmds"),
        *("--configfile", str(MINI), "--config", "run=x", "seed=1"),
        *("--forcerun", "report"),
    ]
    assert "mine" in snakemake_command([], profile="mine")


def test_a_configuration_after_an_option_is_refused(folder, monkeypatch):
    monkeypatch.chdir(folder)
    with pytest.raises(AepslError, match=r"mini\.yaml: comes after an option"):
        snakemake_command(["--keep-going", "mini.yaml"])
    command = snakemake_command(["mini.yaml", "--keep-going"])
    assert command[-2:] == ["mini.yaml", "--keep-going"]
    assert snakemake_command(["--configfile", "mini.yaml"])[-1] == "mini.yaml"


def test_config_takes_several_settings_wherever_it_stands(monkeypatch):
    started = []
    monkeypatch.setattr("aepsl.cli.run.become", started.append)
    settings = ["seed=1", 'data={"classes": 2}']
    for words in (
        ["ablations", "-n", "--config", *settings],
        ["ablations", "--config", *settings, "-n"],
        ["--config", *settings, "ablations", "-n"],
        ["--config", settings[0], "ablations", settings[1], "-n"],
    ):
        result = in_process.aepsl(ROOT, "run", *words)
        assert result.returncode == 0, result.stderr
        assert started.pop() == [
            *(*SNAKEMAKE, "ablations", "--snakefile", str(ROOT / "Snakefile")),
            *("--cores", "all", "--config", *settings, "-n"),
        ]
    result = in_process.aepsl(ROOT, "config", "--config", "run=two", "seed=5")
    assert "run: two" in result.stdout
    assert "seed: 5" in result.stdout


def test_the_rules_find_the_commands_beside_this_python(monkeypatch):
    monkeypatch.setenv("PATH", "/somewhere/else")
    assert environment()["PATH"] == f"{Path(sys.executable).parent}{os.pathsep}/somewhere/else"


# Runs


def test_piped_a_finished_job_is_a_line(folder):
    result = aepsl(folder, "run", "mini.yaml", INDEX, "--cores", "2")
    assert result.returncode == 0, result.stderr
    said = undated(result.stderr)
    assert re.fullmatch(rf"2 jobs; Snakemake's log: {folder}/\.snakemake/log/.*\.log", said[0])
    log = said[0].partition("log: ")[2]
    assert [re.sub(r"\d+ s", "1 s", line) for line in said[1:]] == [
        "generate scenes (main): done in 1 s (1 of 2)",
        "index images (train, main): done in 1 s (2 of 2)",
        "2 of 2 jobs done in 1 s",
    ]
    assert "rule index_images:" in Path(log).read_text()  # Snakemake's own text is kept
    about = status(folder)
    assert (about["state"], about["jobs"]) == ("done", {"planned": 2, "done": 2, "failed": 0})
    assert about["command"] == f"aepsl run mini.yaml {INDEX} --cores 2"
    text = in_process.aepsl(folder, "status", "mini.yaml").stdout
    assert text.startswith("results/mini: done; started 20")
    assert re.search(r"^2 of 2 jobs done in \d+ s$", text, re.M)
    again = aepsl(folder, "run", "mini.yaml", INDEX)
    assert undated(again.stderr) == [
        "Nothing to be done: all results are up to date (aepsl status shows them)."
    ]
    assert status(folder)["jobs"]["done"] == 2  # of the last run that did something


@pytest.mark.long
def test_snakemake_s_own_text_is_an_option_and_runs_are_recorded_all_the_same(folder):
    result = aepsl(folder, "run", "mini.yaml", FIRST, "--verbose")
    assert result.returncode == 0, result.stderr
    assert "rule start_mining:" in result.stderr
    assert "aepsl start-mining --output" in result.stderr
    assert undated(result.stderr) == []
    assert status(folder)["jobs"]["done"] == 1
    dry = aepsl(folder, "run", "mini.yaml", INDEX, "--dry-run")
    assert "This was a dry-run" in dry.stdout
    assert status(folder)["jobs"]["done"] == 1


@pytest.mark.slow
def test_snakemake_by_itself_shows_the_same(tmp_path):
    folder = new_project(tmp_path)
    shutil.copy(MINI, folder)
    result = run_snakemake(folder, FIRST, "--configfile", "mini.yaml")
    assert undated(result.stderr)[-1].startswith("1 of 1 jobs done in ")
    assert status(folder)["command"] == f"snakemake --cores 2 {FIRST} --configfile mini.yaml"
    assert "Unlocked" in run_snakemake(folder, "--unlock", "--configfile", "mini.yaml").stderr


def test_ctrl_c_on_a_terminal_and_the_status_meanwhile(folder):
    assert in_process.aepsl(folder, "status", "mini.yaml").stdout == (
        "results/mini: no run is recorded here.\n"
    )
    terminal = Terminal(folder, "aepsl", "run", "mini.yaml", *LONG)
    terminal.until("generate scenes (main): ")
    about = status(folder)
    assert about["state"] == "running"
    assert [job["rule"] for job in about["running"]] == ["generate_scenes"]
    assert " running; " in in_process.aepsl(folder, "status", "mini.yaml").stdout
    terminal.type(b"\x03")
    assert terminal.wait() == 1
    text = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", terminal.shown).replace("\r", "")
    end = r"Stopped after \d+ s: 0 of 1 jobs done, 1 interrupted; finished work is kept\.\nResume: "
    assert re.search(end, text)
    assert text.endswith(f"Resume: {shlex.join(['aepsl', 'run', 'mini.yaml', *LONG])}\n")
    assert "Traceback" not in text
    assert "failed" not in text
    assert "rule generate_scenes" not in text
    assert status(folder)["state"] == "stopped"


@pytest.mark.slow
def test_a_killed_run_is_told_from_one_that_runs(folder):
    command = ["aepsl", "run", "mini.yaml", *LONG]
    quiet = {"stderr": subprocess.DEVNULL, "start_new_session": True}
    process = subprocess.Popen(command, cwd=folder, **quiet)
    try:
        end = time.monotonic() + 60
        while status(folder)["state"] == "never started":
            assert time.monotonic() < end
            assert process.poll() is None
            time.sleep(0.1)
        assert status(folder)["state"] == "running"
        process.kill()
        process.wait()
        assert status(folder)["state"] == "lost"
        text = in_process.aepsl(folder, "status", "mini.yaml").stdout
        assert "then Snakemake ended without a word" in text
        assert "--unlock" in text
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # the job


@pytest.fixture
def broken(tmp_path):
    """Return a folder with a configuration whose photographs cannot be read."""
    data = VocFolder(tmp_path / "photographs")
    data.image("a").write_bytes(data.image("a").read_bytes()[:99])
    (tmp_path / "mini.yaml").write_text(
        "run: broken\n"
        "data: { adapter: voc, root: photographs, labels: csv, labels_csv: photographs/labels.csv,"
        " class_names: [cat, dog] }\n"
    )
    return tmp_path


def test_a_failed_job_is_its_message_its_log_and_how_to_resume(broken):
    target = "results/broken/train_images/main/manifest.jsonl"
    result = aepsl(broken, "run", "mini.yaml", target)
    assert result.returncode == 1
    log = "results/broken/logs/index_images/train-main.log"
    block = (
        "index images (train, main) failed:\n"
        "  photographs: 1 problem(s), nothing was indexed:\n"
        "  photographs/JPEGImages/a.png: the image is broken (image file is truncated)\n"
        "      Hint: replace it, or take it out of the split\n"
        f"  Log: {log}\n"
    )
    assert block in result.stderr
    assert result.stderr.count("the image is broken") == 1
    assert undated(result.stderr)[-1] == f"Resume: aepsl run mini.yaml {target}"
    assert "Error in rule" not in result.stderr
    about = status(broken)
    assert about["state"] == "failed"
    assert [job["log"] for job in about["failed"]] == [log]
    assert block in in_process.aepsl(broken, "status", "mini.yaml").stdout


def test_an_error_while_planning_is_its_message_alone(folder):
    for command in ("run", "explain"):
        result = aepsl(folder, command, "mini.yaml", "--config", 'mining={"dleta": 0.4}')
        assert result.returncode == 1
        said = result.stderr.splitlines()
        assert said[-3:] == [
            "aepsl: Invalid configuration:",
            "config: mining.dleta: unknown key",
            "    Hint: did you mean delta?",
        ]
        assert len(said) <= 4  # Snakemake names the profile first


def test_explain_takes_what_run_takes(folder):
    result = aepsl(folder, "explain", "mini.yaml", INDEX)
    assert result.stdout.startswith("2 jobs would run.\n\nits results do not exist:\n")
    assert "  index_images (train, main)\n" in result.stdout


# Help and completion


def test_help_tells_what_a_person_types_from_the_stages():
    shown = in_process.aepsl(ROOT, "--help").stdout
    typed, _, stages = shown.partition("Stages (called by the workflow's rules)")
    assert typed.index(" init ") < typed.index(" check ") < typed.index(" run ")
    assert " train-classifier " not in typed
    assert stages.index(" index-images ") < stages.index(" predict ") < stages.index(" report ")


COMPLETED = """
import sys
from aepsl.cli import main
sys.argv = ["aepsl"]
try:
    main()
finally:
    print({"torch", "h5py", "cv2"} & set(sys.modules))
"""


@pytest.mark.parametrize(("words", "shown"), [("aepsl st", "status"), ("aepsl predict ", "")])
def test_completion_loads_nothing_slow(words, shown):
    asked = {"_AEPSL_COMPLETE": "complete_bash", "COMP_WORDS": words}
    asked["COMP_CWORD"] = str(words.count(" "))
    command = [sys.executable, "-c", COMPLETED]
    result = subprocess.run(
        command, env=os.environ | asked, capture_output=True, text=True, check=False
    )
    assert shown in result.stdout
    assert result.stdout.endswith("set()\n")
