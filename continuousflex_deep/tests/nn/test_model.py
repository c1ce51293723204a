"""The network as published, its own head, and torchvision beside a CPU-only torch."""

import subprocess
import sys
from typing import get_args, get_type_hints

import pytest
import torch
from torch import nn

from continuousflex_deep.errors import InputError
from continuousflex_deep.nn.model import BACKBONES, HEADS, PoseNetwork
from continuousflex_deep.options import TrainOptions


def test_it_is_the_published_network():
    network = PoseNetwork("resnet34", 3, dropout=0.5)
    assert network.resnet.conv1.in_channels == 1
    assert isinstance(network.head, nn.Sequential)
    convolutions = [m for m in network.resnet.modules() if isinstance(m, nn.Conv2d) and m.kernel_size != (1, 1)]
    assert len(convolutions) == 33, "34 layers with weights are 33 convolutions and the last linear one"
    linear = [network.resnet.fc, *(m for m in network.head if isinstance(m, nn.Linear))]
    assert [m.out_features for m in linear] == [1000, 512, 128, 3]
    assert [m.p for m in network.head if isinstance(m, nn.Dropout)] == [0.5] * 3
    assert sum(isinstance(m, nn.ReLU) for m in network.head) == 3
    assert isinstance(network.head[-1], nn.Linear), "the last layer is linear, so outputs are not bounded"


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("box_px", [32, 45, 48, 64, 100])
def test_any_box(box_px, head):
    network = PoseNetwork("resnet18", 5, 3, head, box_px).eval()
    with torch.inference_mode():
        assert network(torch.randn(2, 1, box_px, box_px)).shape == (2, 8)


def test_linear_head_tells_the_halves_of_the_image_apart():
    """Two blobs that change places, each seen by the same filters: without padding's edges the mean over the map could
    not tell; a layer that sees each place can be asked for the difference of two of them."""
    torch.manual_seed(0)
    network = PoseNetwork("resnet18", 1, head="linear", box_px=64).eval()
    maps = network.resnet(torch.zeros(1, 1, 64, 64)).shape[1] // 4
    with torch.no_grad():  # what the left half shows minus what the right half shows, summed over features
        network.head.weight.copy_(torch.tensor([1.0, -1.0, 1.0, -1.0]).repeat(maps)[None])
        network.head.bias.zero_()
        images = torch.zeros(2, 1, 64, 64)
        images[0, 0, 24:40, 8:24] = images[1, 0, 24:40, 40:56] = 1
        left, right = network(images).flatten()
    assert left * right < 0, (left, right)


def test_doubts_do_not_change_what_is_predicted():
    """They read the features and send nothing back: neither outputs nor gradients of the rest depend on them."""
    torch.manual_seed(0)
    network = PoseNetwork("resnet18", 4, 2, "linear", 32).eval()
    images = torch.randn(3, 1, 32, 32)
    outputs = network(images)
    assert torch.equal(outputs[:, 4:], network.doubt[-1].bias.expand(3, 2)), "alike for all images at first"
    with torch.no_grad():
        network.doubt[-1].weight.fill_(0.1)  # at first nothing could pass anyway
    network(images)[:, 4:].sum().backward()
    rest = (*network.resnet.parameters(), *network.head.parameters())
    assert not any(p.grad is not None and p.grad.any() for p in rest)
    assert network.doubt[-1].weight.grad.abs().max() > 0
    with torch.no_grad():
        network.doubt[-1].weight.add_(1.0)
        changed = network(images)
    assert torch.equal(changed[:, :4], outputs[:, :4])
    assert (changed[:, 4:] - outputs[:, 4:]).abs().max() > 1e-3


def test_last_layers_are_in_full_precision():
    """In bfloat16 an output near 1 would be a multiple of 1/256."""
    torch.manual_seed(0)
    network = PoseNetwork("resnet18", 64, head="linear", box_px=32).eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        outputs = network(torch.randn(4, 1, 32, 32))
    assert outputs.dtype == torch.float32
    assert not torch.equal(outputs, outputs.bfloat16().float())


@pytest.mark.parametrize(("changes", "words"), [({"backbone": "vgg"}, "resnet18"), ({"head": "deep"}, "perceptron")])
def test_unknown_parts_are_refused(changes, words):
    with pytest.raises(InputError, match=f"expected one of {words}"):
        PoseNetwork(**{"backbone": "resnet18", "outputs": 3, **changes})


def test_backbones_are_those_of_the_options():
    assert set(get_args(get_type_hints(TrainOptions)["backbone"])) == set(BACKBONES)


def test_import_in_a_fresh_process():
    """Beside a CPU-only torch the plain import fails: operator torchvision::nms does not exist. Ours works, twice."""
    code = (
        "from continuousflex_deep.nn._torchvision import resnet_models as r; r().resnet18(weights=None); r();"
        "import torchvision; print(torchvision.__version__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
