"""Checksums of outputs, and the problems that `aepsl verify` finds."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

from aepsl.cli.verify import verify_results
from aepsl.errors import AepslError
from aepsl.stages._options import Writes
from aepsl.stores.atomic import write_manifest_json
from aepsl.stores.checksums import read_checksums, write_checksums
from aepsl.stores.records import Record, writing_shard

ODD_NAMES = [
    "plain.txt",
    "with space.txt",
    "back\\slash.txt",
    "back\\nslash",
    "line\nbreak.txt",
    "ä.txt",
]


def test_sha256sum_reads_the_lists(tmp_path):
    for name in ODD_NAMES:
        (tmp_path / "out").mkdir(exist_ok=True)
        (tmp_path / "out" / name).write_text(name)
    (tmp_path / "empty").touch()
    listing = tmp_path / "list.sha256"
    write_checksums(listing, [tmp_path / "out", tmp_path / "empty"])
    command = ["sha256sum", "--check", "--strict", str(listing)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    paths = {tmp_path / "out" / name for name in ODD_NAMES} | {tmp_path / "empty"}
    assert set(read_checksums(listing)) == paths


@pytest.mark.parametrize("content", ["x", "abc  file\n", "0" * 64 + " file\n"])
def test_an_invalid_list_is_refused(tmp_path, content):
    (tmp_path / "list.sha256").write_text(content)
    with pytest.raises(AepslError, match="not a list of checksums"):
        read_checksums(tmp_path / "list.sha256")


def test_which_files_an_option_writes():
    assert Writes().paths(Path("a/b.json")) == [Path("a/b.json")]
    assert Writes(".json").paths(Path("a/0.h5")) == [Path("a/0.h5"), Path("a/0.json")]
    paths = [Path("r/index.html"), Path("r/pictures")]
    assert Writes("pictures").paths(Path("r/index.html")) == paths


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Return the results of a made-up run: two shards, a score and a page."""
    monkeypatch.chdir(tmp_path)
    folder = Path("results/mini")
    for shard in range(2):
        part = {"shard": shard, "shards": 2}
        path = folder / f"cams/main/step1/{shard}.h5"
        with writing_shard(path, kind="cams", facts={}, **part) as writer:
            writer.add(f"image{shard}", Record({"cam": np.ones((1, 3, 3))}))
        written = [path, path.with_suffix(".json")]
        write_checksums(folder / f"checksums/extract_cams/main-{shard}.sha256", written)
    write_manifest_json(folder / "scores.json", {"miou": 0.5})
    write_checksums(folder / "checksums/summarise.sha256", [folder / "scores.json"])
    for name in ("logs/a.log", "locks/summarise.lock", "work/classifier-main-step1.lock"):
        (folder / name).parent.mkdir()
        (folder / name).touch()
    return folder


def found(folder):
    with pytest.raises(AepslError) as error:
        verify_results(folder, root=None)
    return {(Path(p.where).name, p.what) for p in error.value.problems}


def test_a_complete_run(run):
    assert verify_results(run, root=None) == 5


@pytest.mark.parametrize("name", ["cams/main/step1/0.h5", "cams/main/step1/1.json", "scores.json"])
def test_a_flipped_bit_is_found(run, name):
    content = bytearray((run / name).read_bytes())
    content[len(content) // 3] ^= 4
    (run / name).write_bytes(content)
    assert found(run) == {(Path(name).name, "was modified after it was written")}


def test_a_missing_shard_is_found(run):
    (run / "cams/main/step1/1.h5").unlink()
    assert found(run) == {("1.h5", "is missing, but a job wrote it")}


def test_a_foreign_file_and_a_half_written_one_are_found(run):
    (run / "cams/main/step1/2.h5").touch()
    (run / "scores.json.tmp.77").touch()
    foreign = "no job of this run wrote it"
    assert found(run) == {("2.h5", foreign), ("scores.json.tmp.77", "is incomplete")}


def test_a_manifest_that_lies_is_found(run):
    path = run / "cams/main/step1/1.json"
    lie = {"schema": 2, "kind": "cams", "shard": 1, "shards": 3, "count": 1, "ids": ["image1"]}
    write_manifest_json(path, lie | {"file": "1.h5", "sha256": "0" * 64})
    write_checksums(run / "checksums/extract_cams/main-1.sha256", [path.with_suffix(".h5"), path])
    assert found(run) == {("1.h5", "was modified after it was written")}


def test_a_folder_without_checksums_is_no_run(tmp_path):
    with pytest.raises(AepslError, match="contains no checksums"):
        verify_results(tmp_path, root=None)
