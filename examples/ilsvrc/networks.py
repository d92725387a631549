"""torchvision's networks with their inputs, losses and optimizers."""

from __future__ import annotations

from typing import Any

import torch
from paper.sgd import CaffeSGD
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer
from torchvision import models

# Weight of each auxiliary loss of GoogLeNet, in its paper and in Caffe's file.
AUXILIARY = 0.3
# Mean and standard deviation of ImageNet's colours, as usual for torchvision's networks.
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class FromPixels(nn.Module):
    """A network behind standardised colours; its inputs are pixels from 0 to 255."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        for name, values in (("mean", MEAN), ("deviation", DEVIATION)):
            scaled = 255 * torch.tensor(values).reshape(3, 1, 1)
            self.register_buffer(name, scaled, persistent=False)

    def forward(self, pixels: Tensor) -> Any:
        """What the network returns for pixels of shape (n, 3, height, width)."""
        return self.net((pixels - self.mean) / self.deviation)


def alexnet(classes: int) -> nn.Module:
    """AlexNet as torchvision has it: that of Krizhevsky, arXiv 1404.5997."""
    return FromPixels(models.alexnet(num_classes=classes))


def googlenet(classes: int) -> nn.Module:
    """GoogLeNet as torchvision has it, with both auxiliary heads, and with Caffe's dropout."""
    return FromPixels(
        models.googlenet(
            num_classes=classes, aux_logits=True, init_weights=True, dropout=0.4, dropout_aux=0.7
        )
    )


def resnet50(classes: int) -> nn.Module:
    """ResNet-50 as torchvision has it."""
    return FromPixels(models.resnet50(num_classes=classes))


def loss(outputs: Any, labels: Tensor) -> Tensor:
    """The cross entropy; in training, GoogLeNet's auxiliary heads add theirs."""
    if isinstance(outputs, Tensor):
        return cross_entropy(outputs, labels)
    heads = (outputs.aux_logits1, outputs.aux_logits2)
    auxiliary = sum(cross_entropy(head, labels) for head in heads)
    return cross_entropy(outputs.logits, labels) + AUXILIARY * auxiliary


def caffe_sgd(net: nn.Module, weight_decay: float) -> Optimizer:
    """Caffe's SGD; biases learn at twice the rate and do not decay, as in Caffe's files."""
    named = list(net.named_parameters())
    weights = [parameter for name, parameter in named if not name.endswith("bias")]
    biases = [parameter for name, parameter in named if name.endswith("bias")]
    groups = [
        {"params": weights, "lr": 1.0, "weight_decay": weight_decay},
        {"params": biases, "lr": 2.0, "weight_decay": 0.0},
    ]
    return CaffeSGD(groups, lr=1.0)


def sgd(net: nn.Module, weight_decay: float) -> Optimizer:
    """PyTorch's SGD, as ResNet-50 is usually trained."""
    return torch.optim.SGD(net.parameters(), lr=1.0, momentum=0.9, weight_decay=weight_decay)
