import json
import multiprocessing

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aepsl.errors import AepslError
from aepsl.stores.atomic import replacing
from aepsl.stores.dataset import ImageEntry, shard_of
from aepsl.stores.models import load_model, read_weights_file, save_model
from aepsl.stores.records import Record, Store, write_empty, writing_shard


def write_store(folder, records, shards=2, kind="cams"):
    items = list(records.items())
    paths = []
    for shard in range(shards):
        path = folder / f"{shard}.h5"
        with writing_shard(path, kind=kind, facts={"class_names": ["a", "b"]}) as writer:
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


@settings(max_examples=20, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=20), unique=True, max_size=5))
def test_any_string_may_be_an_id(tmp_path_factory, ids):
    ids = [i for i in ids if "\0" not in i and i.encode("utf-8", "ignore").decode() == i]
    folder = tmp_path_factory.mktemp("store")
    manifest = write_store(folder, {i: Record({"x": np.array([1])}) for i in ids})
    assert sorted(Store(manifest, kind="cams").ids()) == sorted(ids)


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
    with replacing(tmp_path / "a" / "b.txt") as temporary:
        temporary.write_text("x")
        assert not (tmp_path / "a" / "b.txt").exists()
    assert (tmp_path / "a" / "b.txt").read_text() == "x"


def test_a_flipped_byte_is_noticed(tmp_path):
    record = Record({"x": np.random.default_rng(0).random((64, 64))})
    manifest = write_store(tmp_path, {"a": record}, shards=1)
    shard = tmp_path / "0.h5"
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    with pytest.raises((AepslError, OSError)):
        Store(manifest, kind="cams")["a"]


def test_refusals_name_the_file_and_a_hint(tmp_path):
    manifest = write_store(tmp_path, {"a": Record({"x": np.array([1])})}, shards=1)
    with pytest.raises(AepslError, match="not a store of labels"):
        Store(manifest, kind="labels")
    with pytest.raises(AepslError, match="nothing of image b"):
        Store(manifest, kind="cams")["b"]
    with pytest.raises(AepslError, match="not there"):
        Store([tmp_path / "none.json"], kind="cams")
    (tmp_path / "0.h5").write_bytes(b"not HDF5")
    with pytest.raises(AepslError, match="not a readable store"):
        Store(manifest, kind="cams")["a"]
    manifest[0].write_text("{")
    with pytest.raises(AepslError, match="not JSON"):
        Store(manifest, kind="cams")


def test_a_shard_that_repeats_an_image_is_refused(tmp_path):
    write_store(tmp_path, {"a": Record({"x": np.array([1])})}, shards=1)
    with pytest.raises(AepslError, match="repeats image a"):
        Store([tmp_path / "0.json"] * 2, kind="cams")


def test_an_empty_store(tmp_path):
    write_empty(tmp_path / "0.json", kind="regions")
    store = Store([tmp_path / "0.json"], kind="regions")
    assert len(store) == 0
    assert "a" not in store
    assert store.facts() == {}


@given(st.integers(0, 40), st.integers(1, 9))
def test_shards_are_a_partition(count, shards):
    images = [ImageEntry(str(n), "", 1, 1, "", (), "train") for n in range(count)]
    parts = [shard_of(images, shard=s, shards=shards) for s in range(shards)]
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
    with pytest.raises(AepslError, match="not there"):
        read_weights_file(tmp_path / "none.pth")
    (tmp_path / "w.bin").write_text(json.dumps({}))
    with pytest.raises(AepslError, match="ends with none of"):
        read_weights_file(tmp_path / "w.bin")
