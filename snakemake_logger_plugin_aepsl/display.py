"""A run on the terminal: live lines that are replaced in place; elsewhere, a dated line a job."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from aepsl.workflow.progress import Run, ending, lines, news
from aepsl.workflow.runs import progress_of

SECONDS = 2
"""Time between two readings of the running jobs' logs."""

SLOW = ("Creating conda environment", "Pulling singularity image")
"""How Snakemake's messages begin that say why no job starts for minutes."""


class Display:
    """Shows a run on standard error, instead of Snakemake's own text.

    What jobs write to their standard error goes to Snakemake's log while the run lasts: their
    messages are shown from their own logs, once.
    """

    def __init__(self, run: Run) -> None:
        """``run``: the state to show; it is changed by others between the calls of :meth:`show`."""
        self._run = run
        self._shown = run
        self._stderr = os.dup(2)
        stream = os.fdopen(os.dup(2), "w", encoding="utf-8", errors="replace")
        self._console = Console(file=stream, highlight=False, emoji=False, markup=False)
        self._on_terminal = os.isatty(2) and not self._console.is_dumb_terminal
        self._live: Live | None = None
        self._before_the_run: list[str] = []
        sys.excepthook = self._uncaught

    def show(self, event: Mapping[str, Any], record: logging.LogRecord) -> None:
        """Show what an event, which the run has taken in, tells."""
        run, kind = self._run, event.get("event")
        # A copy, which the thread that refreshes the lines can read while the run changes.
        self._shown = replace(run, jobs=dict(run.jobs), planned=Counter(run.planned))
        if kind == "workflow_started":
            self._redirect_errors(event["log"])
        elif kind == "run_info":
            self._say(f"{run.total} jobs; Snakemake's log: {run.log}", always=True)
        elif kind == "job_info" and self._on_terminal and not self._live:
            self._start()
        elif kind == "progress" and event["done"] == event["total"]:
            self._stop()  # what follows prints the scores
        elif kind is None and (
            record.levelno >= logging.WARNING or record.getMessage().startswith(SLOW)
        ):
            self._say(record.getMessage(), always=True)
        elif kind is None and not run.started:
            self._before_the_run.append(record.getMessage())
        elif text := news(run, event):
            self._say(text, always=kind != "job_finished")

    def close(self) -> None:
        """Show how the run ended."""
        self._stop()
        os.dup2(self._stderr, 2)
        if self._run.started:
            for text in ending(self._run, now=time.time()):
                self._say(text, always=True)
        elif self._run.stopped:
            self._say("Stopped before any job.", always=True)
        elif not self._run.errors:  # no run: what Snakemake was asked for, such as --unlock
            self._console.print("\n".join(self._before_the_run), soft_wrap=True)

    def _say(self, text: str, *, always: bool = False) -> None:
        if self._on_terminal and not always:
            return  # the live lines tell it
        if not self._on_terminal and self._run.started:
            text = f"{datetime.now():%Y-%m-%d %H:%M:%S} {text}"
        self._console.print(text, soft_wrap=True)

    def _start(self) -> None:
        self._live = Live(
            console=self._console,
            get_renderable=self._rendered,
            refresh_per_second=1 / SECONDS,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()

    def _stop(self) -> None:
        if self._live:
            self._live.stop()
            self._live = None

    def _rendered(self) -> Text:
        run = self._shown
        text = "\n".join(lines(run, progress_of(run), now=time.time()))
        return Text(text, no_wrap=True, overflow="ellipsis")

    @staticmethod
    def _redirect_errors(log: str) -> None:
        """Let this process and all jobs write their standard error to the end of a file."""
        if log:
            file = os.open(log, os.O_WRONLY | os.O_APPEND)
            os.dup2(file, 2)
            os.close(file)

    @staticmethod
    def _uncaught(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        """Report an exception that ends Snakemake; Ctrl-C before any job without a traceback."""
        if not issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
