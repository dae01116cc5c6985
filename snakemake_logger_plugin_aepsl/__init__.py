"""A logger for Snakemake, chosen by the profile: it shows a run in a few lines, and records it.

Options that ask for Snakemake's own text (a dry run, ``--printshellcmds``, ``--verbose``,
``--quiet``, ``--debug-dag``) get it; the run is recorded all the same. With
``--logger-aepsl-events FILE`` it only writes the events of a dry run or a run to that file, for
``aepsl explain``.

Snakemake finds plugins by the name of a top-level package, so this one is next to ``aepsl``, where
nothing may import Snakemake.
"""

from __future__ import annotations

import logging
import os
import shlex
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.settings import LogHandlerSettingsBase

_EVENTS = {"help": "Only write the events to this file, one JSON object a line."}


@dataclass
class LogHandlerSettings(LogHandlerSettingsBase):
    """The plugin's command-line options."""

    events: Path | None = field(default=None, metadata=_EVENTS | {"type": Path})


def _snakemakes_log() -> str:
    """Return the path of Snakemake's own log; empty if there is none."""
    handlers = logging.getLogger("snakemake.logging").handlers
    return next((h.baseFilename for h in handlers if isinstance(h, logging.FileHandler)), "")


class LogHandler(LogHandlerBase):
    """Turns each record into an event, records it and shows it."""

    writes_to_file = False  # true would let Snakemake announce the events as its log
    has_filter = True  # it has none: --quiet hides nothing from the record
    has_formatter = True
    needs_rulegraph = False

    def __post_init__(self) -> None:
        """Decide what to write. Imports are here, as every start of Snakemake loads this module."""
        from aepsl.workflow.progress import Run
        from aepsl.workflow.runs import Recorder
        from snakemake_logger_plugin_aepsl.display import Display

        assert isinstance(self.settings, LogHandlerSettings)
        common, events = self.common_settings, self.settings.events
        own_text = common.verbose or common.printshellcmds or common.debug_dag or common.quiet
        self._run = Run()
        self._recorder = None if common.dryrun and not events else Recorder(events)
        self._display = None if common.dryrun or own_text or events else Display(self._run)

    @property
    def writes_to_stream(self) -> bool:
        """Whether this takes the place of Snakemake's own text on the terminal."""
        return self._display is not None

    def emit(self, record: logging.LogRecord) -> None:
        """Take in a record; ``logging`` reports a failure, which does not stop the run."""
        from aepsl.workflow.runs import as_event

        command = os.environ.get("AEPSL_COMMAND") or shlex.join(["snakemake", *sys.argv[1:]])
        try:
            event = as_event(vars(record), command=command, log=_snakemakes_log())
            self._run.add(event)
            if self._display:
                self._display.show(event, record)
            self._record(event)
        except Exception:
            self.handleError(record)

    def _record(self, event: dict[str, Any]) -> None:
        if self._recorder and event.get("event"):
            with suppress(OSError):  # a full or read-only disk: the jobs tell it
                self._recorder.add(event)

    def close(self) -> None:
        """End record and display; Snakemake calls it, and ``logging`` again at exit."""
        if isinstance(sys.exception(), KeyboardInterrupt):  # before any job: no record tells it
            self._run.stopped = True
        if self._display:
            self._display.close()
        if self._recorder:
            self._record({"event": "ended", "time": time.time()})
            self._recorder.close()
        self._display = self._recorder = None
        super().close()
