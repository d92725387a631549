"""Images on the device: pixels scaled for a network, batches, and accuracy.

Randomness depends on the seed and the number of the update only, so a resumed run equals an
uninterrupted run.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from paper.errors import DataError
from torch import Tensor, nn

from .data import Part

# The first number of each seed, so that no two generators share their numbers.
ORDER, CROPS = 1, 2
PADDING = 4
CHUNK = 500


class Pixels(NamedTuple):
    """How pixels from 0 to 255 become inputs: (pixel - shift) / scale."""

    shift: Tensor
    scale: Tensor


def minus_mean_image(part: Part) -> Pixels:
    """Caffe's way: subtract the mean image and keep the scale of 255."""
    mean = part.images.mean(axis=0, dtype=np.float64)
    return Pixels(torch.from_numpy(mean).float(), torch.ones(()))


def standardised(part: Part) -> Pixels:
    """The way of residual networks: mean 0 and standard deviation 1 in each colour."""
    spread, mean = torch.std_mean(torch.from_numpy(part.images).float(), dim=(0, 2, 3))
    if not spread.all():
        raise DataError("the training images have one value only in a colour: nothing to learn")
    return Pixels(mean.reshape(3, 1, 1), spread.reshape(3, 1, 1))


class Images:
    """Images and classes on a device; indexing gives inputs and labels."""

    def __init__(self, part: Part, pixels: Pixels, device: torch.device) -> None:
        self._images = torch.from_numpy(part.images).to(device)
        self._labels = torch.from_numpy(part.labels).to(device)
        self._pixels = Pixels(pixels.shift.to(device), pixels.scale.to(device))
        self.device = device

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, rows: Tensor | slice) -> tuple[Tensor, Tensor]:
        inputs = (self._images[rows].float() - self._pixels.shift) / self._pixels.scale
        return inputs, self._labels[rows]

    def chunks(self) -> list[slice]:
        """Slices of all rows, in order, small enough for a network."""
        return [slice(start, start + CHUNK) for start in range(0, len(self), CHUNK)]


class Batches:
    """The batches of a training: the batch of update t depends on t alone.

    Each epoch has its own order and skips an incomplete last batch. Iterating gives an epoch in
    an order from torch's random state, for a range test.
    """

    def __init__(self, images: Images, size: int, seed: int, augment: bool) -> None:
        if len(images) < size:
            raise DataError(
                f"the plan trains with batches of {size}, but there are only {len(images)} "
                "training images"
            )
        self._images, self._size, self._seed, self._augment = images, size, seed, augment
        self._epoch, self._order = -1, torch.empty(0)

    def __len__(self) -> int:
        return len(self._images) // self._size

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.randperm(len(self._images)).to(self._images.device)
        for place in range(len(self)):
            yield self._batch(order, place, int(torch.randint(2**31, ())))

    def at(self, step: int) -> tuple[Tensor, Tensor]:
        """The inputs and labels of update number `step`, counted from 0."""
        epoch, place = divmod(step, len(self))
        if epoch != self._epoch:
            order = np.random.default_rng((ORDER, self._seed, epoch)).permutation(len(self._images))
            self._epoch, self._order = epoch, torch.from_numpy(order).to(self._images.device)
        return self._batch(self._order, place, step)

    def _batch(self, order: Tensor, place: int, step: int) -> tuple[Tensor, Tensor]:
        rows = order[place * self._size : (place + 1) * self._size]
        inputs, labels = self._images[rows]
        if self._augment:
            inputs = augmented(inputs, np.random.default_rng((CROPS, self._seed, step)))
        return inputs, labels


def augmented(inputs: Tensor, rng: np.random.Generator) -> Tensor:
    """Shift each image by up to 4 pixels, pad with zeros, and mirror half of them.

    inputs: shape (n, 3, height, width); returns the same shape.
    """
    count, _, height, width = inputs.shape
    down, right = torch.from_numpy(rng.integers(2 * PADDING + 1, size=(2, count, 1)))
    mirrored = torch.from_numpy(rng.integers(2, size=(count, 1))).bool()
    across = torch.arange(width)
    columns = torch.where(mirrored, across.flip(0), across) + right
    rows = torch.arange(height) + down
    padded = nn.functional.pad(inputs, (PADDING,) * 4)
    image = torch.arange(count, device=inputs.device)[:, None, None]
    rows, columns = rows.to(inputs.device), columns.to(inputs.device)
    picked = padded[image, :, rows[:, :, None], columns[:, None, :]]
    return picked.permute(0, 3, 1, 2).contiguous()


@torch.no_grad()
def probabilities(net: nn.Module, images: Images) -> Tensor:
    """The network's output in evaluation mode: shape (n, classes), rows sum to 1."""
    training = net.training
    net.eval()
    outputs = [net(images[chunk][0]).softmax(1) for chunk in images.chunks()]
    net.train(training)
    return torch.cat(outputs)


def accuracy(predicted: Tensor, images: Images) -> float:
    """The fraction of images whose class has the largest probability."""
    labels = torch.cat([images[chunk][1] for chunk in images.chunks()])
    return float((predicted.argmax(1) == labels).double().mean())
