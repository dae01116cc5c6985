"""Show how far a run has come, from its files: while it goes on, and after it has ended."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from aepsl.config.files import read_configuration
from aepsl.config.presets import expanded
from aepsl.config.root import Config
from aepsl.config.sections import parse
from aepsl.stages.summarise import print_scores
from aepsl.stores.lock import FileLock
from aepsl.workflow.paths import Paths
from aepsl.workflow.progress import Run, counts, ending, failure, lines, time_left
from aepsl.workflow.runs import LOCK, progress_of, recorded


def _state(run: Run | None, folder: Path) -> str:
    """Return running, done, failed, stopped, lost (it ended without a word) or never started."""
    if run is None:
        return "never started"
    if run.ended:
        return run.outcome
    return "lost" if FileLock(folder / LOCK).is_held() is False else "running"


def show_status(files: Sequence[Path], settings: Sequence[str], *, as_json: bool) -> None:
    """Print the state of the run of a configuration.

    Args:
        files: configuration files.
        settings: ``key=value``, as for Snakemake's ``--config``.
        as_json: whether to print JSON for programs instead of text.

    Raises:
        AepslError: if the configuration cannot be used.
    """
    values = read_configuration(files, settings).values
    paths = Paths(parse(Config, expanded(values), where="config").run)
    folder = Path(paths.folder)
    run = recorded(folder)
    state = _state(run, folder)
    made = {
        "scores": Path(paths.outputs("summarise")["scores"]),
        "report": Path(paths.outputs("report")["folder"], "index.html"),
    }
    made = {name: path for name, path in made.items() if path.is_file()}
    if as_json:
        about = {"folder": str(folder), "state": state} | _facts(run)
        about |= {name: str(path.resolve()) for name, path in made.items()}
        print(json.dumps(about, ensure_ascii=False, indent=1))
        return
    for line in _text(run, state, folder):
        print(line)
    if "scores" in made:
        if state != "done":
            made_at = datetime.fromtimestamp(made["scores"].stat().st_mtime)
            print(f"Scores of {made_at:%Y-%m-%d %H:%M:%S}:")
        print_scores(made["scores"], report=made.get("report"))


def _text(run: Run | None, state: str, folder: Path) -> Iterator[str]:
    if run is None:
        yield f"{folder}: no run is recorded here."
        return
    now = time.time()
    since = f"{datetime.fromtimestamp(run.started):%Y-%m-%d %H:%M:%S} on {run.host}"
    yield f"{folder}: {state}; started {since}. Snakemake's log: {run.log}"
    if state == "running":
        yield from lines(run, progress_of(run), now=now)
    if not run.stopped:
        yield from map(failure, run.failed)
    yield from run.errors
    if state == "lost":
        yield f"{counts(run)}; then Snakemake ended without a word: it or its machine was stopped."
        yield f"Resume: {run.command} (before that, once with --unlock)"
    elif state != "running":
        yield from ending(run, now=run.ended or now)


def _facts(run: Run | None) -> dict[str, Any]:
    """Return what programs may want to know of a run."""
    if run is None:
        return {}
    now = time.time()
    progress = progress_of(run)
    left = None if run.ended else time_left(run, progress, now=now)
    return {
        "host": run.host,
        "command": run.command,
        "log": run.log,
        "started": run.started,
        "ended": run.ended,
        "jobs": {"planned": run.total, "done": len(run.done), "failed": len(run.failed)},
        "running": [
            asdict(job) | {"fraction": progress[n].fraction if n in progress else None}
            for n, job in run.running.items()
        ],
        "failed": [asdict(job) for job in run.failed],
        "errors": run.errors,
        "seconds_left": left and left.seconds,
        "at_least": left and left.at_least,
    }
