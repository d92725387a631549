"""ImageNet and a network, as a task that can be trained."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from paper import training
from paper.bounds import HELD_OUT_BATCHES
from paper.errors import DataError
from paper.ranks import Ranks
from torch import Tensor, nn

from .data import HELD_OUT, Images, Order, Stream, Tree, in_turn
from .plans import ImageNetPlan, centre_crop

DTYPES = {"float32": None, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class FromFolders(training.Task):
    """An ImageFolder tree for a plan.

    Attributes:
        side: Of the crops, in pixels.
        precision: A key of DTYPES, for the forward pass.
        workers: Processes that read images, for each process that trains.
    """

    plan: ImageNetPlan
    device: torch.device
    ranks: Ranks
    tree: Tree
    side: int
    precision: str
    workers: int

    def settings(self) -> dict[str, Any]:
        """The data, and how they are computed with."""
        return {
            "train": self.tree.train.fingerprint(),
            "val": self.tree.val.fingerprint(),
            "size": self.side,
            "precision": self.precision,
        }

    def network(self) -> nn.Module:
        """A new network on the device."""
        return self.plan.network(len(self.tree.classes)).to(self.device)

    def batches(self, seed: int, first: int, stop: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of the updates first <= t < stop."""
        rows = np.arange(len(self.tree.train.paths))
        order = Order(rows, self.plan.batch, seed, first, stop, self.ranks)
        return iter(Stream(self._cropped(), order, self.workers, self.device))

    def tuning(self, seed: int, updates: int) -> training.Batches:
        """Some training images are held out: as many as are needed, at most a tenth."""
        part, own = self.tree.train, self.plan.batch // self.ranks.size
        rows = np.random.default_rng(HELD_OUT).permutation(len(part.paths))
        count = min(HELD_OUT_BATCHES * self.plan.batch, len(rows) // 10)
        share = rows[:count][self.ranks.rank :: self.ranks.size][: count // self.ranks.size]
        if not len(share):
            raise DataError(
                f"{part.folder} has {len(rows)} images: too few to hold a tenth out for each of "
                f"{self.ranks.size} processes"
            )
        order = Order(rows[count:], self.plan.batch, seed, 0, updates, self.ranks)
        centred = Images(part, centre_crop(self.side))
        return training.Batches(
            Stream(self._cropped(), order, self.workers, self.device),
            Stream(centred, in_turn(share, own), self.workers, self.device),
            order.steps_per_epoch,
        )

    @torch.no_grad()
    def accuracy(self, net: nn.Module) -> float:
        """The accuracy on the validation images, from the middle of each."""
        part = self.tree.val
        rows = np.arange(len(part.paths))[self.ranks.rank :: self.ranks.size]
        keys = in_turn(rows, self.plan.batch // self.ranks.size)
        right = torch.zeros((), dtype=torch.int64, device=self.device)
        training_mode = net.training
        net.eval()
        images = Images(part, centre_crop(self.side))
        for inputs, labels in Stream(images, keys, self.workers, self.device):
            with self.autocast():
                outputs = net(inputs)
            right += (outputs.argmax(1) == labels).sum()
        net.train(training_mode)
        return int(self.ranks.total(right)) / len(part.paths)

    def autocast(self) -> AbstractContextManager[Any]:
        """The context of a forward pass."""
        dtype = DTYPES[self.precision]
        return nullcontext() if dtype is None else torch.autocast(self.device.type, dtype)

    def _cropped(self) -> Images:
        return Images(self.tree.train, self.plan.crop(self.side))
