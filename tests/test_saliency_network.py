"""Saliency by a network: a tiny one, and a real one if it is available."""

import numpy as np
import onnx
import pytest
from conftest import settings_of
from onnx import TensorProto, helper

from aepsl.errors import AepslError
from aepsl.saliency.network import DetectorOptions, SaliencyNetwork, prepare, to_saliency

PLAIN = DetectorOptions(
    size=8,
    mean=(0.0, 0.0, 0.0),
    scale=(255.0, 255.0, 255.0),
    bgr=False,
    input=None,
    output=None,
    answer="probability",
    flip=False,
)


def write_network(path):
    """Write a network of three outputs: the first channel, twice it, and it times a ramp."""
    image = helper.make_tensor_value_info("photo", TensorProto.FLOAT, [1, 3, 8, 8])
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, 8, 8])
        for name in ("first", "twice", "ramp")
    ]
    index = helper.make_tensor("index", TensorProto.INT64, [1], [0])
    two = helper.make_tensor("two", TensorProto.FLOAT, [], [2.0])
    columns = helper.make_tensor("columns", TensorProto.FLOAT, [8], [n / 7 for n in range(8)])
    nodes = [
        helper.make_node("Gather", ["photo", "index"], ["first"], axis=1),
        helper.make_node("Mul", ["first", "two"], ["twice"]),
        helper.make_node("Mul", ["first", "columns"], ["ramp"]),
    ]
    graph = helper.make_graph(nodes, "tiny", [image], outputs, [index, two, columns])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


@pytest.fixture
def network(tmp_path):
    path = write_network(tmp_path / "tiny.onnx")

    def load(**changes):
        options = DetectorOptions(**PLAIN.__dict__ | changes)
        return SaliencyNetwork(path, options, threads=1, device="cpu")

    return load


RED = np.zeros((12, 20, 3), np.uint8)
RED[:, :10, 0] = 255
BLUE = np.ascontiguousarray(RED[..., ::-1])


def test_the_photograph_arrives_as_rgb_and_the_map_comes_back_at_its_size(network):
    saliency = network()(RED)
    assert saliency.shape == (12, 20)
    assert saliency[:, :8].min() == 1
    assert saliency[:, 12:].max() == 0
    assert network()(BLUE).max() == 0
    assert network(bgr=True)(BLUE).max() == 1


def test_names_are_settings(network):
    assert network(output="twice", mean=(0.0,) * 3, scale=(510.0,) * 3)(RED).max() == 1
    assert network(input="photo", scale=(510.0,) * 3)(RED).max() == 0.5
    with pytest.raises(ValueError, match="there is no output third, only first, twice, ramp"):
        network(output="third")
    with pytest.raises(ValueError, match="there is no input image, only photo"):
        network(input="image")


def test_mirrored_maps_are_turned_back_and_averaged(network):
    """A network that calls what lies on the right more salient does not do so any more."""
    red = np.full((8, 8, 3), (255, 0, 0), np.uint8)
    ramp = np.arange(8, dtype=np.float32) / 7
    np.testing.assert_allclose(network(output="ramp")(red), np.tile(ramp, (8, 1)), atol=1e-6)
    np.testing.assert_allclose(network(output="ramp", flip=True)(red), 0.5, atol=1e-6)
    right = network(flip=True)(RED)
    np.testing.assert_array_equal(right, network()(RED))


def test_prepare_literal():
    pixel = np.full((1, 1, 3), (10, 20, 30), np.uint8)
    options = DetectorOptions(
        **PLAIN.__dict__ | {"size": 1, "mean": (4, 10, 25), "scale": (2, 5, 1)}
    )
    assert prepare(pixel, options).tolist() == [[[[3.0]], [[2.0]], [[5.0]]]]
    turned = DetectorOptions(**options.__dict__ | {"bgr": True})
    assert prepare(pixel, turned).ravel().tolist() == [5.0, 2.0, 3.0]


def test_answers_become_zero_to_one():
    answer = np.array([[-1.0, 0.0, 3.0]], np.float32)
    assert to_saliency(answer, "probability").tolist() == [[0, 0, 1]]
    assert to_saliency(answer, "relative").tolist() == [[0, 0.25, 1]]
    assert to_saliency(answer, "logit")[0] == pytest.approx([0.2689, 0.5, 0.9526], abs=1e-4)
    assert to_saliency(np.ones((1, 2), np.float32), "relative").tolist() == [[0, 0]]


def test_a_file_that_is_no_network_is_refused(tmp_path):
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match="not a network"):
        SaliencyNetwork(path, PLAIN, threads=1, device="cpu")


def test_a_missing_gpu_is_reported(tmp_path, monkeypatch):
    import onnxruntime

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    path = write_network(tmp_path / "tiny.onnx")
    with pytest.raises(ValueError, match="replace onnxruntime by onnxruntime-gpu"):
        SaliencyNetwork(path, PLAIN, threads=1, device="cuda")
    assert SaliencyNetwork(path, PLAIN, threads=1, device="auto")(RED).max() == 1


def test_the_stage_names_the_file(tmp_path, voc_folder):
    from pathlib import Path

    from aepsl.stages import detect_saliency
    from aepsl.stores.records import Store

    manifest = tmp_path / "manifest.json"
    voc_folder.index(manifest)
    file = write_network(tmp_path / "tiny.onnx")

    def run(**changes):
        network = {"file": str(file), "size": 8} | changes
        saliency = {"method": "network", "network": network}
        config = settings_of("detect_saliency", {"saliency": saliency})
        where = {"dataset": manifest, "root": voc_folder.root, "output": tmp_path / "0.h5"}
        where["source"] = Path(network["file"])
        detect_saliency.detect_saliency(
            config, **where, shard=0, shards=1, threads=1, device="auto"
        )

    run()
    store = Store([Path(tmp_path / "0.json")], kind="saliency")
    assert store["a"].arrays["saliency"].shape == (40, 48)
    with pytest.raises(AepslError, match=r"tiny\.onnx: there is no output third"):
        run(output="third")
    with pytest.raises(AepslError, match=r"tiny\.onnx: it cannot take 16 x 16 pixels"):
        run(size=16)
    with pytest.raises(AepslError, match=r"absent\.onnx: not a network"):
        run(file=str(tmp_path / "absent.onnx"))


ISNET = ("isnet_small.onnx", 1024, (128.0, 128.0, 128.0), (256.0, 256.0, 256.0), "probability")
U2NETP = ("u2netp.onnx", 320, (123.675, 116.28, 103.53), (58.395, 57.12, 57.375), "relative")


@pytest.mark.real_data
@pytest.mark.parametrize(("name", "size", "mean", "scale", "answer"), [ISNET, U2NETP])
def test_a_real_network_on_ecssd(shared_data, name, size, mean, scale, answer):
    """A hundred photographs: ten minutes for IS-Net, one for U2-Netp."""
    import cv2

    from aepsl.data.images import read_image
    from aepsl.evaluation.saliency import max_f, saliency_counts

    options = DetectorOptions(
        size=size, mean=mean, scale=scale, bgr=False, input=None, output=None, answer=answer
    )
    network = SaliencyNetwork(shared_data / "saliency" / name, options, threads=2, device="cpu")
    counts = []
    for path in sorted((shared_data / "ecssd" / "images").iterdir()):
        truth = cv2.imread(str(shared_data / "ecssd" / "masks" / f"{path.stem}.png"), 0) > 127
        counts.append(saliency_counts(network(read_image(path)), truth))
    error, precision, recall = (np.mean(part, axis=0) for part in zip(*counts, strict=True))
    print(f"ECSSD, 100 images, {name}: MAE {error:.3f}, max F {max_f(precision, recall):.3f}")
    assert error < 0.1
    assert max_f(precision, recall) > 0.85
