"""The paper's small CIFAR-10 network (Caffe's cifar10_full) and its optimizers.

Source: the network's description in Caffe's examples; only its numbers are used.
"""

from __future__ import annotations

from typing import Any

import torch
from paper.sgd import CaffeSGD
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d
from torch.optim import Optimizer

WEIGHT_DECAY = 0.004


class WithinChannelLRN(nn.Module):
    """Response normalisation over a square of pixels of the same channel.

    Output: x / (1 + alpha / size^2 sum x^2)^beta. The sum runs over the size x size pixels around
    each pixel, with zeros beyond the edge; size is odd.
    """

    def __init__(self, size: int, alpha: float, beta: float) -> None:
        super().__init__()
        self.size, self.alpha, self.beta = size, alpha, beta

    def forward(self, x: Tensor) -> Tensor:
        """Keeps the shape (n, channels, height, width)."""
        mean = avg_pool2d(x * x, self.size, stride=1, padding=self.size // 2)
        return x * (1.0 + self.alpha * mean) ** -self.beta


class CaffeNet(nn.Module):
    """Three 5 x 5 convolutions of 32, 32 and 64 channels with pooling, and a linear layer.

    Inputs are pixels from 0 to 255 less the mean image, shape (n, 3, 32, 32), because the paper's
    rates belong to that scale.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv1 = _convolution(3, 32, std=0.0001)
        self.conv2 = _convolution(32, 32, std=0.01)
        self.conv3 = _convolution(32, 64, std=0.01)
        self.fc = nn.Linear(64 * 4 * 4, classes)
        nn.init.normal_(self.fc.weight, std=0.01)
        nn.init.zeros_(self.fc.bias)
        self.largest = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.mean = nn.AvgPool2d(3, stride=2, ceil_mode=True)
        self.norm = WithinChannelLRN(3, alpha=5e-5, beta=0.75)

    def forward(self, x: Tensor) -> Tensor:
        """Scores of the classes, shape (n, classes)."""
        x = self.norm(self.largest(self.conv1(x)).relu())
        x = self.norm(self.mean(self.conv2(x).relu()))
        x = self.mean(self.conv3(x).relu())
        return self.fc(x.flatten(1))  # type: ignore[no-any-return]


def _convolution(channels_in: int, channels_out: int, std: float) -> nn.Conv2d:
    layer = nn.Conv2d(channels_in, channels_out, 5, padding=2)
    nn.init.normal_(layer.weight, std=std)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


def parameter_groups(net: nn.Module) -> list[dict[str, Any]]:
    """The parameter groups of CaffeNet; their rates keep their ratio to the first group's.

    Biases learn at twice the rate, except conv3's. The last layer's weights decay 250 times as
    much as the others, and its bias does not decay.
    """
    assert isinstance(net, CaffeNet)
    weights = [net.conv1.weight, net.conv2.weight, net.conv3.weight, net.conv3.bias]
    return [
        {"params": weights, "lr": 1.0, "weight_decay": WEIGHT_DECAY},
        {"params": [net.conv1.bias, net.conv2.bias], "lr": 2.0, "weight_decay": WEIGHT_DECAY},
        {"params": [net.fc.weight], "lr": 1.0, "weight_decay": 250 * WEIGHT_DECAY},
        {"params": [net.fc.bias], "lr": 2.0, "weight_decay": 0.0},
    ]


def sgd(net: nn.Module) -> Optimizer:
    """Caffe's SGD with its multipliers in the groups; a policy sets the rates."""
    return CaffeSGD(parameter_groups(net), lr=1.0)


def adam(net: nn.Module) -> Optimizer:
    """Adam on the same groups; weight decay adds to the gradient, as in Caffe."""
    return torch.optim.Adam(parameter_groups(net), lr=1.0)
