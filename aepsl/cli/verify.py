"""Verify the results of a run against the checksums that its jobs wrote."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from aepsl.console import tracked
from aepsl.errors import AepslError, Problem
from aepsl.stores.atomic import digest_of
from aepsl.stores.checksums import files_below, read_checksums
from aepsl.stores.manifests import read_images
from aepsl.stores.shards import ShardManifest, check_complete, check_shard, read_shard_manifest

CHECKSUMS = "checksums"
FOLDERS_WITHOUT_RESULTS = (CHECKSUMS, "logs", "locks", "benchmarks", "work")
"""Folders of a run without results; their files are not checked."""

REMOVE_HINT = "remove it, and run Snakemake again"


def _read_lists(folder: Path) -> tuple[dict[Path, str], list[Problem]]:
    """Return the listed digest of each file, and the problems of the checksum lists."""
    listed: dict[Path, str] = {}
    problems: list[Problem] = []
    for path in sorted((folder / CHECKSUMS).rglob("*.sha256")):
        try:
            digests = read_checksums(path)
            listed |= {_relocated(folder, name): digest for name, digest in digests.items()}
        except AepslError as error:
            problems += error.problems
    return listed, problems


def _relocated(folder: Path, name: Path) -> Path:
    """Return the path of a listed file, given that the run's folder is now ``folder``."""
    parts = name.parts
    if folder.name and len(parts) > 2 and parts[:2] == ("results", folder.resolve().name):
        return folder.joinpath(*parts[2:])
    return name


def _changed(listed: Mapping[Path, str]) -> Iterator[Problem]:
    for path, digest in tracked(listed.items(), total=len(listed), what="checksums"):
        if not path.is_file():
            hint = "run Snakemake again, in the folder of the Snakefile"
            yield Problem(str(path), "is missing, but a job wrote it", hint)
        elif digest_of(path) != digest:
            yield Problem(str(path), "was modified after it was written", REMOVE_HINT)


def _unexpected(folder: Path, listed: Mapping[Path, str]) -> Iterator[Problem]:
    for path in files_below(folder):
        if path.relative_to(folder).parts[0] in FOLDERS_WITHOUT_RESULTS or path in listed:
            continue
        if path.name.startswith(".snakemake"):
            continue
        if ".tmp." in path.name:
            hint = "remove it: a killed job left it"
            yield Problem(str(path), "is incomplete", hint)
        else:
            yield Problem(str(path), "no job of this run wrote it", "move it out of the results")


def _stores(listed: Mapping[Path, str]) -> Iterator[Problem]:
    """Yield problems of stores: a shard that does not match its manifest, an incomplete store."""
    by_folder: dict[Path, dict[Path, ShardManifest]] = {}
    broken: set[Path] = set()
    for shard in sorted(path for path in listed if path.suffix == ".h5"):
        manifest = shard.with_suffix(".json")
        try:
            content = read_shard_manifest(manifest)
            check_shard(manifest, content)
            by_folder.setdefault(manifest.parent, {})[manifest] = content
        except AepslError as error:
            broken.add(manifest.parent)
            yield from error.problems
    for folder, contents in by_folder.items():
        if folder in broken:
            continue
        try:
            check_complete(list(contents), list(contents.values()))
        except AepslError as error:
            yield from error.problems


def _photographs(folder: Path, root: Path) -> Iterator[Problem]:
    for path in sorted(folder.glob("*_images/*/manifest.jsonl")):
        images = read_images(path).images
        for image in tracked(images, total=len(images), what="photographs"):
            photograph = root / image.path
            if not photograph.is_file():
                yield Problem(str(photograph), "the photograph is missing", "put it back")
            elif digest_of(photograph) != image.sha256:
                hint = "run Snakemake again, which indexes it again"
                yield Problem(str(photograph), "differs from the indexed photograph", hint)


def verify_results(folder: Path, *, root: Path | None) -> int:
    """Check all result files of a run; return their number.

    With ``root``, the dataset's folder, also check that no photograph was modified after indexing.

    Raises:
        AepslError: listing every modified, missing, unexpected or incomplete file.
    """
    if not (folder / CHECKSUMS).is_dir():
        hint = "give the folder of a run, results/<run>, in the folder of the Snakefile"
        raise AepslError.of(folder, "contains no checksums", hint)
    listed, problems = _read_lists(folder)
    problems += [*_changed(listed), *_unexpected(folder, listed)]
    problems += [p for p in _stores(listed) if p.where not in {q.where for q in problems}]
    if root:
        problems += _photographs(folder, root)
    if problems:
        raise AepslError(problems, f"{folder}: {len(problems)} problem(s) in {len(listed)} files:")
    return len(listed)
