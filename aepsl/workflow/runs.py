"""The record of a run: events that Snakemake's process writes while jobs run, for other processes.

``results/<run>/logs/events.jsonl`` has an event a line, those of the last run. The process that
writes it holds a lock, so that others, on any machine, can tell whether it lives.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from aepsl.console import Progress, messages, progress_in
from aepsl.errors import AepslError
from aepsl.stores.lock import FileLock
from aepsl.text import parse_json, read_foreign_text
from aepsl.workflow.progress import STOPPED_BY, Run, state_of

EVENTS = Path("logs", "events.jsonl")
"""The events, in the folder of a run."""

LOCK = Path("locks", "run.lock")
"""The lock of the process that writes them."""

TAIL = 4000
"""Bytes at the end of a log that tell what its job is doing."""

_LEFT_OUT = {*vars(logging.makeLogRecord({})), "message", "shellcmd", "indent", "taskName"}
_BEGINNING = re.compile(r"^\w+( in rule \w+)?( in file .*, line \d+)?:\n")
_TRACE = re.compile(r"\n  File \".*\", line \d+, in .*")
_ABOUT_JOBS = ("CalledProcessError", "At least one job did not complete", "Exiting because a job")


def as_event(record: Mapping[str, Any], *, command: str, log: str) -> dict[str, Any]:
    """Return a log record of Snakemake as an event: its own fields, its time, what went wrong.

    Args:
        record: the attributes of the record.
        command: the command that started the run.
        log: path of Snakemake's own log.
    """
    event = {name: value for name, value in record.items() if name not in _LEFT_OUT}
    event["time"] = record["created"]
    text = str(record.get("message") or record["msg"] or "")
    match record.get("event"):
        case "workflow_started":
            event |= {"command": command, "log": log}
        case "job_error":
            event["problem"] = problem_in(tail(*event["log"][:1])) or _of_the_cluster(event)
        case "error":
            event["problem"] = _problem(text, record["exception"], log)
        case None if text.startswith(STOPPED_BY):
            event["event"] = "stopped"
        case None if record["levelno"] >= logging.ERROR:
            event |= {"event": "error", "problem": _problem(text, "", log)}
    return event


def _of_the_cluster(job_error: Mapping[str, Any]) -> str:
    """Return what the scheduler of a cluster says about a failed job, and the path of its log."""
    said = [job_error["rule_msg"]] if job_error["rule_msg"] else []
    logs = [path for path in job_error["log"][1:] if not path.endswith(".sha256")]
    return "\n".join([*said, *logs])


def _problem(text: str, exception: str, log: str) -> str:
    """Return the message of an error of Snakemake, without places in the code.

    It is empty for errors of jobs, which have events of their own. A message that is not of this
    project is followed by the path of Snakemake's log, which has these places.
    """
    if any(words in text for words in _ABOUT_JOBS):
        return ""
    message = _TRACE.sub("", _BEGINNING.sub("", text)).strip()
    if text.startswith("WorkflowError in file"):  # raised by the Snakefile
        return f"aepsl: {message}"
    if "Traceback (most" in message:
        message = message.splitlines()[-1].removeprefix(f"{exception}: ")
    return f"{exception or 'Snakemake'}: {message}" + (f"\n  Log: {log}" if log else "")


def tail(log: str | Path = "") -> str:
    """Return the end of a log; an empty text if it does not exist."""
    with suppress(OSError), Path(log).open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - TAIL))
        return file.read().decode(errors="replace")
    return ""


SHOWN = 8
"""Lines of a job's message that are shown; the rest is in its log."""


def problem_in(log_text: str) -> str:
    """Return the message with which a job failed; an empty text if it left none.

    Of an internal error, which has a traceback, the first and the last line.
    """
    said = messages(log_text)
    if not said or progress_in(f"2000-01-01 00:00:00 {said[-1][1]}"):
        return ""
    lines = said[-1][1].splitlines()
    if any(line.startswith("Traceback") for line in lines):
        return f"{lines[0]}\n{lines[-1]}"
    more = [f"... {len(lines) - SHOWN} more lines in the log"] if len(lines) > SHOWN else []
    return "\n".join([*lines[:SHOWN], *more])


def run_folder(log: Path) -> Path | None:
    """Return the folder of the run that a log of a job is in; None if it is elsewhere.

    >>> run_folder(Path("results/scenes/logs/score/main-labels.log"))
    PosixPath('results/scenes')
    """
    return next((folder.parent for folder in log.parents if folder.name == "logs"), None)


class Recorder:
    """Writes the events of a run."""

    def __init__(self, path: Path | None = None) -> None:
        """``path``: the file to write; None: in the run's folder, once the first job tells it."""
        self._waiting: list[Mapping[str, Any]] = []
        self._file: TextIO | None = path.open("w", encoding="utf-8") if path else None
        self._lock: FileLock | None = None

    def add(self, event: Mapping[str, Any]) -> None:
        """Write an event at once, so that a reader can follow the run."""
        self._waiting.append(event)
        log = event["log"] if event.get("event") == "job_info" else ()
        if self._file is None and log and (folder := run_folder(Path(log[0]))):
            self._lock = FileLock(folder / LOCK)
            for _ in range(10):  # one that looks who holds it has it for a moment
                if self._lock.take():
                    break
                time.sleep(0.05)
            (folder / EVENTS).parent.mkdir(exist_ok=True)
            self._file = (folder / EVENTS).open("w", encoding="utf-8")
        if self._file:
            for one in self._waiting:
                self._file.write(json.dumps(one, default=str, skipkeys=True) + "\n")
            self._file.flush()
            self._waiting.clear()

    def close(self) -> None:
        """Close the file and release the lock."""
        if self._file:
            self._file.close()
        if self._lock:
            self._lock.release()


def recorded(folder: Path) -> Run | None:
    """Return the state of the last run in a folder; None if none is recorded."""
    file = folder / EVENTS
    return state_of(events_in(file)) if file.exists() else None


def events_in(file: Path) -> list[dict[str, Any]]:
    """Return the events in a file; not a last line that is half written."""
    events = []
    for line in read_foreign_text(file).splitlines():
        with suppress(AepslError):
            events.append(parse_json(line, file))
    return events


def progress_of(run: Run) -> dict[int, Progress]:
    """Return what the logs of the running jobs say, by the number of the job.

    A job without a log has not started yet: it waits for a node, or for Python's imports.
    """
    logs = {number: Path(job.log) for number, job in run.running.items()}
    return {n: progress_in(tail(log)) or Progress() for n, log in logs.items() if log.is_file()}
