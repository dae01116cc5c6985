"""A logger for Snakemake: ``snakemake --logger aepsl --logger-aepsl-events FILE``.

It writes each log record as a line of JSON and does nothing else; ``aepsl.workflow.explain`` reads
the lines. Snakemake finds plugins by the name of a top-level package, so this one is next to
``aepsl``, where nothing may import Snakemake.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from logging import LogRecord
from pathlib import Path

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.settings import LogHandlerSettingsBase

_EVENTS = {"help": "File for the log records, one JSON object a line.", "required": True}


@dataclass
class LogHandlerSettings(LogHandlerSettingsBase):
    """The plugin's command-line options."""

    events: Path | None = field(default=None, metadata=_EVENTS | {"type": Path})


class LogHandler(LogHandlerBase):
    """Writes each record at once, so that a reader can follow a run.

    A record has ``event`` (a name of Snakemake's ``LogEvent``; absent from a plain message), the
    event's own fields (``rule_name``, ``wildcards``, ``reason``...) and ``logging``'s.
    """

    writes_to_stream = False
    writes_to_file = True
    has_filter = True  # it has none: --quiet hides nothing from the file
    has_formatter = True
    needs_rulegraph = False

    def __post_init__(self) -> None:
        """Open a new file."""
        assert isinstance(self.settings, LogHandlerSettings) and self.settings.events
        self.baseFilename = str(self.settings.events.absolute())  # Snakemake reads this attribute
        self._file = self.settings.events.open("w", encoding="utf-8", buffering=1)

    def emit(self, record: LogRecord) -> None:
        """Write one record; ``logging`` reports a failure, which does not stop the run."""
        try:
            self._file.write(json.dumps(vars(record), default=str, skipkeys=True) + "\n")
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()
