"""The article's network: a residual network that sees one channel, then a multilayer perceptron of 4 layers."""

from torch import Tensor, nn

from continuousflex_deep.errors import InputError
from continuousflex_deep.nn._torchvision import resnet_models

BACKBONES = ("resnet18", "resnet34", "resnet50", "resnet101")
SMALLEST_BOX_PX = 32  # the ResNet halves the image five times


class PoseNetwork(nn.Module):
    """Images (B, 1, d, d) to numbers (B, outputs).

    A torchvision ResNet (He et al., 2016) from random weights, its first convolution for one channel and its last layer
    of 1000 nodes being the first of the perceptron: 1000, 512, 128, outputs, with ReLU and dropout after each but the
    last (Hamitouche & Jonic 2022, Figure 3).
    """

    def __init__(self, backbone: str, outputs: int, dropout: float) -> None:
        super().__init__()
        if backbone not in BACKBONES:
            raise InputError(f"network: got '{backbone}', expected one of {', '.join(BACKBONES)}")
        self.resnet = getattr(resnet_models(), backbone)(weights=None)
        first = self.resnet.conv1
        self.resnet.conv1 = nn.Conv2d(1, first.out_channels, first.kernel_size, first.stride, first.padding, bias=False)
        nn.init.kaiming_normal_(self.resnet.conv1.weight, mode="fan_out", nonlinearity="relu")
        self.perceptron = nn.Sequential(
            *_hidden(dropout),
            nn.Linear(1000, 512),
            *_hidden(dropout),
            nn.Linear(512, 128),
            *_hidden(dropout),
            nn.Linear(128, outputs),
        )

    def forward(self, images: Tensor) -> Tensor:
        return self.perceptron(self.resnet(images))


def _hidden(dropout: float) -> tuple[nn.Module, nn.Module]:
    return nn.ReLU(inplace=True), nn.Dropout(dropout)
