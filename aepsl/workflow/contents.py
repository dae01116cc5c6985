"""What the files that a configuration points to hold: by digest, so that a place means nothing.

A photograph that is replaced is other work; one that is touched, copied or moved is not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

from aepsl.config.data import Data
from aepsl.config.run import Config
from aepsl.data.voc import image_files, labels_from_csv, read_split, split_file
from aepsl.errors import AepslError, fault_of_the_machine
from aepsl.workflow.memory import Memory
from aepsl.workflow.stages import value_of

ABSENT = "absent"


def is_file_name(weights: str) -> bool:
    """Return whether ``networks.weights`` is a file, not a name of torchvision's."""
    return weights.endswith((".npz", ".pth", ".pt", ".safetensors"))


def _refuse_faults(error: OSError, where: str | Path) -> None:
    """What cannot be read is not for that reason other data."""
    if fault := fault_of_the_machine(error, where=where):
        raise fault from None


def _together(rows: Iterable[Any]) -> str:
    """Return the digest of rows, of which there may be millions: none is held."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(f"{json.dumps(row)}\n".encode())
    return f"sha256:{digest.hexdigest()}"


class Contents:
    """Digests of what lies in files and folders. What the machine cannot read raises an error."""

    def __init__(self, memory: Memory | None = None) -> None:
        """Ask ``memory`` first."""
        self._memory = memory or Memory()
        self.of_photographs = cache(self._of_photographs)
        self.of_masks = cache(self._of_masks)
        self.of_maps = cache(self._of_maps)
        self.count = cache(self._count)
        self._ids = cache(self._read_ids)

    def of_file(self, path: Path) -> str:
        """Return the SHA-256 of a file, or that it is absent."""
        try:
            return self._memory.digest(path)
        except OSError as error:
            _refuse_faults(error, path)
            return ABSENT

    def _read_ids(self, root: str, split: str) -> list[str]:
        try:
            return read_split(Path(root), split)
        except (AepslError, OSError, ValueError):
            return []  # what is wrong with it, the index will say

    def _count(self, root: str, split: str) -> int:
        """Return how many images a split lists."""
        return int(
            self._memory.answer(
                *("images", root, split),
                files=[split_file(Path(root), split)],
                folders=[],
                find_out=lambda: str(len(self._ids(root, split))),
            )
        )

    def _of_photographs(self, root: str, split: str, labels: str, labels_csv: str | None) -> str:
        files = [split_file(Path(root), split)]
        folders = [Path(root, "JPEGImages")]
        if labels == "xml":
            folders.append(Path(root, "Annotations"))
        elif labels_csv:
            files.append(Path(labels_csv))
        return self._memory.answer(
            *("photographs", root, split, labels, labels_csv),
            files=files,
            folders=folders,
            find_out=lambda: self._photographs(root, split, labels, labels_csv),
        )

    def _photographs(self, root: str, split: str, labels: str, labels_csv: str | None) -> str:
        ids = self._ids(root, split)
        try:
            files = image_files(Path(root))
        except OSError as error:
            _refuse_faults(error, root)
            files = {}
        photographs: Iterable[Any] = (
            [i, files[i].name, self.of_file(files[i])] if i in files else [i] for i in ids
        )
        told: Iterable[Any] = ()
        if labels == "xml":
            told = (self.of_file(Path(root, "Annotations", f"{i}.xml")) for i in ids)
        elif labels_csv:
            try:
                of = labels_from_csv(Path(labels_csv), known_images=files).of
                told = (of(i) for i in ids)
            except (AepslError, OSError, ValueError):
                told = (self.of_file(Path(labels_csv)),)
        return _together(chain(photographs, told))

    def _of_masks(self, root: str, split: str, folder: str) -> str:
        def find_out() -> str:
            ids = self._ids(root, split)
            return _together([i, self.of_file(Path(root, folder, f"{i}.png"))] for i in ids)

        return self._memory.answer(
            *("masks", root, split, folder),
            files=[split_file(Path(root), split)],
            folders=[Path(root, folder)],
            find_out=find_out,
        )

    def _of_maps(self, folder: str, root: str, split: str) -> str:
        def find_out() -> str:
            ids = self._ids(root, split)
            names = (f"{i}{suffix}" for i in ids for suffix in (".png", ".jpg"))
            return _together([name, self.of_file(Path(folder, name))] for name in names)

        return self._memory.answer(
            *("maps", folder, root, split),
            files=[split_file(Path(root), split)],
            folders=[Path(folder)],
            find_out=find_out,
        )

    def single(self, path: str) -> str:
        """Return the digest of one file, as it stands in the place of its name."""
        return self._memory.answer(
            *("file", path),
            files=[Path(path)],
            folders=[],
            find_out=lambda: _together([self.of_file(Path(path))]),
        )

    def value(self, stage: str, config: Config, key: str) -> Any:
        """Return what a stage depends on under ``key``: for a path, what lies there."""
        value = value_of(config, key)
        special: dict[str, Callable[[], Any]] = {
            "networks": lambda: self._in_networks(value),
            "saliency.network": lambda: self._in_detector(value),
            "saliency.folder": lambda: self._in_folder(config, value),
            "data.root": lambda: self._in_root(stage, config.data),
            "data.labels_csv": lambda: "see data.root",
        }
        return special[key]() if key in special and value is not None else value

    def _in_networks(self, value: dict[str, Any]) -> dict[str, Any]:
        if not is_file_name(value["weights"]):
            return value
        return value | {"weights": self.single(value["weights"])}

    def _in_detector(self, value: dict[str, Any]) -> dict[str, Any]:
        return value | ({"file": self.single(value["file"])} if value["file"] else {})

    def _in_folder(self, config: Config, folder: str) -> str:
        data = config.data
        if data.adapter == "scenes" or data.root is None:
            return folder
        return self.of_maps(folder, data.root, data.train_split)

    def _in_root(self, stage: str, data: Data) -> str:
        assert data.root is not None
        split = data.train_split if stage.startswith("train") else data.eval_split
        if stage.endswith("truth"):
            return self.of_masks(data.root, split, data.mask_folder)
        return self.of_photographs(data.root, split, data.labels, data.labels_csv)
