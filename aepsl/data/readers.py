"""Readers of the layouts that people have: each returns a catalogue of photographs.

``folder``: one folder per class; ``csv``: a table; ``coco``: a JSON file; ``huggingface``: metadata
files. docs/own-data.md shows each layout.
"""

from __future__ import annotations

import filecmp
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from aepsl.data.catalogue import (
    SPLIT_NAMES,
    Catalogue,
    Collected,
    FileIndex,
    Item,
    image_paths,
)
from aepsl.data.coco import read_annotations
from aepsl.data.names import IMAGE_SUFFIXES, cleaned_path, normalised, split_cell
from aepsl.errors import AepslError, Problem
from aepsl.masks import BACKGROUND_NAME
from aepsl.text import parse_csv, parse_json, read_foreign_text

IMAGE_COLUMNS = ("file_name", "filename", "image", "image_path", "path", "file", "image_name",
                 "image_id", "photo", "id")  # fmt: skip
LABEL_COLUMNS = ("labels", "label", "tags", "classes", "class", "categories", "category", "text")
SPLIT_COLUMNS = ("split", "subset", "set", "fold")
MASK_COLUMNS = ("mask", "mask_path", "mask_name", "mask_file_name", "segmentation", "annotation")


@dataclass(frozen=True)
class Layout:
    """Where a dataset's files are, and what its columns are called; None: found by their names."""

    annotations: str | None = None
    """Table or JSON file relative to the root; may contain ``{split}``."""
    mask_folder: str | None = None
    image_column: str | None = None
    label_column: str | None = None
    class_names: tuple[str, ...] | None = None


def read_folders(root: Path, layout: Layout) -> Catalogue:
    """Read one folder per class, ``dog/x.jpg``, perhaps in one per split, ``train/dog/x.jpg``.

    A photograph in a folder ``background`` shows no class; one in no class's folder has no label.
    Equal files of the same name in several folders are one photograph of several classes.

    Args:
        root: the dataset's folder.
        layout: its mask folder is left out.
    """
    splits = {name for names in SPLIT_NAMES.values() for name in names}
    items_by_place: dict[tuple[str | None, str], list[Item]] = {}
    for path in image_paths(root, without=_mask_folders(root, layout)):
        *folders, _ = path.relative_to(root).parts
        split = folders.pop(0) if folders and folders[0].lower() in splits else None
        labels = _labels([folders[0]]) if folders else None
        rest = "/".join([*folders[1:], path.name])
        same = items_by_place.setdefault((split, rest), [])
        for number, other in enumerate(same):
            if other.labels and labels and filecmp.cmp(other.path, path, shallow=False):
                same[number] = replace(other, labels=(*other.labels, *labels))
                break
        else:
            same.append(Item(path, labels, split))
    collected = Collected(root)
    for items in items_by_place.values():
        for item in items:
            collected.add(item)
    return collected.catalogue()


def read_table(root: Path, layout: Layout) -> Catalogue:
    """Read a CSV: one row per photograph; labels in one cell, or one column per class of 0 and 1.

    Columns of splits and of masks are used if there are any.

    Args:
        root: the dataset's folder.
        layout: its annotations are the CSV; None: the only one in the folder.
    """
    files = _annotation_files(root, layout, ("*.csv", "*.tsv"))
    return _from_tables(root, [(file, _rows_of_csv(file), split) for file, split in files], layout)


def read_huggingface(root: Path, layout: Layout) -> Catalogue:
    """Read Hugging Face's imagefolder: ``metadata.csv`` or ``.jsonl`` beside the photographs.

    The column ``file_name`` is relative to the file's folder; a folder ``train`` or ``test`` is a
    split.

    Args:
        root: the dataset's folder.
        layout: names of the columns; its annotations are not used.
    """
    tables = []
    for file in sorted(root.rglob("metadata.*")):
        if file.suffix not in (".csv", ".jsonl"):
            continue
        rows = _rows_of_csv(file) if file.suffix == ".csv" else _rows_of_jsonl(file)
        parts = file.relative_to(root).parts[:-1]
        tables.append((file, rows, parts[0] if parts else None))
    if not tables:
        hint = "metadata.csv or metadata.jsonl, with a column file_name"
        raise AepslError.of(root, "there is no metadata file in it", hint)
    return _from_tables(root, tables, layout)


def read_coco(root: Path, layout: Layout) -> Catalogue:
    """Read COCO's JSON: the labels of an image are the categories of its annotations.

    An image without annotations shows background only. If the file has segmentations, they are the
    true masks; an image with an annotation that has none, a box only, has no true mask.

    Args:
        root: the dataset's folder.
        layout: its annotations are the JSON file; None: the only ones in the folder.
    """
    files = _annotation_files(root, layout, ("*.json",))
    index, collected = FileIndex(root, without=_mask_folders(root, layout)), Collected(root)
    for file, split in files:
        images = read_annotations(file)
        has_masks = any(a.segmentation for image in images for a in image.annotations)
        for image in images:
            path = index.find(image.name, folder=file.parent)
            if isinstance(path, Problem):
                collected.problems.append(replace(path, where=f"{file}: {path.where}"))
                continue
            labels = _labels(annotation.category for annotation in image.annotations)
            drawn = has_masks and all(a.segmentation for a in image.annotations)
            collected.add(Item(path, labels, split, image if drawn else None))
    return collected.catalogue()


READERS: dict[str, Callable[[Path, Layout], Catalogue]] = {
    "folder": read_folders,
    "csv": read_table,
    "coco": read_coco,
    "huggingface": read_huggingface,
}


def _clean(name: object) -> str:
    return normalised(str(name).strip())


def _labels(names: Iterable[object]) -> tuple[str, ...]:
    """Return labels without repetition, and without the word background."""
    unique = dict.fromkeys(map(_clean, names))
    return tuple(name for name in unique if name and name != BACKGROUND_NAME)


def _mask_folders(root: Path, layout: Layout) -> list[Path]:
    return [root / layout.mask_folder] if layout.mask_folder else []


def _annotation_files(
    root: Path, layout: Layout, patterns: tuple[str, ...]
) -> list[tuple[Path, str | None]]:
    """Return the files that hold the labels, each with its split.

    Raises:
        AepslError: if there is none, or several and none is named.
    """
    if layout.annotations and "{split}" not in layout.annotations:
        return [(root / layout.annotations, None)]
    if layout.annotations:
        pattern = layout.annotations.replace("{split}", "*")
        before, _, after = layout.annotations.partition("{split}")
        shape = re.compile(re.escape(before) + "([^/]+)" + re.escape(after))
        files = sorted(root.glob(pattern))
        matches = [(file, shape.fullmatch(file.relative_to(root).as_posix())) for file in files]
        return _or_none([(file, m[1]) for file, m in matches if m], root, layout.annotations)
    files = sorted(file for pattern in patterns for file in root.glob(pattern))
    if len(files) > 1:
        names = ", ".join(file.name for file in files)
        raise AepslError.of(
            root, f"several files may hold the labels: {names}", "set data.annotations"
        )
    return _or_none([(file, None) for file in files], root, " or ".join(patterns))


def _or_none(
    files: list[tuple[Path, str | None]], root: Path, pattern: str
) -> list[tuple[Path, str | None]]:
    if not files:
        raise AepslError.of(root, f"there is no file {pattern} in it", "set data.annotations")
    return files


def _rows_of_csv(file: Path) -> list[Mapping[str, str]]:
    text = read_foreign_text(file)
    header = text.partition("\n")[0]
    separator = max(";,\t|", key=header.count)
    delimiter = separator if separator in header else " "
    rows: list[Mapping[str, str]] = []
    _, lines = parse_csv(text, file, delimiter=delimiter, hint="save it as CSV in UTF-8")
    for line, row in lines:
        if any(cell.strip() for cell in row.pop(None, ())):
            what = "the row has more cells than the header"
            hint = 'put quotes around several labels: "cat,dog"'
            raise AepslError.of(f"{file}:{line}", what, hint)
        rows.append({name.strip(): cell or "" for name, cell in row.items() if name})
    if not rows:
        raise AepslError.of(file, "the table has no rows", "a header, then one row per photograph")
    return rows


def _rows_of_jsonl(file: Path) -> list[Mapping[str, Any]]:
    rows: list[Mapping[str, Any]] = []
    hint = "one object a line"
    for number, line in enumerate(read_foreign_text(file).splitlines(), start=1):
        if not line.strip():
            continue
        row = parse_json(line, f"{file}:{number}", hint=hint)
        if not isinstance(row, dict):
            raise AepslError.of(f"{file}:{number}", "not an object of JSON", hint)
        rows.append(row)
    return rows


def _column(names: Iterable[str], wanted: str | None, usual: Iterable[str]) -> str | None:
    by_lower = {name.strip().lower(): name for name in names}
    if wanted is not None:
        return by_lower.get(wanted.strip().lower())
    return next((by_lower[name] for name in usual if name in by_lower), None)


def _from_tables(
    root: Path, tables: Iterable[tuple[Path, list[Mapping[str, Any]], str | None]], layout: Layout
) -> Catalogue:
    index, collected = FileIndex(root, without=_mask_folders(root, layout)), Collected(root)
    for file, rows, split in tables:
        for item in _items(file, rows, split, index=index, layout=layout):
            if isinstance(item, Problem):
                collected.problems.append(item)
            else:
                collected.add(item)
    return collected.catalogue()


class Columns(NamedTuple):
    """What the columns of a table hold."""

    image: str
    label: str | None
    """None: each of ``flags`` is a class, of 0 and 1."""
    flags: list[str]
    split: str | None
    mask: str | None


def _columns(
    file: Path, rows: list[Mapping[str, Any]], *, index: FileIndex, layout: Layout
) -> Columns:
    """Find the columns by their names in ``layout``, by usual names, or by what they hold.

    Raises:
        AepslError: if no column holds photographs, or none holds labels.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))

    def holds_photographs(name: str) -> bool:
        cells = [str(row.get(name, "")) for row in rows[:10]]
        paths = [index.find(cell, folder=file.parent) for cell in cells]
        return not any(isinstance(path, Problem) for path in paths)

    image = _column(names, layout.image_column, IMAGE_COLUMNS)
    if image is None and layout.image_column is None:
        image = next(filter(holds_photographs, names), None)
    if image is None:
        what = f"no column of photographs among {', '.join(names)}"
        raise AepslError.of(file, what, "set data.image_column")
    split = _column(names, None, SPLIT_COLUMNS)
    mask = _column([name for name in names if _holds_image_files(rows, name)], None, MASK_COLUMNS)
    label = _column(names, layout.label_column, LABEL_COLUMNS)
    others = [name for name in names if name not in (image, split, mask)]
    flags = others and all(_is_flag(row.get(name, "")) for row in rows for name in others)
    if label is None and not flags:
        label = others[0] if len(others) == 1 and layout.label_column is None else None
        if label is None:
            what = f"no column of labels among {', '.join(names)}"
            hint = "set data.label_column; or one column per class, of 0 and 1"
            raise AepslError.of(file, what, hint)
    return Columns(image, label, others, split, mask)


def names_with_spaces(cells: Iterable[str]) -> set[str]:
    """Return the cells that are one name of several words, rather than several names.

    They occur more than once, and their words in no other cell.

    >>> sorted(names_with_spaces(["large car", "cat", "large car", "cat dog", "cat dog", "dog"]))
    ['large car']
    """
    single = Counter(cell.strip() for cell in cells if not set(cell) & set("|;,["))
    within: dict[str, set[str]] = {}
    for cell in single:
        for word in cell.split():
            within.setdefault(word, set()).add(cell)
    return {
        cell
        for cell, times in single.items()
        if times > 1
        and len(cell.split()) > 1
        and all(within[word] == {cell} for word in cell.split())
    }


def _items(
    file: Path,
    rows: list[Mapping[str, Any]],
    split: str | None,
    *,
    index: FileIndex,
    layout: Layout,
) -> Iterator[Item | Problem]:
    image, label, flags, splits, masks = _columns(file, rows, index=index, layout=layout)
    class_names = layout.class_names or names_with_spaces(
        normalised(str(row.get(label) or "")) for row in rows if label
    )
    for number, row in enumerate(rows, start=2):
        path, where = index.find(str(row.get(image, "")), folder=file.parent), f"{file}:{number}"
        if isinstance(path, Problem):
            yield replace(path, where=f"{where}: {path.where}")
            continue
        if label is None:
            labels = _labels(
                name for name in flags if str(row.get(name, "")).strip() in ("1", "1.0")
            )
        else:
            cell = row.get(label)
            listed = (
                cell
                if isinstance(cell, list)
                else split_cell(
                    "" if cell is None else str(cell), where=where, class_names=class_names
                )
            )
            labels = _labels(listed)
        mask = _mask(
            str(row.get(masks) or "") if masks else "", root=index.root, folder=file.parent
        )
        if isinstance(mask, Problem):
            yield replace(mask, where=f"{where}: {mask.where}")
            continue
        own = str(row.get(splits) or "").strip() if splits else ""
        yield Item(path, labels, own or split, mask)


def _mask(cell: str, *, root: Path, folder: Path) -> Path | Problem | None:
    """Return the mask that a cell names relative to ``folder`` or to the root, if it names one."""
    name = cleaned_path(cell)
    if not name:
        return None
    forms = [unicodedata.normalize(form, name) for form in ("NFC", "NFD")]
    places = [os.path.relpath(base / form, root) for base in (folder, root) for form in forms]
    inside = [root / place for place in places if not place.startswith("../")]
    if not inside:
        return Problem(name, f"the mask lies outside of {root}", "move it into the folder")
    missing = Problem(name, "no such mask", "add it, or leave its cell empty")
    return next(filter(Path.is_file, inside), missing)


def _holds_image_files(rows: Iterable[Mapping[str, Any]], name: str) -> bool:
    cells = [cell for row in rows if (cell := str(row.get(name) or "").strip())]
    return not cells or any(Path(cell).suffix.lower() in IMAGE_SUFFIXES for cell in cells)


def _is_flag(value: object) -> bool:
    return str(value).strip() in ("", "0", "1", "0.0", "1.0")
