"""Digests of the files that a configuration names, so that results depend on content, not on paths.

A replaced photograph reruns stages; a touched, copied or moved one does not.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from aepsl.data.adapters import Dataset, Role
from aepsl.data.content import InputFiles
from aepsl.errors import AepslError, system_error
from aepsl.workflow.digest_cache import DigestCache

ABSENT = "absent"


class ContentDigests:
    """Digests of files and folders, recomputed only if size or time has changed."""

    def __init__(self, cache: DigestCache | None = None) -> None:
        """``cache``: digests of an earlier process."""
        self._cache = cache or DigestCache()
        self._known: dict[tuple[str | None, ...], str] = {}

    def digest(self, content: InputFiles) -> str:
        """Return the digest of all rows of ``content``, of which there may be millions.

        Raises:
            AepslError: for a system error; a missing file is no error, but part of the digest.
        """

        def compute() -> str:
            digest = hashlib.sha256()
            try:
                for row in content.rows(self._file):
                    digest.update(f"{json.dumps(row)}\n".encode())
            except OSError as error:
                raise system_error(error, where=content.watch()[0]) or error from None
            return f"sha256:{digest.hexdigest()}"

        if content.name not in self._known:
            self._known[content.name] = self._cache.get(
                content.name, watch=content.watch, compute=compute
            )
        return self._known[content.name]

    def images(self, dataset: Dataset, role: Role) -> int:
        """Return the number of images in a split."""
        split = dataset.split(role)
        lists = dataset.lists(split)
        name = ("images", split, dataset.data.model_dump_json())
        if name not in self._known:
            self._known[name] = (
                self._cache.get(
                    ("images", str(dataset.root), split),
                    watch=lambda: lists,
                    compute=lambda: str(len(dataset.ids_or_none(split))),
                )
                if lists
                else str(len(dataset.ids(split)))
            )
        return int(self._known[name])

    def _file(self, path: Path) -> str:
        try:
            return self._cache.digest(path)
        except AepslError:
            return ABSENT  # not a regular file: indexing reports it
        except OSError as error:
            # An unreadable file must not look like changed data.
            if fault := system_error(error, where=path):
                raise fault from None
            return ABSENT
