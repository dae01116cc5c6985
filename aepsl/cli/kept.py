"""Work that is done once: what a job has made is kept, and taken by the next one like it.

A job is known by its command, the digest of its code, its settings, the content of the files that
it reads, the names of those that it writes, the kind of its device, its threads, and the versions
of the libraries that compute.
"""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any

import typer

from aepsl.cli.markers import Aside, Reads, Share, Writes, marked, with_options
from aepsl.config.sections import Slice
from aepsl.console import log
from aepsl.machine import find_gpus
from aepsl.stores.atomic import digest_of
from aepsl.stores.cache import Cache, key_of

Code = Annotated[str | None, typer.Option(help="Digest of the code; without it nothing is kept.")]
CacheFolder = Annotated[
    Path | None, typer.Option("--cache", help="Folder of finished work, to take from and to keep.")
]
CacheGb = Annotated[float | None, typer.Option(min=0, help="GB of it; no limit without.")]

LIBRARIES = (
    "h5py",
    "numpy",
    "onnxruntime",
    "opencv-python-headless",
    "pillow",
    "pydensecrf2",
    "safetensors",
    "scikit-image",
    "scipy",
    "torch",
    "torchvision",
)
"""Whose version may change a result."""

EARLIER = "earlier"
"""The parameter of a command that takes records one by one: files of entries made alike."""


def _versions() -> Iterator[str]:
    for name in LIBRARIES:
        try:
            yield f"{name} {version(name)}"
        except PackageNotFoundError:
            yield f"{name} absent"


def _plain(name: str, value: Any) -> Any:
    """Return a setting as JSON has it."""
    if isinstance(value, Slice):
        return value.canonical()
    if name == "device" and value == "auto":
        return "cuda" if find_gpus() else "cpu"
    return value


class _Job:
    """One call of a command, and what its result depends on."""

    def __init__(self, command: Callable[..., None], code: str, options: Mapping[str, Any]) -> None:
        self._reads, writes = marked(command, Reads), marked(command, Writes)
        self._share = marked(command, Share)
        aside = marked(command, Aside).keys() | writes.keys() | self._reads.keys()
        self.paths = [path for name, mark in writes.items() for path in mark.paths(options[name])]
        files = {name: self._files(options[name]) for name in self._reads}
        self.settled = all(path.is_file() for paths in files.values() for path in paths)
        self.about: dict[str, Any] = {
            "command": command.__name__,
            "code": code,
            "libraries": list(_versions()),
            "settings": {n: _plain(n, v) for n, v in options.items() if n not in aside},
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
        passed: dict[str, Any] = {"code": code or ""} if "code" in parameters else {}
        job = _Job(command, code, options) if cache and code else None
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
        if not whole:
            key = key_of(job.about | {"wrote": [digest_of(path) for path in job.paths]})
        seconds = time.monotonic() - started
        family = job.family if EARLIER in parameters else None
        store.keep(key, job.paths, about=job.about, seconds=seconds, family=family)

    more = {"code": Code, "cache": CacheFolder, "cache_gb": CacheGb}
    with_options(run, command, more, without=EARLIER)
    return run
