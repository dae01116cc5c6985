"""Work that is done once: what a job has made is kept, and taken by the next one like it.

A job is known by its command, the digest of its code, its settings, the content of the files that
it reads, the names of those that it writes, the kind of its device, its threads, and the versions
of the libraries that compute.
"""

from __future__ import annotations

import functools
import inspect
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from aepsl.cli.markers import Aside, Reads, Share, Writes, marked, with_options
from aepsl.config.sections import Slice
from aepsl.console import log
from aepsl.machine import numerics, usable_gpus
from aepsl.stopping import finishing
from aepsl.stores.atomic import digest_of
from aepsl.stores.cache import Cache, key_of
from aepsl.workflow.codedigest import code_digest

Code = Annotated[str | None, typer.Option(help="Digest of the code; without it nothing is kept.")]
CacheFolder = Annotated[
    Path | None, typer.Option("--cache", help="Folder of finished work, to take from and to keep.")
]
CacheGb = Annotated[float | None, typer.Option(min=0, help="GB of it; no limit without.")]

EARLIER = "earlier"
"""The parameter of a command that takes records one by one: files of entries made alike."""


def _device(options: Mapping[str, Any]) -> str:
    """Return the kind of device that a command will take."""
    asked = str(options.get("device", "cpu"))
    if asked == "auto":
        return "cuda" if usable_gpus() else "cpu"
    return asked.partition(":")[0]


def _computed_on() -> set[str]:
    """Return the kinds of devices that libraries found, of those that were woken."""
    kinds: set[str] = set()
    if torch := sys.modules.get("torch"):
        kinds.add("cuda" if torch.cuda.is_available() else "cpu")
    elif runtime := sys.modules.get("onnxruntime"):
        gpu = "CUDAExecutionProvider" in runtime.get_available_providers()
        kinds.add("cuda" if gpu else "cpu")
    return kinds


def _plain(value: Any) -> Any:
    """Return a setting as JSON has it."""
    return value.canonical() if isinstance(value, Slice) else value


def _code_of(command: Callable[..., None]) -> str:
    """Return the digest of the code of a command's stage, as it lies there now."""
    return code_digest(f"aepsl.stages.{command.__name__}")


class _Job:
    """One call of a command, and what its result depends on."""

    def __init__(self, command: Callable[..., None], code: str, options: Mapping[str, Any]) -> None:
        self._reads, writes = marked(command, Reads), marked(command, Writes)
        self._share = marked(command, Share)
        aside = marked(command, Aside).keys() | writes.keys() | self._reads.keys()
        self.paths = [path for name, mark in writes.items() for path in mark.paths(options[name])]
        files = {name: self._files(options[name]) for name in self._reads}
        self.settled = all(path.is_file() for paths in files.values() for path in paths)
        self.device = _device(options)
        aside |= {"device"}
        self.about: dict[str, Any] = {
            "command": command.__name__,
            "code": code,
            "machine": numerics(self.device),
            "settings": {n: _plain(v) for n, v in options.items() if n not in aside},
            "reads": {
                name: [digest_of(path) for path in paths] if self.settled else []
                for name, paths in files.items()
            },
            "writes": [path.name for path in self.paths],
        }

    @staticmethod
    def _files(option: Any) -> list[Path]:
        if option is None:
            return []
        return [option] if isinstance(option, Path) else list(option)

    @property
    def family(self) -> str:
        """What each record depends on beside its image."""
        settings, reads = self.about["settings"], self.about["reads"]
        alike = {
            "settings": {n: v for n, v in settings.items() if n not in self._share},
            "reads": {n: v for n, v in reads.items() if not self._reads[n].by_image},
            "writes": [],
        }
        return key_of(self.about | alike)


def kept(command: Callable[..., None], *, whole: bool = True) -> Callable[..., None]:
    """Return ``command`` with the options ``--code``, ``--cache`` and ``--cache-gb``.

    Args:
        command: of a stage.
        whole: whether its result may be taken from the cache, not only records of it; not so if it
            reads files that its options do not name.
    """
    parameters = inspect.signature(command).parameters

    @functools.wraps(command)
    def run(
        *, code: str | None, cache: Path | None, cache_gb: float | None, **options: Any
    ) -> None:
        there = _code_of(command) if code else ""
        passed: dict[str, Any] = {"code": there} if "code" in parameters else {}
        if there != (code or ""):
            log.warning("the code is not what was planned: it was changed since Snakemake started")
            cache = None
        job = _Job(command, there, options) if cache and there else None
        if not job or not job.settled or not cache:
            command(**options, **passed)
            return
        store = Cache(cache, limit=cache_gb)
        key = key_of(job.about)
        if whole and (found := store.fetch(key, job.paths)):
            made = (found.on, found.host, found.seconds)
            log.info("taken from the cache: made %s on %s in %.0f s", *made)
            return
        if EARLIER in parameters:
            passed[EARLIER] = store.kin(job.family)
        started = time.monotonic()
        command(**options, **passed)
        seconds = time.monotonic() - started
        if "device" in options and _computed_on() - {job.device}:
            log.info("not kept: it was not computed on %s", job.device)
            return
        if _code_of(command) != there:
            log.warning("not kept: the code was changed meanwhile")
            return
        with finishing():
            if not whole:
                key = key_of(job.about | {"wrote": [digest_of(path) for path in job.paths]})
            family = job.family if EARLIER in parameters else None
            store.keep(key, job.paths, about=job.about, seconds=seconds, family=family)

    more = {"code": Code, "cache": CacheFolder, "cache_gb": CacheGb}
    with_options(run, command, more, without=EARLIER)
    return run
