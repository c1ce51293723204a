"""The network: a residual network with one input channel, and a head that gives outputs and their uncertainties."""

from math import ceil

import torch
from torch import Tensor, nn

from continuousflex_deep.errors import InputError
from continuousflex_deep.nn._torchvision import resnet_models

BACKBONES = ("resnet18", "resnet34", "resnet50", "resnet101")
HEADS = ("perceptron", "linear")
SMALLEST_BOX_PX = 32  # the ResNet halves the image five times
_DOUBT_NODES = 128


class PoseNetwork(nn.Module):
    """Images (B, 1, box_px, box_px) to numbers (B, outputs + doubts).

    A torchvision ResNet (He et al., 2016) with random initial weights and a first convolution for one channel. The head
    is

    * perceptron: as published, the ResNet's last layer of 1000 nodes being the first of a perceptron: 1000, 512, 128,
      outputs, with ReLU and dropout after each but the last (Hamitouche & Jonic 2022, Figure 3); or
    * linear: one layer on the whole last feature map. Poses depend on positions in the image, which the ResNet's mean
      over its last map would discard.

    `doubts` further numbers predict the uncertainties of the outputs. They use the same features, but do not change
    them in training.
    """

    def __init__(
        self,
        backbone: str,
        outputs: int,
        doubts: int = 0,
        head: str = "perceptron",
        box_px: int = 0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        for what, value, known in (("backbone", backbone, BACKBONES), ("head", head, HEADS)):
            if value not in known:
                raise InputError(f"network: got {what} '{value}', expected one of {', '.join(known)}")
        self.resnet = getattr(resnet_models(), backbone)(weights=None)
        first, channels = self.resnet.conv1, self.resnet.fc.in_features
        self.resnet.conv1 = nn.Conv2d(1, first.out_channels, first.kernel_size, first.stride, first.padding, bias=False)
        nn.init.kaiming_normal_(self.resnet.conv1.weight, mode="fan_out", nonlinearity="relu")
        self.head: nn.Module
        if head == "perceptron":
            features, layers = 1000, (nn.Linear(1000, 512), nn.Linear(512, 128), nn.Linear(128, outputs))
            self.head = nn.Sequential(*(m for layer in layers for m in (nn.ReLU(), nn.Dropout(dropout), layer)))
        else:
            features = channels * ceil(box_px / 32) ** 2
            self.resnet.avgpool, self.resnet.fc = nn.Identity(), nn.Identity()
            self.head = nn.Linear(features, outputs)
        self.doubt: nn.Module | None = None
        if doubts:
            last = nn.Linear(_DOUBT_NODES, doubts)
            nn.init.zeros_(last.weight)
            self.doubt = nn.Sequential(nn.Linear(features, _DOUBT_NODES), nn.ReLU(), last)

    def forward(self, images: Tensor) -> Tensor:
        features = self.resnet(images)
        # the last layers in full precision: an angle of a tenth of a degree is finer than bfloat16's rounding
        with torch.autocast(images.device.type, enabled=False):
            features = features.float()
            outputs = self.head(features)
            if self.doubt is None:
                return outputs
            return torch.cat([outputs, self.doubt(features.detach())], dim=1)
