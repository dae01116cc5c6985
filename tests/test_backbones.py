"""Backbones of timm and decoders of segmentation_models_pytorch: where their cells lie."""

import json
import math

import numpy as np
import pytest
import timm
import torch
import yaml
from conftest import ROOT, new_project, run_snakemake
from torch import nn
from torch.nn import functional

import aepsl
from aepsl.config.networks import Networks
from aepsl.data.images import read_mask
from aepsl.deployment.export import export
from aepsl.deployment.onnx import onnx_graph
from aepsl.deployment.segment import segment
from aepsl.errors import AepslError
from aepsl.grid import Grid
from aepsl.networks.backbones import BackboneShape, Level
from aepsl.networks.decoders import DECODERS
from aepsl.networks.grids import mirror, resample, unmirror
from aepsl.networks.layers import pad_to_multiple
from aepsl.networks.models import Classifier, NetworkShape, SegmentationNetwork
from aepsl.networks.positions import grid_of
from aepsl.networks.timm_networks import TimmBackbone, create, grids
from aepsl.segmentation.inference import MaskNetwork
from aepsl.stages._networks import build_network, licence_of
from aepsl.stores.models import save_model
from aepsl.stores.networks import load_network
from aepsl.stores.records import Store

CPU = torch.device("cpu")

KINDS = {
    "resnet18": (16, Grid(16)),
    "tf_efficientnet_lite0": (16, Grid(16, 15)),  # padded as in TensorFlow
    "convnext_atto": (16, Grid(16, 15.5)),  # patches of 4 px, then of 2 x 2 cells; the last overlap
    "mobilenetv3_small_050": (32, Grid(32)),
    "vit_tiny_patch16_224": (16, Grid(16, 7.5)),  # patches of 16 px
    "mobilevit_xxs": (16, Grid(16)),  # convolutions and attention
}
"""A network of each kind, a largest stride that it can have, and the grid of its last features."""

kinds = pytest.mark.parametrize("name", KINDS)


def backbone(name, **options):
    torch.manual_seed(0)
    return TimmBackbone(name, BackboneShape(stride=KINDS[name][0], **options)).eval()


@pytest.mark.slow
@kinds
def test_features_are_those_of_timm(name):
    """The network alone, with timm's own forward pass."""
    ours = backbone(name)
    sizes = {"dynamic_img_size": True} if name.startswith("vit_") else {}
    stride = {} if name.startswith(("mobilenetv3", "vit_")) else {"output_stride": KINDS[name][0]}
    theirs = timm.create_model(name, num_classes=0, **stride, **sizes).eval()
    theirs.load_state_dict(ours.layers.state_dict(), strict=False)
    image = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        expected = theirs.forward_intermediates(image, norm=True, intermediates_only=True)[-1]
        torch.testing.assert_close(ours(image)[-1], expected)


def grids_of(name, stride):
    """Return the grid of each of a network's features, without its weights."""
    with torch.device("meta"):
        return grids(create(name, stride=stride).eval(), side=224)


@kinds
def test_the_grid_of_each_kind(name):
    stride, grid = KINDS[name]
    assert grids_of(name, stride)[-1] == grid


def test_features_that_cannot_be_followed_are_refused():
    with pytest.raises(ValueError, match="where its features lie in the image cannot be found"):
        grid_of(torch.zeros(1, 1, 2, 2), side=4)


def test_fixed_statistics_are_those_of_evaluation_in_training_too():
    network = backbone("resnet18", fixed_norm=True)
    image = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        evaluated = network(image)[-1]
        torch.testing.assert_close(network.train()(image)[-1], evaluated)
    assert all(p.ndim > 1 for p in network.parameters())  # no scale or shift is learnt


SYMMETRIC = {
    "resnet18": (0, 1, 2, 3),
    "tf_mobilenetv3_small_minimal_100": (0, 1, 2, 3),
    "convnext_atto": (0, 1, 2),
    "vgg11": (0, 1, 2, 3, 4),
}
"""Networks whose features on such an image depend on nothing beyond it, and these levels."""


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=() if n == "convnext_atto" else pytest.mark.slow) for n in SYMMETRIC],
)
def test_a_mirrored_image_has_mirrored_features(name):
    """With kernels that are their own mirror images, cells lie where the grid says, exactly."""
    torch.manual_seed(0)
    network = TimmBackbone(name, BackboneShape(stride=None)).eval()
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            layer.weight.data.add_(layer.weight.flip(3).clone())
    image = torch.rand(1, 3, network.multiple, 16 * network.multiple)
    with torch.no_grad():
        plain = network(image)
        for number in SYMMETRIC[name]:
            grid, features = network.levels[number].grid, plain[number]
            turned = mirror(image, grid=grid)
            cells = grid.cells(turned.shape[3])
            theirs = network(pad_to_multiple(turned, network.multiple))[number][..., :cells]
            theirs = unmirror(theirs, grid=grid, columns=features.shape[3])
            middle = slice(features.shape[3] // 2 - 1, features.shape[3] // 2 + 1)
            scale = features[..., middle].std()
            difference = (features - theirs)[..., middle].abs().max() / scale
            neighbours = features[..., middle].diff(dim=3).abs().max() / scale
            assert difference < 1e-3 * neighbours, number


def test_features_that_merge_cells_lie_in_their_middle():
    patches = [Grid(4, 1.5), Grid(8, 3.5), Grid(16, 7.5), Grid(32, 15.5)]
    assert grids_of("swin_tiny_patch4_window7_224", None) == patches


def test_what_attention_shrinks_is_no_level():
    assert grids_of("pvt_v2_b0", None) == [Grid(4), Grid(8), Grid(16), Grid(32)]


def test_padding_filters_and_selected_cells_move_what_is_seen():
    assert grids_of("resnetblur18", None)[-1] == Grid(32)  # its padding is a function of its own
    assert grids_of("resnetaa34d", None)[1] == Grid(4, 1)  # the mean of two cells of 2 px
    assert grids_of("levit_128s", None)[:2] == [Grid(16), Grid(32)]  # asks for every second cell


@pytest.mark.slow
@kinds
def test_a_classifier_takes_images_of_any_size(name):
    torch.manual_seed(0)
    stride, grid = KINDS[name]
    shape = NetworkShape(backbone=f"timm/{name}", head="none", stride=stride)
    network = Classifier(classes=2, shape=shape).eval()
    assert network.grid == grid
    for size in ((1, 1), (37, 50)):
        images = torch.rand(2, 3, *size) * 255
        with torch.no_grad():
            features = network.features(images)
            single = torch.cat([network.features(image[None]) for image in images])
        assert features.shape[2:] == tuple(math.ceil(side / stride) for side in size)
        torch.testing.assert_close(features, single, rtol=1e-3, atol=1e-4)


FAST = {("resnet18", "deeplabv3plus"), ("resnet18", "fpn")}
SLOW = {("vit_tiny_patch16_224", "unet"), ("convnext_atto", "upernet")}
"""Pairs of the fast and of the slow tests; the slow ones also have every decoder on ResNet."""


def how_long(name, head):
    """Return the mark of a pair."""
    if (name, head) in FAST:
        return ()
    return pytest.mark.slow if name == "resnet18" or (name, head) in SLOW else pytest.mark.long


@pytest.mark.parametrize(
    ("name", "head"),
    [
        pytest.param(name, head, marks=how_long(name, head))
        for name in ("resnet18", "convnext_atto", "vit_tiny_patch16_224")
        for head in DECODERS
    ],
)
def test_every_decoder_on_every_kind(tmp_path, head, name):
    networks = Networks(
        backbone=f"timm/{name}", stride=KINDS[name][0], precision="float32", weights="random"
    )
    torch.manual_seed(0)
    model, facts = build_network(SegmentationNetwork, classes=3, networks=networks, head=head)
    images = torch.rand(2, 3, 37, 50) * 255
    out = model.eval()(images)
    rows, columns = model.grid.cells(37), model.grid.cells(50)
    assert out.pixels.shape == (2, 4, rows, columns)
    assert out.image.shape == (2, 3)
    assert model.grid.stride in (4, 16)
    (out.pixels.mean() + out.image.mean()).backward()
    assert all(p.grad is not None for p in model.head.parameters())
    path = tmp_path / "model.safetensors"
    save_model(path, model.state_dict(), facts | {"class_names": ["a", "b", "c"]})
    again, _ = load_network(SegmentationNetwork, path, device=CPU)
    assert again.state_dict().keys() == model.state_dict().keys()
    assert all(torch.equal(again.state_dict()[k], v) for k, v in model.state_dict().items())
    with torch.no_grad():  # another kernel than with gradients: float32's last bits differ
        one = torch.cat([again(image[None]).pixels for image in images])
        torch.testing.assert_close(one, out.pixels, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "head", "largest"),
    [
        pytest.param("tf_efficientnet_lite0", "deeplabv3plus", (160, 64), marks=pytest.mark.slow),
        pytest.param("convnext_atto", "fpn", (160, 64), marks=pytest.mark.long),
        pytest.param("vit_tiny_patch16_224", "unet", (160, 64), marks=pytest.mark.long),
        *(
            pytest.param("resnet18", head, (2000, 3000), marks=pytest.mark.long)
            for head in DECODERS
        ),
    ],
)
def test_an_onnx_graph_takes_any_size(name, head, largest):
    import onnxruntime

    torch.manual_seed(0)
    shape = NetworkShape(backbone=f"timm/{name}", head=head, stride=KINDS[name][0], scale=0.9)
    network = SegmentationNetwork(classes=3, shape=shape).eval()
    masks = MaskNetwork(network, scales=(1.0, 0.75), flip=True, threshold=0.1).eval()
    content = onnx_graph(masks).SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    for size in ((97, 131), largest, (1, 1)):
        images = torch.rand(1, 3, *size) * 255
        with torch.no_grad():
            ours = masks(images)
        _, probabilities, scores = session.run(None, {"images": images.numpy()})
        torch.testing.assert_close(
            torch.tensor(probabilities), ours.probabilities, atol=1e-3, rtol=0
        )
        torch.testing.assert_close(torch.tensor(scores), ours.scores, atol=1e-4, rtol=0)


def test_a_network_for_smaller_images_shrinks_photographs_itself():
    torch.manual_seed(0)
    network = SegmentationNetwork(classes=2, shape=NetworkShape(width=0.0625, scale=0.5)).eval()
    images = torch.rand(1, 3, 80, 128) * 255
    small = functional.interpolate(images, (40, 64), mode="bilinear", antialias=True)
    options = {"scales": (1.0,), "flip": False, "threshold": 0.1}
    with torch.no_grad():
        found = MaskNetwork(network, **options)(images)
        cells = network(small).pixels.log_softmax(1).half().float()
    expected = resample(cells, (80, 128), source=Grid(16, 0.5)).softmax(1)
    assert network.photograph_grid == Grid(16, 0.5)
    torch.testing.assert_close(found.probabilities, expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize(("head", "largest"), [("unet", (6 / (16 + 4)) ** 0.5), ("largefov", 0.06)])
def test_a_decoder_of_few_channels_starts_with_larger_weights(head, largest):
    """Glorot and Bengio's limit: with the paper's 0.01, scores of 16 channels hardly move."""
    torch.manual_seed(0)
    shape = NetworkShape(backbone="timm/resnet18", head=head, stride=None if head == "unet" else 16)
    weights = SegmentationNetwork(classes=3, shape=shape).segment.weight
    assert largest / 2 < weights.abs().max() <= largest


def test_deeplabv3plus_keeps_cells_in_place():
    """A bright square in the deep features alone comes out where it was, not stretched."""
    levels = (Level(1, Grid(4, 3)), Level(1, Grid(16, 15)))
    decoder = DECODERS["deeplabv3plus"](levels).eval()
    decoder.layers.aspp = nn.Identity()
    decoder.layers.block1 = nn.Identity()
    decoder.layers.block2 = nn.Identity()
    deep = torch.zeros(1, 1, 4, 12)
    deep[..., 7] = 1  # on pixel 16 * 7 + 15 = 127
    joined = decoder([torch.zeros(1, 1, 16, 48), deep], (64, 192))[0, 0, 0]
    assert joined.argmax() == (127 - 3) / 4
    expected = [0, 0.25, 0.5, 0.75, 1, 0.75, 0.5, 0.25, 0]
    assert joined[27:36].tolist() == pytest.approx(expected)


def test_a_stride_that_a_network_cannot_have_is_told():
    networks = Networks(backbone="timm/vit_tiny_patch16_224", stride=8)
    with pytest.raises(AepslError, match=r"largest stride is 16; set networks\.stride"):
        build_network(Classifier, classes=1, networks=networks, head="none")


def test_a_network_for_one_size_of_images_is_refused():
    networks = Networks(backbone="timm/coatnet_nano_rw_224", stride=32)
    with pytest.raises(AepslError, match="does not take images of any size"):
        build_network(Classifier, classes=1, networks=networks, head="none")


def test_a_name_that_timm_does_not_know_is_told():
    networks = Networks(backbone="timm/tf_efficientnet_lite22", stride=16)
    with pytest.raises(AepslError, match="timm has no network tf_efficientnet_lite22"):
        build_network(Classifier, classes=1, networks=networks, head="none")


def test_the_licence_of_weights_is_what_timm_says():
    networks = Networks(backbone="timm/tf_efficientnet_lite2", weights="pretrained")
    assert licence_of(networks) == "apache-2.0"
    assert licence_of(Networks(backbone="timm/tf_efficientnet_lite2")) is None
    assert licence_of(Networks(weights="IMAGENET1K_V1")) is None


def test_resampling_between_equal_grids_changes_nothing():
    maps = torch.rand(1, 2, 5, 7)
    grid = Grid(8, 3.5)
    torch.testing.assert_close(resample(maps, (5, 7), source=grid, target=grid), maps)


RUN = {
    "deeplabv3plus": "resnet18",
    "unet": "tf_efficientnet_lite0",
    "fpn": "convnext_atto",
    "linknet": "mobilenetv3_small_050",
    "segformer": "vit_tiny_patch16_224",
    "upernet": "mobilevit_xxs",
    "deeplabv3": "resnet18",
    "manet": "resnet18",
    "pspnet": "resnet18",
    "unetplusplus": "resnet18",
}
"""The network of each decoder in a whole run."""


@pytest.mark.long
def test_each_kind_and_each_decoder_runs_the_miniature(tmp_path):
    """Images to scores, as variants of one run; then each network in every form that it has."""
    assert (set(RUN), set(RUN.values())) == (set(DECODERS), set(KINDS))
    adamw = {"optimizer": "adamw"}
    variants = {
        head: {
            "networks": {"backbone": f"timm/{name}", "stride": KINDS[name][0], "width": 1},
            "mining": {"head": "none", "train": adamw},
            "segmentation": {"head": head, "train": adamw},
            "prediction": {"scales": [1, 0.75], "flip": True},
        }
        for head, name in RUN.items()
    }
    new_project(tmp_path)
    (tmp_path / "kinds.yaml").write_text(yaml.safe_dump({"variants": variants | {"truth": None}}))
    run_snakemake(tmp_path, "--configfile", str(ROOT / "tests" / "mini.yaml"), "kinds.yaml")
    run = tmp_path / "results" / "mini"
    scores = json.loads((run / "scores.json").read_text())
    scored = {row["variant"] for row in scores if row["target"] == "predictions"}
    assert scored == {"main", *RUN}
    for head in RUN:
        store = Store([run / "predictions" / head / "0.json"], kind="predictions")
        masks = {image_id: store[image_id].arrays["mask"] for image_id in store.ids()}
        agrees_in_each_form(run, head, masks, folder=tmp_path / head)


def agrees_in_each_form(run, variant, masks, *, folder):
    """Assert that a network finds the masks of its run: alone, in segment, batches and ONNX."""
    photographs = [next((run / "scenes").rglob(f"JPEGImages/{i}.*")) for i in masks]
    network = aepsl.load(run, variant=variant)
    alone = list(map(network, photographs))
    assert segment(network, photographs, folder, batch_size=1) == []
    for image_id, found in zip(masks, alone, strict=True):
        np.testing.assert_array_equal(found.mask, masks[image_id], err_msg=variant)
        written = read_mask(folder / "masks" / f"{image_id}.png")
        np.testing.assert_array_equal(written, masks[image_id], err_msg=variant)
    export(run, folder / "network.onnx", format="onnx", variant=variant, license="mit")
    in_onnx = map(aepsl.load(folder / "network.onnx"), photographs)
    for others in (network.batch(photographs), in_onnx):
        for found, other in zip(alone, others, strict=True):
            np.testing.assert_allclose(other.confidence, found.confidence, atol=2e-3)
