"""The progress of a run: Snakemake's events become a state, and the state a few lines.

Nothing here reads a file or a clock: ``snakemake_logger_plugin_aepsl`` does both for the terminal,
:mod:`aepsl.workflow.runs` for ``aepsl status``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from aepsl.console import Progress, duration
from aepsl.signals import RESUME
from aepsl.workflow.explain import TARGETS, about

STOPPED_BY = ("Terminating processes on user request", "Will exit after finishing currently")
"""How Snakemake's messages begin when it was interrupted or terminated."""

JOB_STOPPED = re.compile(rf"\bstopped\b.* by SIG\w+; {RESUME}$", re.MULTILINE)
"""What a job says that a signal stopped."""

Outcome = Literal["done", "failed", "stopped"]


@dataclass
class Job:
    """A job that was started or submitted."""

    rule: str
    about: str
    """Its variant, step, shard's store and so on: ``main, step 2``."""
    log: str
    """Path of its log; empty if it has none."""
    started: float
    """In seconds since the epoch, as all times here; on a cluster, when it was submitted."""
    ended: float | None = None
    problem: str | None = None
    """Why it failed; None if it did not."""

    @property
    def name(self) -> str:
        """Rule and variant in words: ``train classifier (main, step 2)``."""
        return self.rule.replace("_", " ") + (f" ({self.about})" if self.about else "")

    def seconds(self, now: float) -> float:
        """Return how long the job took, or has taken until ``now``."""
        return max(0.0, (now if self.ended is None else self.ended) - self.started)


@dataclass
class Run:
    """What is known of a run of Snakemake from its events."""

    host: str = ""
    command: str = ""
    """The command that started it, and resumes it."""
    log: str = ""
    """Path of Snakemake's own log."""
    started: float = 0.0
    ended: float | None = None
    planned: Counter[str] = field(default_factory=Counter)
    """Number of jobs of each rule."""
    jobs: dict[int, Job] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    """Messages of Snakemake about anything but a failed job."""
    stopped: bool = False

    def add(self, event: Mapping[str, Any]) -> None:
        """Take in an event, as :func:`aepsl.workflow.runs.as_event` returns it."""
        match event.get("event"):
            case "workflow_started":
                self.host, self.command = event["host"], event["command"]
                self.log, self.started = event["log"], event["time"]
            case "run_info":
                self.planned = Counter(
                    {
                        rule: number
                        for rule, number in event["stats"].items()
                        if rule not in (*TARGETS, "total")
                    }
                )
            case "job_info" if event["rule_name"] not in TARGETS:
                rule, log = event["rule_name"], next(iter(event["log"] or ()), "")
                job = Job(rule, about(event["wildcards"]), log, event["time"])
                self.jobs[event["jobid"]] = job
                started = sum(other.rule == rule for other in self.jobs.values())
                self.planned[rule] = max(self.planned[rule], started)  # found by a checkpoint
            case "job_finished" if event["job_id"] in self.jobs:
                self.jobs[event["job_id"]].ended = event["time"]
            case "job_error" if event["jobid"] in self.jobs:
                job = self.jobs[event["jobid"]]
                job.ended, job.problem = event["time"], event["problem"]
            case "error":
                self.errors += [event["problem"]] if event["problem"] else []
            case "stopped":
                self.stopped = True
            case "ended":
                self.ended = event["time"]

    @property
    def total(self) -> int:
        """Number of jobs."""
        return self.planned.total()

    @property
    def done(self) -> list[Job]:
        """The jobs that ended well."""
        return [job for job in self.jobs.values() if job.ended and job.problem is None]

    @property
    def running(self) -> dict[int, Job]:
        """The jobs that were started or submitted and have not ended, by their number."""
        return {number: job for number, job in self.jobs.items() if job.ended is None}

    @property
    def failed(self) -> list[Job]:
        """The jobs that failed and were not started again."""
        return [job for job in self.jobs.values() if job.problem is not None]

    @property
    def outcome(self) -> Outcome:
        """How the run ended, or would end now."""
        if self.total and len(self.done) == self.total:
            return "done"
        if self.stopped:
            return "stopped"
        return "failed" if self.failed or self.errors else "done"


def state_of(events: Iterable[Mapping[str, Any]]) -> Run:
    """Return the state after ``events``."""
    run = Run()
    for event in events:
        run.add(event)
    return run


@dataclass(frozen=True)
class TimeLeft:
    """An estimate of the time that a run still takes."""

    seconds: float
    at_least: bool
    """Whether some jobs are left out, because nothing tells how long they take."""

    def __str__(self) -> str:
        """Return it in words."""
        words = duration(self.seconds)
        return f"at least {words} left" if self.at_least else f"about {words} left"


def time_left(run: Run, progress: Mapping[int, Progress], *, now: float) -> TimeLeft | None:
    """Estimate the time that a run still takes; None if nothing is known.

    A running job takes as long as the pace in its log tells, else as long as the jobs of its rule
    took on average in this run. The same is assumed of jobs to come. The work that is left is
    divided by the number of jobs that ran at a time so far, on average.

    Args:
        run: state of the run.
        progress: what the running jobs' logs say, by the number of the job.
        now: the time.
    """
    took: dict[str, list[float]] = {}
    for job in run.done:
        took.setdefault(job.rule, []).append(job.seconds(now))
    whole = {rule: sum(seconds) / len(seconds) for rule, seconds in took.items()}
    rest, unknown = [], 0
    for number, job in run.running.items():
        spent, left = job.seconds(now), progress.get(number, Progress()).left
        if left is not None:
            rest.append(left)
            whole.setdefault(job.rule, spent + left)
        elif job.rule in whole:
            rest.append(max(0.0, whole[job.rule] - spent))
        else:
            unknown += 1
    waiting = run.planned - Counter(job.rule for job in run.jobs.values())
    work = sum(rest) + sum(whole.get(rule, 0.0) * number for rule, number in waiting.items())
    unknown += sum(number for rule, number in waiting.items() if rule not in whole)
    if unknown and not work:
        return None
    busy = sum(job.seconds(now) for job in run.jobs.values())
    at_a_time = max(1.0, busy / max(now - run.started, 1.0))
    return TimeLeft(max([work / at_a_time, *rest]), at_least=unknown > 0)


# Lines


MOST = 6
"""Largest number of kinds of running jobs that are shown."""


def counts(run: Run) -> str:
    """Return how many jobs are done, and how many failed."""
    words = [f"{len(run.done)} of {run.total} jobs done"]
    if run.failed:
        words.append(f"{len(run.failed)} {'interrupted' if run.stopped else 'failed'}")
    return ", ".join(words)


def headline(run: Run, progress: Mapping[int, Progress], *, now: float) -> str:
    """Return the line that tells how far a run has come."""
    waiting = len(run.running) - len(progress)
    jobs = [counts(run)]
    jobs += [f"{len(progress)} running"] if progress else []
    jobs += [f"{waiting} about to start"] if waiting else []
    words = [*(["stopping"] if run.stopped else []), ", ".join(jobs), duration(now - run.started)]
    if not run.stopped and (left := time_left(run, progress, now=now)):
        words.append(str(left))
    return "; ".join(words)


def _doing(jobs: Sequence[tuple[Job, Progress]], *, now: float) -> str:
    """Return what the jobs of one name are doing, as one text."""
    words = []
    first = jobs[0][1]
    done, total = (sum(getattr(p, name) for _, p in jobs) for name in ("done", "total"))
    if first.epochs:
        words = [f"epoch {first.epoch} of {first.epochs}", *filter(None, [first.loss])]
        words.append(f"{100 * first.fraction:.0f} %")
    elif total:
        words = [f"{done} of {total} images"]
    return ", ".join([*words, duration(max(job.seconds(now) for job, _ in jobs))])


def lines(run: Run, progress: Mapping[int, Progress], *, now: float) -> list[str]:
    """Return the lines that show a run in progress: how far it has come, and what runs.

    Jobs that differ in their shard only are one line.

    Args:
        run: state of the run.
        progress: what the logs of the jobs say that have started, by the number of the job.
        now: the time.
    """
    named: dict[str, list[tuple[Job, Progress]]] = {}
    for number, job in run.running.items():
        if number in progress:
            named.setdefault(job.name, []).append((job, progress[number]))
    shown = [
        f"  {name}{f', {len(jobs)} jobs' if len(jobs) > 1 else ''}: {_doing(jobs, now=now)}"
        for name, jobs in named.items()
    ]
    if len(shown) > MOST:
        shown = [*shown[: MOST - 1], f"  and {len(shown) - MOST + 1} more"]
    return [headline(run, progress, now=now), *shown]


def failure(job: Job) -> str:
    """Return the lines about a failed or stopped job: its name, its message, its log."""
    problem = job.problem or "it left no message; it may have been killed"
    # After Ctrl-C a job may end before Snakemake says that it was interrupted.
    ended = "" if JOB_STOPPED.search(problem) else " failed"
    text = [f"{job.name}{ended}:", *(f"  {line}" for line in problem.splitlines())]
    return "\n".join([*text, *([f"  Log: {job.log}"] if job.log else [])])


def news(run: Run, event: Mapping[str, Any]) -> str | None:
    """Return the text about an event that ``run`` has just taken in, if it tells anything."""
    match event.get("event"):
        case "job_finished" if event["job_id"] in run.jobs:
            job = run.jobs[event["job_id"]]
            took = duration(job.seconds(event["time"]))
            return f"{job.name}: done in {took} ({len(run.done)} of {run.total})"
        case "job_error" if event["jobid"] in run.jobs and not run.stopped:
            return failure(run.jobs[event["jobid"]])
        case "error" if event["problem"] and not run.stopped:
            return str(event["problem"])
    return None


def ending(run: Run, *, now: float) -> Iterator[str]:
    """Yield the last lines of a run; none if it failed before any job."""
    took = duration(now - run.started)
    if run.total and run.outcome == "done":
        yield f"{counts(run)} in {took}"
    elif run.total:
        yield f"{run.outcome.capitalize()} after {took}: {counts(run)}; finished work is kept."
        yield f"Resume: {run.command}"
    elif run.outcome == "done":
        yield "Nothing to be done: all results are up to date (aepsl status shows them)."
