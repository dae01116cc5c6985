import pytest
import torch
from torch import nn

from aepsl import host, precision
from aepsl.config.networks import Training
from aepsl.host import cpu
from aepsl.networks.models import Classifier, NetworkShape, SegmentationNetwork
from aepsl.stages import _training
from aepsl.stores.manifests import ImageEntry, ImageManifest
from aepsl.training.engine import Progress, train_one_epoch
from aepsl.training.optimizers import (
    OPTIMIZERS,
    OptimizerOptions,
    make_optimizer,
    restore_training,
    training_state,
)
from aepsl.training.schedules import poly_decay, step_decay

CPU = torch.device("cpu")
THIN = NetworkShape(width=1 / 16, fc6_dilation=1)
OPTIONS = OptimizerOptions(
    "sgd", learning_rate=0.1, new_layers_factor=10, momentum=0.9, weight_decay=0
)


@pytest.mark.parametrize(
    ("network", "heads"),
    [(Classifier, {"classify"}), (SegmentationNetwork, {"classify", "segment"})],
)
def test_new_layers_learn_faster(network, heads):
    model = network(classes=2, shape=THIN)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    slow, fast = make_optimizer(model, model.new_layers(), OPTIONS).param_groups
    assert (slow["lr"], fast["lr"]) == (0.1, 1.0)
    assert all(names[id(p)].startswith("backbone.layers.conv") for p in slow["params"])
    assert {names[id(p)].split(".")[-2] for p in fast["params"]} == {"fc6", "fc7"} | heads


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_goes_on_from_its_state_to_the_same_bits(name):
    options = OptimizerOptions(name, 0.01, 10, momentum=0.9, weight_decay=0.1)

    def fresh():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
        return model, make_optimizer(model, [model[2]], options)

    def step(model, optimizer, number):
        optimizer.zero_grad()
        model(torch.full((5, 4), float(number))).square().sum().backward()
        optimizer.step()

    whole, optimizer = fresh()
    for number in range(3):
        step(whole, optimizer, number)
        if number == 1:
            kept = {key: value.clone() for key, value in training_state(whole, optimizer).items()}
    resumed, optimizer = fresh()
    restore_training(resumed, optimizer, kept)
    step(resumed, optimizer, 2)
    for ours, theirs in zip(resumed.parameters(), whole.parameters(), strict=True):
        assert ours.equal(theirs)


def test_adamw_is_torchs_with_two_rates():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1))
    options = OptimizerOptions("adamw", 1e-4, 10, momentum=0.5, weight_decay=0.2)
    optimizer = make_optimizer(model, [model[1]], options)
    assert type(optimizer) is torch.optim.AdamW
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([1e-4, 1e-3])
    assert {group["weight_decay"] for group in optimizer.param_groups} == {0.2}


def test_step_decay():
    factors = [
        step_decay(steps_per_epoch=2, every_epochs=3, factor=0.1)(n) for n in (0, 5, 6, 11, 12)
    ]
    assert factors == pytest.approx([1, 1, 0.1, 0.1, 0.01])


def test_poly_decay():
    factors = [poly_decay(total_steps=4, power=0.5)(step) for step in (0, 1, 3, 4, 5)]
    assert factors == pytest.approx([1, 0.75**0.5, 0.5, 0, 0])


def plain_sgd(model):
    """Return gradient descent at rate 1."""
    return make_optimizer(model, [], OptimizerOptions("sgd", 1.0, 1.0, momentum=0, weight_decay=0))


@pytest.mark.parametrize(
    ("chosen", "feature"),
    [("float32", 1 + 1 / 1024), ("bfloat16", 1.0)],  # eight bits of mantissa
)
def test_precision_rounds_the_features_and_not_the_weights(chosen, feature):
    network = Classifier(classes=1, shape=NetworkShape(width=1 / 64, head="none"))
    convolution = nn.Conv2d(2, 1, 1, bias=False)
    nn.init.constant_(convolution.weight, 1.0)
    network.normalise, network.precision = nn.Identity(), chosen
    network.backbone.layers = convolution
    features = network.features(torch.tensor([1.0, 1 / 1024]).view(1, 2, 1, 1))
    assert features.dtype == torch.float32
    assert features.item() == feature
    features.sum().backward()
    assert convolution.weight.grad.ravel().tolist() == [1.0, 1 / 1024]


@pytest.mark.parametrize(
    ("maker", "flags", "pays"),
    [
        ("GenuineIntel", "avx512f avx512_bf16 amx_bf16 amx_tile", True),
        ("AuthenticAMD", "avx512f avx512_bf16", True),
        ("GenuineIntel", "avx512f avx512_bf16", False),
        ("AuthenticAMD", "avx2 avx512_vnni", False),
    ],
)
def test_auto_is_bfloat16_where_it_is_faster(tmp_path, monkeypatch, maker, flags, pays):
    (tmp_path / "cpuinfo").write_text(
        f"processor\t: 0\nvendor_id\t: {maker}\nflags\t\t: fpu {flags}\n\n" * 2
    )
    monkeypatch.setattr(precision, "cpu", lambda: cpu(tmp_path / "cpuinfo"))
    assert precision.bfloat16_pays(CPU) == pays
    with precision.mixed_precision("auto", CPU):
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype == (torch.bfloat16 if pays else torch.float32)


def test_processors_that_round_otherwise_have_other_keys(tmp_path, monkeypatch):
    keys = set()
    for maker, flags in [("AuthenticAMD", "avx512_bf16"), ("GenuineIntel", "avx512_bf16")] * 2 + [
        ("GenuineIntel", "avx512_bf16 amx_bf16"),
        ("GenuineIntel", "avx2"),
    ]:
        (tmp_path / "cpuinfo").write_text(f"vendor_id : {maker}\nflags : {flags}\n")
        found = cpu(tmp_path / "cpuinfo")
        monkeypatch.setattr(host, "cpu", lambda found=found: found)
        keys.add(" ".join(host.numerical_environment("cpu")))
    assert len(keys) == 4


def test_an_epoch_is_logged_in_words():
    row = {"epoch": 8, "loss": 0.00658123, "recall": 0.9834, "learning_rate": 0.02}
    assert _training.in_words(row) == "loss 0.00658, recall 0.983, learning rate 0.02"


def test_a_loss_that_is_no_number_ends_the_training():
    model = nn.Linear(1, 1)
    with pytest.raises(FloatingPointError, match="nan"):
        train_one_epoch(
            model,
            [{"x": torch.tensor([[float("nan")]])}],
            lambda model, batch: {"loss": model(batch["x"]).sum()},
            optimizer=plain_sgd(model),
            schedule=lambda step: 1.0,
            progress=Progress(),
            device=CPU,
            seed=0,
        )


@pytest.mark.parametrize(
    ("sides", "crop"),
    [
        ([(300, 500), (20, 30)], 256),  # the largest is larger
        ([(100, 200), (180, 160)], 188),  # 200 px, at three quarters, enlarged by 1.25: 187.5
    ],
)
def test_a_crop_is_no_larger_than_the_photographs(sides, crop):
    images = [ImageEntry(str(n), "", h, w, (0, 0, 0), "", ()) for n, (h, w) in enumerate(sides)]
    manifest = ImageManifest("train", ("cat",), (1, 2, 3), tuple(images))
    train = Training(crop=256, scale_min=0.75, scale_max=1.25)
    made = _training.augmentation_of(train, manifest, scale=0.75)
    assert (made.crop, made.fill_value) == (crop, (1, 2, 3))
