"""Cached commands: a job whose result is in the cache copies it instead of computing it.

The cache key is a digest of the command, its code and settings, the content of the input files, the
names of the output files, the device type, the number of threads, and the library versions.
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

from aepsl.cli.signature import marked, with_options, written
from aepsl.console import log
from aepsl.host import numerical_environment, usable_gpus
from aepsl.signals import signals_blocked
from aepsl.stages._options import NotInKey, Reads, SelectsRecords, Writes
from aepsl.stores.atomic import digest_of
from aepsl.stores.cache import Cache, Key, json_digest, reusing
from aepsl.workflow.codedigest import code_digest

Code = Annotated[
    str | None, typer.Option(help="Digest of the stage's code; the cache is off without it.")
]
CacheFolder = Annotated[
    Path | None, typer.Option("--cache", help="Cache folder; default: no cache.")
]
CacheGb = Annotated[
    float | None, typer.Option(min=0, help="Size limit of the cache, GB; default: none.")
]


def _device_kind(options: Mapping[str, Any]) -> str:
    """Return the device type of a command, ``cpu`` or ``cuda``, without importing torch."""
    device = str(options.get("device", "cpu"))
    if device == "auto":
        return "cuda" if usable_gpus() else "cpu"
    return device.partition(":")[0]


def _torch_disagrees(options: Mapping[str, Any]) -> bool:
    """Return whether torch used another device type than the key assumes."""
    torch = sys.modules.get("torch")
    if torch is None or options.get("device") != "auto":
        return False
    return bool(torch.cuda.is_available()) != (_device_kind(options) == "cuda")


def _current_code_digest(command: Callable[..., None]) -> str:
    """Return the current digest of the code of a command's stage."""
    return code_digest(f"aepsl.stages.{command.__name__}")


def _key(
    command: Callable[..., None], options: Mapping[str, Any], code: str
) -> tuple[Key, dict[str, Any]] | None:
    """Return the key of a call, and the values that it digests; None if an input is not a file."""
    reads, selects = marked(command, Reads), marked(command, SelectsRecords)
    files = {
        name: [value] if isinstance(value, Path) else list(value or ())
        for name, value in options.items()
        if name in reads
    }
    if not all(path.is_file() for paths in files.values() for path in paths):
        return None
    others = {*reads, *marked(command, Writes), *marked(command, NotInKey), "device"}
    settings = {name: value for name, value in options.items() if name not in others}
    if "config" in settings:
        settings["config"] = settings["config"].canonical()
    digests = {name: [digest_of(path) for path in paths] for name, paths in files.items()}
    of_each_record = {
        "command": command.__name__,
        "code": code,
        "machine": numerical_environment(_device_kind(options)),
        "settings": {n: value for n, value in settings.items() if n not in selects},
        "reads": {n: of_files for n, of_files in digests.items() if not reads[n].per_image},
    }
    names = [path.name for path in written(command, options)]
    about = of_each_record | {"settings": settings, "reads": digests, "writes": names}
    return Key(json_digest(of_each_record), json_digest(about)), about


def cached(command: Callable[..., None]) -> Callable[..., None]:
    """Return ``command`` with the options ``--code``, ``--cache`` and ``--cache-gb``.

    If the cache has the result, it is copied. Else the command runs, its records may be copied from
    the cached shards of the same group, and its result is put into the cache.
    """
    takes_code = "code" in inspect.signature(command).parameters

    @functools.wraps(command)
    def run(
        *, code: str | None, cache: Path | None, cache_gb: float | None, **options: Any
    ) -> None:
        running = _current_code_digest(command) if code else ""
        if takes_code:
            options["code"] = running
        if running != (code or ""):
            log.warning("not cached: the code changed after Snakemake planned this job")
        keyed = _key(command, options, running) if cache and code == running else None
        if cache is None or keyed is None:
            command(**options)
            return
        key, about = keyed
        store, paths = Cache(cache, limit=cache_gb), written(command, options)
        if entry := store.get(key, paths):
            made = (entry.on, entry.host, entry.seconds)
            log.info("reused from the cache: computed %s on %s in %.0f s", *made)
            return
        started = time.monotonic()
        with reusing(store.files(key.group, "*.json*")):
            command(**options)
        seconds = time.monotonic() - started
        if _torch_disagrees(options):
            log.warning("not cached: torch uses another device type than the system reports")
        elif _current_code_digest(command) != running:
            log.warning("not cached: the code changed while this job ran")
        else:
            with signals_blocked():
                store.put(key, paths, about=about, seconds=seconds)

    with_options(run, command, {"code": Code, "cache": CacheFolder, "cache_gb": CacheGb})
    return run
