import math

import numpy as np
import pytest
import torch
from torch import nn

from aepsl.config import Networks
from aepsl.errors import AepslError
from aepsl.networks.heads import Classifier, SegmentationNetwork
from aepsl.networks.pretrained import (
    CONVENTIONS,
    CONVOLUTIONS,
    backbone_tensors,
    leading_blocks,
    load_backbone,
)
from aepsl.networks.vgg import LargeFovShape, largefov_features
from aepsl.stages._networks import build
from aepsl.stores.models import read_weights_file

THIN = LargeFovShape(width=1 / 16, fc6_dilation=1)


def bgr_weights(shape=THIN):
    """Weights as a Caffe user would hold them: conv1_1 sees blue first."""
    torch.manual_seed(1)
    own = largefov_features(shape).state_dict()
    return {name: torch.randn_like(t) * 0.1 for name, t in own.items() if name.startswith("conv")}


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (9, 16), (33, 65), (37, 50)])
def test_stride_is_eight(size):
    features = largefov_features(THIN)(torch.rand(1, 3, *size))
    assert features.shape == (1, 64, math.ceil(size[0] / 8), math.ceil(size[1] / 8))


def test_the_layers_are_those_of_largefov():
    features = dict(largefov_features(LargeFovShape()).named_children())
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
    model = Classifier(classes=2, shape=THIN, mean=convention.mean, scale=convention.scale)
    load_backbone(model.features, backbone_tensors(weights, bgr=True))
    images = torch.rand(2, 3, 40, 48) * 255
    layers = list(dict(model.features.named_children()))
    upto = model.features[: layers.index("pool3") + 1]
    with torch.no_grad():
        ours = upto(model.normalise(images))
    torch.testing.assert_close(ours, plain_bgr_forward(weights, images), rtol=1e-4, atol=1e-4)


@pytest.mark.real_data
def test_the_shared_weights_give_the_activations_of_a_bgr_forward(shared_data):
    path = shared_data / "weights" / "vgg16_imagenet_conv_caffe_bgr.npz"
    networks = Networks(weights=str(path), weights_input="caffe_bgr")
    model, _ = build(Classifier, classes=2, networks=networks)
    images = torch.rand(1, 3, 64, 80) * 255
    layers = list(dict(model.features.named_children()))
    upto = model.features[: layers.index("pool3") + 1]
    with torch.no_grad():
        ours = upto(model.normalise(images))
        theirs = plain_bgr_forward(read_weights_file(path), images)
    assert theirs.abs().max() > 10
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_torchvisions_names_are_understood(batch_norm):
    from torchvision.models import vgg16, vgg16_bn

    theirs = (vgg16_bn if batch_norm else vgg16)(weights=None).features.eval()
    state = {f"features.{name}": tensor for name, tensor in theirs.state_dict().items()}
    features = largefov_features(LargeFovShape(batch_norm=batch_norm)).eval()
    load_backbone(features, backbone_tensors(state, bgr=False))
    upto = features[: list(dict(features.named_children())).index("conv1_2_relu") + 1]
    image = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        expected = theirs[: 6 if batch_norm else 4](image)
        torch.testing.assert_close(upto(image), expected)


def test_weights_that_do_not_fit_are_refused(tmp_path):
    path = tmp_path / "vgg.npz"
    np.savez(path, **{name: tensor.numpy() for name, tensor in bgr_weights().items()})
    with pytest.raises(AepslError, match="conv1_1"):
        build(Classifier, classes=2, networks=Networks(weights=str(path), width=0.25))
    model, facts = build(Classifier, classes=2, networks=Networks(weights=str(path), width=1 / 16))
    assert facts["scale"] == CONVENTIONS["torchvision"].scale
    np.savez(path, conv1_1=np.zeros(3))
    with pytest.raises(AepslError, match="no weights for conv1_1"):
        build(Classifier, classes=2, networks=Networks(weights=str(path)))
    assert isinstance(model, Classifier)


def test_leading_blocks():
    layers = leading_blocks(largefov_features(THIN), 2)
    assert len([layer for layer in layers if isinstance(layer, nn.Conv2d)]) == 4
    assert leading_blocks(largefov_features(THIN), 0) == []


def test_segmentation_network_has_two_branches_on_shared_features():
    out = SegmentationNetwork(classes=3, shape=THIN)(torch.rand(2, 3, 33, 41) * 255)
    assert out.pixels.shape == (2, 4, 5, 6)
    assert out.image.shape == (2, 3)
