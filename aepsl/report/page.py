"""The report page: a folder that opens from disk, without a server or network access.

``index.html`` holds the summary. The scripts draw the plots and the gallery from ``data/*.js``,
which are scripts, too, because a page that is opened from disk may load no other files.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from aepsl.errors import errors_name_file
from aepsl.report.gallery import Entry

ASSETS = ("report.css", "page.js", "charts.js", "pictures.js", "gallery.js")
"""Files that are copied next to the page."""

TEMPLATE = "index.html.j2"

CHUNK = 500
"""Number of images in one file of data, and in one folder of pictures."""


def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("aepsl.report"), autoescape=True, undefined=StrictUndefined
    )


def as_script(value: Any) -> str:
    r"""Return a value as JSON that is safe in every script: ASCII, without ``<``.

    >>> as_script({"name": "</script>"})
    '{"name":"\\u003c/script>"}'
    """
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")


def write_file(path: Path, content: bytes) -> None:
    """Write a file of the page; an error of the disk names it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with errors_name_file(path):
        path.write_bytes(content)


def write_pictures(folder: Path, number: int, entry: Entry) -> None:
    """Write the pictures of the image with this number in the gallery, from 0."""
    place = folder / "pictures" / f"{number // CHUNK:04d}"
    write_file(place / f"{number:06d}.webp", entry.thumbnail)
    if entry.sheet:
        write_file(place / f"{number:06d}.png", entry.sheet)


def _chunks(records: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for start in range(0, len(records), CHUNK):
        lines = ",\n".join(map(as_script, records[start : start + CHUNK]))
        yield f"data/{start // CHUNK:04d}.js", f"aepsl.images.push(\n{lines}\n);\n"


def write_page(
    folder: Path,
    *,
    summary: Mapping[str, Any],
    run: Mapping[str, Any],
    records: Sequence[Mapping[str, Any]],
    times: Sequence[Mapping[str, Any]],
) -> str:
    """Write the data and scripts of a page, and return the text of its ``index.html``.

    Args:
        folder: folder of the page, with the pictures of :func:`write_pictures`.
        summary: values of the template; all text is HTML-escaped.
        run: what the scripts read about the run.
        records: the records of all images, from :func:`aepsl.report.gallery.entry`.
        times: ``stage``, ``jobs`` and ``seconds`` of each stage: the only data that differ when
            the same run is repeated.
    """
    for name in ASSETS:
        write_file(folder / name, files("aepsl.report").joinpath("templates", name).read_bytes())
    chunks = dict(_chunks(records))
    about = f"window.aepsl = {{ images: [], chunk: {CHUNK}, run: {as_script(run)} }};\n"
    for name, text in {
        "data/run.js": about,
        "data/times.js": f"aepsl.times = {as_script(times)};\n",
        **chunks,
    }.items():
        write_file(folder / name, text.encode())
    scripts = ["data/run.js", "data/times.js", *chunks, *(n for n in ASSETS if n.endswith(".js"))]
    return _environment().get_template(TEMPLATE).render(summary, scripts=scripts) + "\n"
