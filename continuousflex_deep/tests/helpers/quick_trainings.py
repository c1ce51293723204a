"""Trainings in no time: of a network of the real one's kind, but with a hundredth of its weights."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch

from continuousflex_deep.nn import checkpointing, model
from continuousflex_deep.nn._torchvision import resnet_models

_WIDTHS = (8, 16, 32, 64)


def narrow_resnets() -> SimpleNamespace:
    """In place of torchvision's module of networks."""
    blocks = resnet_models()

    def narrow(weights=None):
        network = blocks.ResNet(blocks.BasicBlock, [1, 1, 1, 1])
        network.inplanes = _WIDTHS[0]
        network.conv1 = torch.nn.Conv2d(3, _WIDTHS[0], 7, 2, 3, bias=False)
        network.bn1 = torch.nn.BatchNorm2d(_WIDTHS[0])
        for number, width in enumerate(_WIDTHS, start=1):
            layer = network._make_layer(blocks.BasicBlock, width, 1, 1 if number == 1 else 2)
            setattr(network, f"layer{number}", layer)
        network.fc = torch.nn.Linear(_WIDTHS[-1], 1000)
        return network

    return SimpleNamespace(resnet18=narrow, resnet34=narrow)


@contextmanager
def quick_trainings() -> Iterator[None]:
    """Within the block, and in processes forked there, networks are narrow and curves are not drawn."""
    narrow_resnets()  # imports torchvision, which each forked process would else do
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "resnet_models", narrow_resnets)
        patch.setattr(checkpointing, "save_training", lambda path, curves: None)
        yield
