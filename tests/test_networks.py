import numpy as np
import pytest
import torch
from torch import nn

from aepsl.config.networks import Networks
from aepsl.console import log
from aepsl.device import pick_device
from aepsl.errors import AepslError
from aepsl.networks.heads import LargeFov
from aepsl.networks.models import Classifier, NetworkShape, SegmentationNetwork
from aepsl.networks.pretrained import CONVENTIONS
from aepsl.networks.vgg import CONVOLUTIONS
from aepsl.stages._networks import build_network
from aepsl.stores.models import read_weights_file, torchvision_weights

THIN = NetworkShape(width=1 / 16, fc6_dilation=1)
CPU = torch.device("cpu")


def layers_until(model, name):
    layers = dict(model.backbone.layers.named_children())
    return model.backbone.layers[: list(layers).index(name) + 1]


def bgr_weights():
    """Weights as a Caffe user would hold them: conv1_1 sees blue first."""
    torch.manual_seed(1)
    own = THIN.make_backbone().layers.state_dict()
    return {name: torch.randn_like(t) * 0.1 for name, t in own.items()}


def test_the_layers_are_those_of_largefov():
    model = Classifier(classes=1, shape=NetworkShape())
    assert isinstance(model.head, LargeFov)
    features = dict([*model.backbone.layers.named_children(), *model.head.named_children()])
    assert features["fc6"].weight.shape == (1024, 512, 3, 3)
    assert features["fc6"].dilation == (12, 12)
    assert features["fc7"].weight.shape == (1024, 1024, 1, 1)
    assert [features[f"conv5_{i}"].dilation for i in (1, 2, 3)] == [(2, 2)] * 3
    # VGG-16's convolutions have 14,714,688 parameters (Simonyan & Zisserman, torchvision's docs).
    convolutions = [p for n in CONVOLUTIONS for p in features[n].parameters()]
    assert sum(p.numel() for p in convolutions) == 14_714_688


def plain_bgr_forward(weights, rgb):
    """VGG-16 up to pool3 as Caffe ran it: BGR, mean subtracted, written out by hand."""
    x = rgb.flip(1) - torch.tensor([103.939, 116.779, 123.68]).view(1, 3, 1, 1)
    for block, repeats in ((1, 2), (2, 2), (3, 3)):
        for index in range(1, repeats + 1):
            name = f"conv{block}_{index}"
            x = nn.functional.conv2d(
                x, weights[f"{name}.weight"], weights[f"{name}.bias"], padding=1
            )
            x = x.relu()
        x = nn.functional.max_pool2d(x, 3, stride=2, padding=1)
    return x


def test_bgr_weights_give_the_activations_of_a_bgr_forward():
    weights = bgr_weights()
    convention = CONVENTIONS["caffe_bgr"]
    model = Classifier(classes=2, shape=THIN, convention=convention)
    model.backbone.load(weights, bgr=True)
    images = torch.rand(2, 3, 40, 48) * 255
    upto = layers_until(model, "pool3")
    with torch.no_grad():
        ours = upto(model.normalise(images))
    torch.testing.assert_close(ours, plain_bgr_forward(weights, images), rtol=1e-4, atol=1e-4)


@pytest.mark.real_data
def test_the_shared_weights_give_the_activations_of_a_bgr_forward(shared_data):
    path = shared_data / "weights" / "vgg16_imagenet_conv_caffe_bgr.npz"
    networks = Networks(weights=str(path), weights_input="caffe_bgr")
    model, _ = build_network(Classifier, classes=2, networks=networks, head="largefov")
    images = torch.rand(1, 3, 64, 80) * 255
    upto = layers_until(model, "pool3")
    with torch.no_grad():
        ours = upto(model.normalise(images))
        theirs = plain_bgr_forward(read_weights_file(path), images)
    assert theirs.abs().max() > 10
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-2)


@pytest.mark.slow
@pytest.mark.parametrize("batch_norm", [False, True])
def test_torchvisions_names_are_understood(batch_norm):
    from torchvision.models import vgg16, vgg16_bn

    theirs = (vgg16_bn if batch_norm else vgg16)(weights=None).features.eval()
    state = {f"features.{name}": tensor for name, tensor in theirs.state_dict().items()}
    model = Classifier(classes=1, shape=NetworkShape(batch_norm=batch_norm)).eval()
    model.backbone.load(state, bgr=False)
    image = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        expected = theirs[: 6 if batch_norm else 4](image)
        torch.testing.assert_close(layers_until(model, "conv1_2_relu")(image), expected)


def test_weights_that_do_not_fit_are_refused(tmp_path):
    path = tmp_path / "vgg.npz"

    def classifier(**options):
        networks = Networks(weights=str(path), **options)
        return build_network(Classifier, classes=2, networks=networks, head="largefov")

    np.savez(path, **{name: tensor.numpy() for name, tensor in bgr_weights().items()})
    with pytest.raises(AepslError, match="conv1_1"):
        classifier(width=0.25)
    with pytest.raises(AepslError, match=r"the network has conv1\.weight"):
        classifier(backbone="timm/resnet18")
    model, facts = classifier(width=1 / 16)
    assert facts["input"]["scale"] == CONVENTIONS["torchvision"].scale
    np.savez(path, conv1_1=np.zeros(3))
    with pytest.raises(AepslError, match="no weights for conv1_1"):
        classifier()
    assert isinstance(model, Classifier)


@pytest.mark.parametrize(("backbone", "convolutions"), [("vgg16", 4), ("timm/resnet18", 5)])
def test_frozen_blocks_do_not_learn(backbone, convolutions):
    # ResNet-18's stem has one convolution, its first stage four
    width = 1 / 16 if backbone == "vgg16" else 1
    networks = Networks(backbone=backbone, width=width, frozen_blocks=2)
    model, _ = build_network(Classifier, classes=2, networks=networks, head="largefov")
    layers = [m for m in model.backbone.modules() if isinstance(m, nn.Conv2d)]
    frozen = [layer for layer in layers if not layer.weight.requires_grad]
    assert frozen == layers[:convolutions]


@pytest.mark.slow
@pytest.mark.parametrize("names", [("classifier.0", "classifier.3"), ("fc6", "fc7")])
def test_imagenets_fc6_and_fc7_are_subsampled(names):
    model = SegmentationNetwork(classes=2, shape=NetworkShape())
    tensors = {n: torch.zeros_like(t) for n, t in model.backbone.layers.state_dict().items()}
    shape = (4096, 512 * 7 * 7) if names[0] == "classifier.0" else (4096, 512, 7, 7)
    channel = torch.arange(4096.0)
    sixth = (channel[:, None, None] * 100 + torch.arange(49.0).view(1, 1, 49)).expand(4096, 512, 49)
    seventh = channel[:, None] * 5000 + channel
    tensors |= {f"{names[0]}.weight": sixth.reshape(shape), f"{names[0]}.bias": channel}
    tensors |= {f"{names[1]}.weight": seventh, f"{names[1]}.bias": channel + 1}
    model.load(tensors, bgr=False)
    fc6, fc7 = model.head.fc6, model.head.fc7
    # channel 3 of ours is 12 of VGG's; places 0, 3, 6 of each row of seven
    expected = [[1200, 1203, 1206], [1221, 1224, 1227], [1242, 1245, 1248]]
    assert fc6.weight[3, 77].tolist() == expected
    assert fc6.bias[3] == 12
    assert fc7.weight[2, 5, 0, 0] == 8 * 5000 + 20
    assert fc7.bias[2] == 9
    assert model.new_layers() == [model.segment, model.classify]


def test_without_fc6_the_head_is_new():
    model = SegmentationNetwork(classes=2, shape=THIN)
    model.load(bgr_weights(), bgr=True)
    assert model.new_layers() == [model.head, model.segment, model.classify]


@pytest.mark.slow
def test_fully_connected_layers_without_numbers_are_not_loaded():
    model = Classifier(classes=1, shape=NetworkShape())
    before = model.head.fc6.weight.detach().clone()
    tensors = dict(model.backbone.layers.state_dict())
    for name, shape in (("classifier.0", (4096, 25088)), ("classifier.3", (4096, 4096))):
        tensors |= {
            f"{name}.weight": torch.full(shape, torch.nan),
            f"{name}.bias": torch.zeros(4096),
        }
    model.load(tensors, bgr=False)
    assert model.head.fc6.weight.equal(before)
    assert model.new_layers() == [model.head, model.classify]


@pytest.mark.parametrize("given", [None, "", "-1", "3", "GPU-8f1"])
def test_a_gpu_that_torch_does_not_find_is_reported(monkeypatch, caplog, given):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(log, "propagate", True)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if given is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    assert pick_device("auto") == CPU
    warned = given in ("3", "GPU-8f1")
    assert (f"GPU {given} was given" in caplog.text) == warned
    assert pick_device("cpu") == CPU
    assert caplog.text.count("was given") == warned


def test_weights_that_cannot_be_downloaded_say_which_file_to_put_where(monkeypatch, tmp_path):
    def unreachable(*args, **options):
        raise OSError("no route to host")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", unreachable)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(AepslError) as caught:
        torchvision_weights("vgg16", "IMAGENET1K_V1")
    problem = caught.value.problems[0]
    assert problem.what == "could not be downloaded (no route to host)"
    assert f"/vgg16-397923af.pth elsewhere and put it into {tmp_path}/" in problem.hint
