"""Input files whose content, not path, decides a result."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Digest = Callable[[Path], str]
"""Function from a path to the SHA-256 of the file, or to a word for a missing file."""


@dataclass(frozen=True)
class InputFiles:
    """Files whose content, but not path, decides a result."""

    name: tuple[str | None, ...]
    """Key in the cache of digests, for instance kind, folder and split."""
    watch: Callable[[], Sequence[Path]]
    """Function that returns files and folders; the rows are reused while their names, sizes and
    times are unchanged."""
    rows: Callable[[Digest], Iterable[Any]]
    """Function from a digest function to the JSON rows to hash: ids, names, digests of files."""


def single_file(path: str) -> InputFiles:
    """Return the content of one file."""
    return InputFiles(("file", path), lambda: [Path(path)], lambda digest: [digest(Path(path))])


def files_of_images(
    kind: str,
    folder: Path,
    ids: Callable[[], Iterable[str]],
    *,
    images: str,
    lists: tuple[Path, ...],
    suffixes: tuple[str, ...],
) -> InputFiles:
    """Return the content of ``<folder>/<id><suffix>`` for each image.

    Args:
        kind: what the files are, for instance ``masks``.
        folder: the folder of the files.
        ids: function that returns the image ids.
        images: key of this set of images, for instance folder and split.
        lists: the files that list the ids.
        suffixes: possible file suffixes.
    """

    def rows(digest: Digest) -> Iterable[Any]:
        files = (f"{image_id}{suffix}" for image_id in ids() for suffix in suffixes)
        return ([file, digest(folder / file)] for file in files)

    return InputFiles((kind, str(folder), images), lambda: [*lists, folder], rows)
