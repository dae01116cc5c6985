import copy
import json
import multiprocessing
import os
import subprocess

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aepsl.errors import AepslError
from aepsl.stores.atomic import HOST, atomic_folder, atomic_write, write_manifest_json, write_text
from aepsl.stores.manifests import (
    ImageEntry,
    ImageManifest,
    MaskEntry,
    TruthManifest,
    read_images,
    read_truth,
    write_manifest,
)
from aepsl.stores.models import load_model, read_weights_file, save_model
from aepsl.stores.records import Record, Store, write_empty, writing_shard


def write_store(folder, records, shards=2, kind="cams"):
    items = list(records.items())
    paths = []
    for shard in range(shards):
        path = folder / f"{shard}.h5"
        facts = {"class_names": ["a", "b"]}
        part = {"shard": shard, "shards": shards}
        with writing_shard(path, kind=kind, facts=facts, **part) as writer:
            for image_id, record in items[shard::shards]:
                writer.add(image_id, record)
        paths.append(path.with_suffix(".json"))
    return paths


ODD_IDS = ["2007_000032", "a b", "ä/ö", ".", "名前", "x" * 300]


def test_round_trip(tmp_path):
    rng = np.random.default_rng(0)
    records = {
        image_id: Record(
            {"cam": rng.random((2, 5, 7)).astype(np.float16), "none": np.zeros((0, 5, 7), "u1")},
            {"classes": [0, 19], "maximum": np.array([1.5, 2.0])},
        )
        for image_id in ODD_IDS
    }
    store = Store(write_store(tmp_path, records), kind="cams")
    assert sorted(store.ids()) == sorted(ODD_IDS)
    for image_id, record in records.items():
        found = store[image_id]
        assert found.arrays["cam"].dtype == np.float16
        assert (found.arrays["cam"] == record.arrays["cam"]).all()
        assert found.arrays["none"].shape == (0, 5, 7)
        assert found.facts["classes"].tolist() == [0, 19]


@settings(max_examples=20)
@given(st.lists(st.text(min_size=1, max_size=20), unique=True, max_size=5))
def test_any_string_may_be_an_id(tmp_path_factory, ids):
    ids = [i for i in ids if "\0" not in i and i.encode("utf-8", "ignore").decode() == i]
    folder = tmp_path_factory.mktemp("store")
    manifest = write_store(folder, {i: Record({"x": np.array([1])}) for i in ids})
    assert sorted(Store(manifest, kind="cams").ids()) == sorted(ids)


SIZES = st.one_of(
    st.sampled_from([(0, 0), (1, 1), (1, 5000), (5000, 1), (375, 500)]),
    st.tuples(st.integers(0, 40), st.integers(0, 40)),
)


@settings(max_examples=25)
@given(
    st.sampled_from([0, 1, 2, 20, 254, 255]),
    SIZES,
    st.sampled_from(["float16", "float32", "uint8", "bool", "int64"]),
    st.integers(0, 9999),
)
def test_any_array_comes_back_as_it_was(tmp_path_factory, classes, size, dtype, seed):
    if classes > 20:
        size = tuple(min(side, 12) for side in size)
    rng = np.random.default_rng(seed)
    array = (rng.normal(size=(classes, *size)) * 100).astype(dtype)
    facts = {"classes": list(range(classes)), "maximum": rng.random(classes), "v": 0.1}
    folder = tmp_path_factory.mktemp("any")
    manifest = write_store(folder, {"a": Record({"x": array, "y": array[:, :1]}, facts)}, shards=1)
    store = Store(manifest, kind="cams")
    for found in (store["a"].arrays["x"], copy.copy(store)["a"].arrays["x"]):
        assert found.dtype == array.dtype
        assert found.shape == array.shape
        assert found.tobytes() == array.tobytes()
    assert store["a"].facts["classes"].tolist() == facts["classes"]
    assert (store["a"].facts["maximum"] == facts["maximum"]).all()


def test_ten_thousand_cams_stay_under_150_mb(tmp_path):
    """At 375x500, stride 8, and VOC's 1.5 classes an image, of noise that nothing compresses."""
    rng = np.random.default_rng(0)
    count, cells = 100, (48, 64)
    with writing_shard(tmp_path / "0.h5", kind="cams", facts={}) as writer:
        for number in range(count):
            classes = [3, 7][: 1 + number % 2]
            cam = rng.normal(size=(len(classes), *cells)).astype(np.float16)
            facts = {"classes": classes, "maximum": cam.max(axis=(1, 2)).astype(np.float32)}
            writer.add(f"2007_{number:06}", Record({"cam": cam}, facts))
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert 10_000 * size / count < 150e6


def test_the_same_records_are_the_same_bytes(tmp_path):
    record = Record({"cam": np.arange(6, dtype=np.float16).reshape(1, 2, 3)}, {"classes": [1]})
    manifests = [write_store(tmp_path / name, {"a": record}) for name in ("one", "two")]
    assert [m.read_bytes() for m in manifests[0]] == [m.read_bytes() for m in manifests[1]]


def read_one(store):
    return store["a"].arrays["x"].tolist()


def test_an_open_store_reads_in_other_processes(tmp_path):
    manifest = write_store(tmp_path, {"a": Record({"x": np.array([1, 2])})})
    store = Store(manifest, kind="cams")
    assert read_one(store) == [1, 2]
    for method in ("fork", "spawn"):
        with multiprocessing.get_context(method).Pool(1) as pool:
            assert pool.apply(read_one, (store,)) == [1, 2]


def test_a_failed_write_leaves_the_former_file(tmp_path):
    path = tmp_path / "0.h5"
    path.write_text("before")
    with (
        pytest.raises(RuntimeError),
        writing_shard(path, kind="cams", facts={}) as writer,
    ):
        writer.add("a", Record({"x": np.array([1])}))
        raise RuntimeError
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_replacing_is_all_or_nothing(tmp_path):
    with atomic_write(tmp_path / "a" / "b.txt") as temporary:
        temporary.write_text("x")
        assert not (tmp_path / "a" / "b.txt").exists()
    assert (tmp_path / "a" / "b.txt").read_text() == "x"


def test_a_folder_appears_when_its_files_are_on_the_disk(tmp_path, monkeypatch):
    synced = []  # files and folders, and whether the folder was there

    def fsync(opened):
        synced.append((os.fstat(opened).st_ino, (tmp_path / "out").exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    (tmp_path / "photograph").write_text("is linked")
    with atomic_folder(tmp_path / "out") as temporary:
        (temporary / "a").mkdir()
        (temporary / "a" / "b.txt").write_text("x")
        (temporary / "link").symlink_to(tmp_path / "photograph")
        assert not (tmp_path / "out").exists()
    assert (tmp_path / "out" / "a" / "b.txt").read_text() == "x"
    inside = [tmp_path / "out" / name for name in ("", "a", "a/b.txt")]
    assert sorted(synced) == sorted(
        [*((path.stat().st_ino, False) for path in inside), (tmp_path.stat().st_ino, True)]
    )


def test_a_failure_leaves_no_part_of_a_folder(tmp_path):
    dead = subprocess.Popen(["true"])
    dead.wait()
    (tmp_path / f"out.tmp.{HOST}.{dead.pid}").mkdir()  # what a killed process left
    with pytest.raises(RuntimeError), atomic_folder(tmp_path / "out") as temporary:
        (temporary / "b.txt").write_text("x")
        raise RuntimeError
    assert not list(tmp_path.iterdir())


def test_temporary_files_of_killed_processes_are_removed(tmp_path):
    dead = subprocess.Popen(["true"])
    dead.wait()
    orphan = tmp_path / f"b[1].txt.tmp.{HOST}.{dead.pid}"
    others = [
        tmp_path / f"b[1].txt.tmp.elsewhere.{dead.pid}",
        tmp_path / f"b[1].txt.tmp.{HOST}.{os.getppid()}",  # is alive
        tmp_path / f"b.txt.tmp.{HOST}.{dead.pid}",
    ]
    for path in [orphan, *others]:
        path.touch()
    write_text(tmp_path / "b[1].txt", "x")
    assert sorted(tmp_path.iterdir()) == sorted([*others, tmp_path / "b[1].txt"])


def flip(path, at):
    """Change one bit of a file."""
    content = bytearray(path.read_bytes())
    content[at % len(content)] ^= 1
    path.write_bytes(content)


@settings(max_examples=60)
@given(st.sampled_from(["0.h5", "0.json", "1.h5", "1.json"]), st.integers(0, 10**9))
def test_any_flipped_bit_of_a_store_is_refused(tmp_path_factory, name, at):
    folder = tmp_path_factory.mktemp("store")
    record = Record({"x": np.arange(50)}, {"classes": [1]})
    manifests = write_store(folder, {"a": record, "b": record})
    flip(folder / name, at)
    with pytest.raises(AepslError) as refused:
        Store(manifests, kind="cams")
    assert name in str(refused.value)


@settings(max_examples=60)
@given(st.integers(0, 10**9))
def test_any_flipped_bit_of_a_model_is_refused(tmp_path_factory, at):
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    tensors = {"w": torch.arange(30.0), "n": torch.tensor(3), "none": torch.zeros(0, 2)}
    save_model(path, tensors, {"class_names": ["cat"]})
    assert load_model(path)[1] == {"class_names": ["cat"]}
    flip(path, at)
    with pytest.raises(AepslError, match=r"model\.safetensors: not a model of this package"):
        load_model(path)


@settings(max_examples=60)
@given(st.integers(0, 10**9))
def test_any_flipped_bit_of_a_dataset_manifest_is_refused(tmp_path_factory, at):
    path = tmp_path_factory.mktemp("dataset") / "manifest.json"
    image = ImageEntry("a", "a.png", 3, 4, (1, 2, 3), "0" * 64, ("cat",))
    manifest = ImageManifest("train", ("cat",), (1, 2, 3), (image,))
    write_manifest(path, manifest)
    assert read_images(path) == manifest
    flip(path, at)
    with pytest.raises(AepslError, match=r"manifest\.json"):
        read_images(path)


def test_one_manifest_is_not_taken_for_the_other(tmp_path):
    mask = MaskEntry("a", "a.png", 3, 4, "0" * 64)
    truth = TruthManifest("train", ("cat",), (8,), (mask,))
    write_manifest(tmp_path / "m.json", truth)
    read = read_truth(tmp_path / "m.json")
    assert read == truth
    with pytest.raises(AepslError, match="not a ImageManifest of this version"):
        read_images(tmp_path / "m.json")


def test_refusals_name_the_file_and_a_hint(tmp_path):
    manifest = write_store(tmp_path, {"a": Record({"x": np.array([1])})}, shards=1)
    with pytest.raises(AepslError, match="not a store of labels"):
        Store(manifest, kind="labels")
    with pytest.raises(AepslError, match="has no record of image b"):
        Store(manifest, kind="cams")["b"]
    with pytest.raises(AepslError, match="does not exist"):
        Store([tmp_path / "none.json"], kind="cams")
    (tmp_path / "0.h5").write_bytes(b"not HDF5")
    with pytest.raises(AepslError, match=r"0\.h5: was modified"):
        Store(manifest, kind="cams")
    (tmp_path / "0.h5").unlink()
    with pytest.raises(AepslError, match="the shard does not exist"):
        Store(manifest, kind="cams")
    manifest[0].write_text("[]")
    with pytest.raises(AepslError, match="not a manifest of this version"):
        Store(manifest, kind="cams")


def test_another_layout_is_refused_with_a_hint(tmp_path):
    write_manifest_json(tmp_path / "0.json", {"schema": 1, "kind": "cams", "ids": []})
    with pytest.raises(AepslError, match="layout 1, but this version reads 2") as refused:
        Store([tmp_path / "0.json"], kind="cams")
    assert "run its stage again" in str(refused.value)


def test_a_missing_foreign_or_repeated_shard_is_refused(tmp_path):
    records = {name: Record({"x": np.array([1])}) for name in "abc"}
    three = write_store(tmp_path / "three", records, shards=3)
    (other,) = write_store(tmp_path / "one", {"d": Record({"x": np.array([1])})}, shards=1)
    assert len(Store(three, kind="cams")) == 3
    for shards, what in [
        (three[:2], r"three: has shards \[0, 1\] of 3"),
        ([*three, other], r"has shards \[0, 0, 1, 2\] of 1 and 3"),
        ([three[0], *three], r"has shards \[0, 0, 1, 2\] of 3"),
    ]:
        with pytest.raises(AepslError, match=what):
            Store(shards, kind="cams")
    assert len(Store(three[:1], kind="cams", all_shards=False)) == 1


def test_shards_that_share_an_image_are_refused(tmp_path):
    for shard in range(2):
        part = {"shard": shard, "shards": 2}
        with writing_shard(tmp_path / f"{shard}.h5", kind="cams", facts={}, **part) as writer:
            writer.add("a", Record({"x": np.array([1])}))
    with pytest.raises(AepslError, match="repeats image a"):
        Store([tmp_path / "0.json", tmp_path / "1.json"], kind="cams")


@settings(max_examples=40)
@given(
    st.sampled_from([(0, 5, 7), (1, 1, 1), (2, 1, 5000), (1, 5000, 1), (255, 3, 2)]),
    st.sampled_from(["uint8", "float16", "float32", "int64"]),
    st.integers(0, 999),
)
def test_arrays_of_any_shape_come_back(tmp_path_factory, shape, dtype, seed):
    array = np.random.default_rng(seed).integers(0, 100, shape).astype(dtype)
    folder = tmp_path_factory.mktemp("store")
    classes = list(range(shape[0]))
    store = Store(
        write_store(folder, {"a": Record({"x": array}, {"classes": classes})}), kind="cams"
    )
    found = store["a"]
    assert found.arrays["x"].dtype == array.dtype
    np.testing.assert_array_equal(found.arrays["x"], array)
    assert list(found.facts["classes"]) == classes


def test_an_empty_store(tmp_path):
    write_empty(tmp_path / "0.json", kind="regions")
    store = Store([tmp_path / "0.json"], kind="regions")
    assert len(store) == 0
    assert "a" not in store
    assert store.facts() == {}


@given(st.integers(0, 40), st.integers(1, 9))
def test_shards_are_a_partition(tmp_path_factory, count, shards):
    images = [ImageEntry(str(n), ".", 1, 1, (0, 0, 0), "", ()) for n in range(count)]
    path = tmp_path_factory.mktemp("shards") / "manifest.jsonl"
    write_manifest(path, ImageManifest("train", (), (0, 0, 0), tuple(images)))
    parts = [read_images(path, shard=s, shards=shards).images for s in range(shards)]
    assert [image for part in parts for image in part] == images
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_models_round_trip(tmp_path):
    path = tmp_path / "model.safetensors"
    save_model(path, {"w": torch.arange(3.0)}, {"class_names": ["cat"]})
    tensors, facts = load_model(path)
    assert tensors["w"].tolist() == [0, 1, 2]
    assert facts == {"class_names": ["cat"]}
    path.write_bytes(b"no model")
    with pytest.raises(AepslError, match="not a model of this package"):
        load_model(path)


class Payload:
    def __reduce__(self):
        return (print, ("a pickle was run",))


def test_no_pickle_is_ever_run(tmp_path, capsys):
    torch.save({"w": Payload()}, tmp_path / "w.pth")
    np.savez(tmp_path / "w.npz", w=np.array([Payload()], dtype=object))
    for name in ("w.pth", "w.npz"):
        with pytest.raises(AepslError):
            read_weights_file(tmp_path / name)
    assert "a pickle was run" not in capsys.readouterr().out


def test_weights_files(tmp_path):
    torch.save({"w": torch.ones(2, dtype=torch.float16)}, tmp_path / "w.pth")
    np.savez(tmp_path / "w.npz", w=np.ones(2, np.float16))
    for name in ("w.pth", "w.npz"):
        found = read_weights_file(tmp_path / name)["w"]
        assert (found.dtype, found.tolist()) == (torch.float32, [1, 1])
    with pytest.raises(AepslError, match="does not exist"):
        read_weights_file(tmp_path / "none.pth")
    (tmp_path / "w.bin").write_text(json.dumps({}))
    with pytest.raises(AepslError, match="does not end with"):
        read_weights_file(tmp_path / "w.bin")
