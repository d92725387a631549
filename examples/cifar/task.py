"""CIFAR on the device, as a task that can be trained."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import torch
from paper import training
from paper.ranks import ALONE
from torch import Tensor, nn

from .data import Cifar
from .images import Batches, Images, accuracy, probabilities
from .plans import CifarPlan


@dataclass(frozen=True)
class Loaded(training.Task):
    """A data set on the device, with the pixels scaled for a plan; a single process trains."""

    ranks = ALONE

    plan: CifarPlan
    device: torch.device
    data: Cifar
    train: Images
    test: Images

    @classmethod
    def of(cls, data: Cifar, plan: CifarPlan, device: torch.device) -> Loaded:
        """Move the data; shift and scale come from the training images."""
        pixels = plan.pixels(data.train)
        train, test = (Images(part, pixels, device) for part in (data.train, data.test))
        return cls(plan, device, data, train, test)

    def settings(self) -> dict[str, Any]:
        """The data."""
        return {
            "data": self.data.title,
            "train": self.data.train.fingerprint(),
            "test": self.data.test.fingerprint(),
        }

    def network(self) -> nn.Module:
        """A new network on the device."""
        return self.plan.network(self.data.classes).to(self.device)

    def batches(self, seed: int, first: int, stop: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches from update `first` on."""
        return map(Batches(self.train, self.plan.batch, seed, self.plan.augment).at, count(first))

    def tuning(self, seed: int, updates: int) -> training.Batches:
        """Nine tenths of the training images in random order; the last tenth is held out."""
        part = self.data.train
        kept = len(part.labels) * 9 // 10
        pixels = self.plan.pixels(part.rows(0, kept))
        images = Images(part.rows(0, kept), pixels, self.device)
        held_out = Images(part.rows(kept, len(part.labels)), pixels, self.device)
        batches = Batches(images, self.plan.batch, seed, self.plan.augment)
        return training.Batches(
            batches, [held_out[chunk] for chunk in held_out.chunks()], len(batches)
        )

    def accuracy(self, net: nn.Module) -> float:
        """The test accuracy."""
        return accuracy(probabilities(net, self.test), self.test)
