"""The network as published, and torchvision beside a CPU-only torch."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from continuousflex_deep.errors import InputError
from continuousflex_deep.nn.model import BACKBONES, PoseNetwork
from continuousflex_deep.nn.recipes import RECIPES, recipe_of
from continuousflex_deep.options import TrainOptions


def test_it_is_the_published_network():
    network = PoseNetwork("resnet34", 3, 0.5)
    assert network.resnet.conv1.in_channels == 1
    convolutions = [m for m in network.resnet.modules() if isinstance(m, nn.Conv2d) and m.kernel_size != (1, 1)]
    assert len(convolutions) == 33, "34 layers with weights are 33 convolutions and the last linear one"
    linear = [network.resnet.fc, *(m for m in network.perceptron if isinstance(m, nn.Linear))]
    assert [m.out_features for m in linear] == [1000, 512, 128, 3]
    assert [m.p for m in network.perceptron if isinstance(m, nn.Dropout)] == [0.5] * 3
    assert sum(isinstance(m, nn.ReLU) for m in network.perceptron) == 3
    assert isinstance(network.perceptron[-1], nn.Linear), "the last layer is linear, so outputs are not bounded"


@pytest.mark.parametrize("box_px", [32, 45, 64])
def test_any_box(box_px):
    network = PoseNetwork("resnet18", 5, 0.0).eval()
    with torch.inference_mode():
        assert network(torch.randn(2, 1, box_px, box_px)).shape == (2, 5)


def test_backbones_are_those_of_the_options():
    assert set(TrainOptions.__annotations__["backbone"].__args__) == set(BACKBONES)
    with pytest.raises(InputError, match="expected one of resnet18"):
        PoseNetwork("vgg", 3, 0.0)


def test_import_in_a_fresh_process():
    """Beside a CPU-only torch the plain import fails: operator torchvision::nms does not exist. Ours works, twice."""
    code = (
        "from continuousflex_deep.nn._torchvision import resnet_models as r; r().resnet18(weights=None); r();"
        "import torchvision; print(torchvision.__version__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def test_paper_recipe_to_the_letter():
    recipe = recipe_of(TrainOptions(particles="p", output="o", recipe="paper"))
    assert (recipe.epochs, recipe.batch, recipe.weight_decay, recipe.dropout) == (400, 2, 1e-5, 0.5)
    assert (recipe.rotation, recipe.sign_free, recipe.augment, recipe.decoupled) == ("quaternion", False, "off", False)
    rates = [recipe.rate(epoch * 7, 7) for epoch in (0, 79, 80, 159, 160, 399)]
    assert rates == pytest.approx([1e-5, 1e-5, 1e-6, 1e-6, 1e-7, 1e-9])


def test_default_schedule_warms_up_and_falls_to_zero():
    recipe = RECIPES["default"]
    steps = 10
    rates = [recipe.rate(s, steps) for s in range(recipe.epochs * steps)]
    assert rates[0] < 0.1 * recipe.learning_rate
    assert max(rates) == pytest.approx(recipe.learning_rate)
    assert rates[-1] < 1e-3 * recipe.learning_rate
    peak = rates.index(max(rates))
    assert sorted(rates[: peak + 1]) == rates[: peak + 1]
    assert sorted(rates[peak:], reverse=True) == rates[peak:]


def test_options_overrule_the_recipe():
    options = TrainOptions(
        particles="p", output="o", epochs=3, batch=5, learning_rate=0.5, rotation="quaternion", augment="off"
    )
    recipe = recipe_of(options)
    assert (recipe.epochs, recipe.batch, recipe.learning_rate, recipe.rotation, recipe.augment) == (
        3,
        5,
        0.5,
        "quaternion",
        "off",
    )
