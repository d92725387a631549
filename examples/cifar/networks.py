"""The networks of the paper's Table 4: ResNet, ResNet with stochastic depth, DenseNet.

Written from the papers: He et al., arXiv 1512.03385; Huang et al., arXiv 1603.09382 and
arXiv 1608.06993.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

# PyTorch's default: new statistics have a weight of a tenth.
BN_MOMENTUM = 0.1


class Block(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut without parameters.

    Attributes:
        survival: Probability in (0, 1] that an update uses the convolutions. In evaluation they
            are always used, with this weight.
    """

    def __init__(
        self, before: int, channels: int, stride: int, survival: float, momentum: float
    ) -> None:
        super().__init__()
        self.survival, self.stride, self.added = survival, stride, channels - before
        self.branch = nn.Sequential(
            nn.Conv2d(before, channels, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(channels, momentum=momentum),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels, momentum=momentum),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Shape (n, channels, height / stride, width / stride)."""
        shortcut = x[:, :, :: self.stride, :: self.stride]
        if self.added:
            shortcut = pad(shortcut, (0, 0, 0, 0, 0, self.added))
        if not self.training:
            return torch.relu(shortcut + self.survival * self.branch(x))
        if self.survival < 1.0 and float(torch.rand(())) >= self.survival:
            return torch.relu(shortcut)
        return torch.relu(shortcut + self.branch(x))


class ResNet(nn.Module):
    """The form for CIFAR: three stages of 16, 32 and 64 channels.

    Args:
        classes: Number of classes.
        depth: Layers, 6 n + 2.
        last_survival: Survival of the last block; that of the others falls towards it in equal
            steps (stochastic depth). 1 means no stochastic depth.
        bn_momentum: Weight of the new batch in BatchNorm's running statistics
            (1 - Caffe's moving_average_fraction).
    """

    def __init__(
        self,
        classes: int,
        depth: int,
        last_survival: float = 1.0,
        bn_momentum: float = BN_MOMENTUM,
    ) -> None:
        super().__init__()
        count = (depth - 2) // 6
        self.first = nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1, bias=False),
            nn.BatchNorm2d(16, momentum=bn_momentum),
            nn.ReLU(),
        )
        blocks, before = [], 16
        for i in range(3 * count):
            stage, place = divmod(i, count)
            channels, stride = 16 * 2**stage, 2 if stage and not place else 1
            survival = 1.0 - (i + 1) / (3 * count) * (1.0 - last_survival)
            blocks.append(Block(before, channels, stride, survival, bn_momentum))
            before = channels
        self.blocks = nn.Sequential(*blocks)
        self.fc = nn.Linear(before, classes)
        _initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Scores of the classes, shape (n, classes)."""
        return self.fc(self.blocks(self.first(x)).mean((2, 3)))  # type: ignore[no-any-return]


class Dense(nn.Module):
    """A layer that adds `growth` channels to its input."""

    def __init__(self, before: int, growth: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.BatchNorm2d(before),
            nn.ReLU(),
            nn.Conv2d(before, growth, 3, padding=1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Shape (n, channels + growth, height, width)."""
        return torch.cat([x, self.branch(x)], 1)


class DenseNet(nn.Module):
    """The plain form: three dense blocks and two transitions that halve the image.

    Args:
        classes: Number of classes.
        depth: Layers, 3 n + 4.
        growth: Channels that a layer adds.
    """

    def __init__(self, classes: int, depth: int = 40, growth: int = 12) -> None:
        super().__init__()
        channels = 16
        layers: list[nn.Module] = [nn.Conv2d(3, channels, 3, padding=1, bias=False)]
        for block in range(3):
            if block:
                layers += [nn.BatchNorm2d(channels), nn.ReLU()]
                layers += [nn.Conv2d(channels, channels, 1, bias=False), nn.AvgPool2d(2)]
            for _ in range((depth - 4) // 3):
                layers.append(Dense(channels, growth))
                channels += growth
        self.features = nn.Sequential(*layers, nn.BatchNorm2d(channels), nn.ReLU())
        self.fc = nn.Linear(channels, classes)
        _initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Scores of the classes, shape (n, classes)."""
        return self.fc(self.features(x).mean((2, 3)))  # type: ignore[no-any-return]


def _initialise(net: nn.Module) -> None:
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)
