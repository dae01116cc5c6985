"""Pretrained weights that do not fit are refused before training, from the header of their file."""

import json
import struct
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from safetensors.numpy import save_file

from aepsl.config.networks import Networks
from aepsl.errors import AepslError
from aepsl.networks.layouts import LAYOUTS
from aepsl.networks.models import BACKBONES, NetworkShape
from aepsl.stores.weights import shapes_in
from aepsl.workflow.plan import Plan
from aepsl.workflow.weights import weights_problem


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize(("width", "batch_norm"), [(1, False), (1, True), (1 / 16, True)])
def test_a_layout_has_the_names_and_shapes_of_its_network(backbone, width, batch_norm):
    width = width if backbone == "vgg16" else 1
    network = NetworkShape(backbone=backbone, width=width, batch_norm=batch_norm).make_backbone()
    shapes = {
        name: tuple(tensor.shape)
        for name, tensor in network.layers.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    assert LAYOUTS[backbone].shapes(width, batch_norm) == shapes


@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_layout_names_weights_that_torchvision_has(backbone):
    from torchvision.models import get_model_weights

    assert set(LAYOUTS[backbone].weights) <= set(get_model_weights(backbone).__members__)


def zeros(backbone="vgg16", width=1 / 16, batch_norm=False):
    """Return tensors that fit."""
    shapes = LAYOUTS[backbone].shapes(width, batch_norm)
    return {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}


@pytest.mark.parametrize(("suffix", "write"), [(".npz", np.savez), (".safetensors", None)])
def test_shapes_are_read_from_the_header(tmp_path, suffix, write):
    path, tensors = tmp_path / f"w{suffix}", zeros() | {"scalar": np.zeros((), np.float16)}
    np.savez(path, **tensors) if write else save_file(tensors, path)
    assert shapes_in(path) == {name: tensor.shape for name, tensor in tensors.items()}


def weights(tmp_path, tensors, **networks):
    """Return message and hint for weights with these tensors."""
    path = tmp_path / "w.npz"
    np.savez(path, **tensors)
    problem = weights_problem(Networks(weights=str(path), **networks))
    return problem and (problem.what.removeprefix("the weights do not fit: "), problem.hint)


def as_torchvision(tensors):
    """Return VGG-16's tensors under torchvision's names."""
    layers = dict.fromkeys(name.rpartition(".")[0] for name in tensors)
    numbers = {layer: number for number, layer in enumerate(layers)}
    return {
        f"features.{numbers[name.rpartition('.')[0]]}.{name.rpartition('.')[2]}": tensor
        for name, tensor in tensors.items()
    }


@pytest.mark.parametrize("renamed", [dict, as_torchvision])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_weights_that_fit_pass(tmp_path, renamed, batch_norm):
    tensors = renamed(zeros(batch_norm=batch_norm))
    assert weights(tmp_path, tensors, width=1 / 16, batch_norm=batch_norm) is None


@pytest.mark.parametrize(
    ("tensors", "networks", "what"),
    [
        (
            zeros(),
            {"width": 1 / 8},
            "conv1_1.weight has shape (4, 3, 3, 3), the network needs (8, 3, 3, 3)",
        ),
        (
            zeros(),
            {"width": 1 / 16, "batch_norm": True},
            "conv1_1_norm.weight is missing, but the network has it",
        ),
        (zeros(), {"backbone": "resnet50"}, "conv1.weight is missing, but the network has it"),
        ({"x": np.zeros(3)}, {}, "conv1_1.weight is missing, but the network has it"),
        (
            {f"features.{n}.weight": np.zeros((1, 1, 1, 1)) for n in range(16)},
            {},
            "features.13 is no layer of VGG-16",
        ),
        ({"features.0.x": np.zeros(1)}, {}, "features.0 is no layer of VGG-16"),
    ],
)
def test_weights_that_do_not_fit_are_refused(tmp_path, tensors, networks, what):
    assert weights(tmp_path, tensors, **networks)[0] == what


def test_normalisation_that_the_network_would_leave_out_is_refused(tmp_path):
    what, _ = weights(tmp_path, zeros(batch_norm=True), width=1 / 16)
    assert what == "conv1_1_norm.weight is there, but the network does not have it"


def test_the_hint_names_the_settings_that_would_fit():
    def hint(**networks):
        return weights_problem(Networks(**networks)).hint

    assert hint(weights="IMAGENET1K_FEATURES", width=0.125) == "set networks.width: 1"
    both = "set networks.width: 1 and networks.batch_norm: false"
    assert hint(weights="IMAGENET1K_V1", width=0.125, batch_norm=True) == both
    assert "or a .npz, .pth" in hint(weights="IMAGENET1K_V9")
    assert weights_problem(Networks(weights="IMAGENET1K_V2", backbone="resnet50")) is None


def test_weights_of_the_other_backbone_are_recognised(tmp_path):
    path = tmp_path / "w.safetensors"
    header = {
        name: {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]}
        for name, shape in LAYOUTS["resnet50"].shapes(1, False).items()
    }
    end = 0
    for entry in header.values():
        start, end = end, end + 4 * int(np.prod(entry["shape"]))
        entry["data_offsets"] = [start, end]
    text = json.dumps(header).encode()
    with path.open("wb") as file:  # a header, and a hole where the numbers would be
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end)
    assert weights_problem(Networks(weights=str(path))).hint == "set networks.backbone: resnet50"


def test_unreadable_weights_are_refused(tmp_path):
    def refused(name, content):
        (tmp_path / name).write_bytes(content)
        return weights_problem(Networks(weights=str(tmp_path / name))).what

    assert "not weights" in refused("a.npz", b"")
    assert "not weights" in refused("b.npz", b"<html>")
    assert "not weights" in refused("a.safetensors", b"x" * 9)
    with zipfile.ZipFile(tmp_path / "c.npz", "w") as archive:
        archive.writestr("x.npy", b"no array")
    assert "not weights" in refused("c.npz", (tmp_path / "c.npz").read_bytes())
    np.savez(tmp_path / "d.npz", x=np.array([{}], dtype=object))
    assert "x.npy holds pickled objects" in refused("d.npz", (tmp_path / "d.npz").read_bytes())
    (tmp_path / "e.pth").write_bytes(b"?")
    assert weights_problem(Networks(weights=str(tmp_path / "e.pth"))) is None


def test_a_run_with_such_weights_does_not_start(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("w.npz", **zeros())
    config = {"networks": {"weights": "w.npz", "width": 1 / 16}}
    Plan(config).check_files()
    config["variants"] = {"a": {"networks": {"width": 1}}, "b": {"networks": {"weights": "x"}}}
    with pytest.raises(AepslError) as refused:
        Plan(config).check_files()
    assert [problem.where for problem in refused.value.problems] == ["w.npz", "x"]


def test_the_plan_imports_neither_torch_nor_opencv():
    code = "import sys, aepsl.workflow.plan; print({'torch', 'cv2'} & set(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout == "set()\n"
