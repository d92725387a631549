"""A small network for classification in NumPy, many of them in one matrix multiplication.

The members differ by seed: each has its own weights and its own data. At this size one
multiplication over all of them costs little more than one of a single network.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

Floats = NDArray[np.floating[Any]]
Labels = NDArray[np.int64]

SIZES = (196, 64, 64, 10)


class Network:
    """Layers with ReLU between them and a softmax, for several members at once.

    Args:
        members: Number of networks.
        sizes: Units per layer, inputs first.
        dtype: float32, as frameworks have it, takes half the time; float64 is for checks.

    Attributes:
        parameters: All parameters, one row per member, so that an optimizer needs no loop over
            layers.
        gradient: The gradient of the last batch, in the same order.
    """

    gain: ClassVar[float] = 2
    """Variance of a layer's initial weights, times the number of its inputs: He's for ReLU."""

    def __init__(
        self, members: int, sizes: Sequence[int] = SIZES, dtype: DTypeLike = np.float32
    ) -> None:
        shapes = list(pairwise(sizes))
        total = sum(inputs * outputs + outputs for inputs, outputs in shapes)
        self.parameters: Floats = np.zeros((members, total), dtype)
        self.gradient: Floats = np.zeros((members, total), dtype)
        self._layers = _layer_views(self.parameters, shapes)
        self._gradients = _layer_views(self.gradient, shapes)

    def initialise(self, seeds: Sequence[int]) -> None:
        """Normal initial weights, one seed per member; biases 0."""
        self.parameters[...] = 0
        for member, seed in enumerate(seeds):
            rng = np.random.default_rng((seed, 1))
            for weights, _ in self._layers:
                _, inputs, outputs = weights.shape
                scale = np.sqrt(self.gain / inputs)
                weights[member] = rng.standard_normal((inputs, outputs)) * scale

    @staticmethod
    def activate(outputs: Floats) -> None:
        """Apply the activation to the outputs of a layer, in place."""
        np.maximum(outputs, 0, out=outputs)

    @staticmethod
    def multiply_by_slope(error: Floats, activated: Floats) -> None:
        """Multiply the error by the activation's derivative, in place.

        Args:
            error: Derivative of the loss by the result of `activate`.
            activated: What `activate` returned.
        """
        error *= activated > 0

    def differentiate(self, images: Floats, labels: Labels) -> NDArray[np.float64]:
        """Fill `gradient`; return the mean cross-entropy of every member, in nats.

        Args:
            images: Shape (members, rows, inputs).
            labels: Shape (members, rows).
        """
        inputs = self._forward(images)
        log_likelihood = inputs.pop()
        log_likelihood -= log_likelihood.max(axis=-1, keepdims=True)
        error = np.exp(log_likelihood)
        norm = error.sum(axis=-1, keepdims=True)
        error /= norm
        members, rows = labels.shape
        true = (np.arange(members)[:, None], np.arange(rows)[None, :], labels)
        losses = np.log(norm[..., 0]) - log_likelihood[true]
        error[true] -= 1
        error /= rows
        layers = zip(self._layers, self._gradients, inputs, strict=True)
        for (weights, _), (slope, bias_slope), entered in reversed(list(layers)):
            np.matmul(entered.swapaxes(1, 2), error, out=slope)
            np.sum(error, axis=1, keepdims=True, out=bias_slope)
            if entered is not images:
                error = error @ weights.swapaxes(1, 2)
                self.multiply_by_slope(error, entered)
        mean: NDArray[np.float64] = losses.mean(axis=1, dtype=np.float64)
        return mean

    def accuracy(self, images: Floats, labels: Labels) -> NDArray[np.float64]:
        """The fraction of rows that each member classifies rightly, shape (members,).

        A member whose parameters are not finite answers 0 to everything.
        """
        answers = self._forward(images)[-1].argmax(axis=-1)
        right: NDArray[np.float64] = np.mean(answers == labels, axis=1)
        return right

    def _forward(self, images: Floats) -> list[Floats]:
        """The inputs of every layer, and the outputs of the last layer."""
        found = [images]
        for i, (weights, biases) in enumerate(self._layers):
            if i:
                self.activate(found[-1])
            outputs = found[-1] @ weights
            outputs += biases
            found.append(outputs)
        return found


class Momentum:
    """Stochastic gradient descent with momentum and weight decay, in Caffe's form.

    g = gradient + weight_decay w; v = momentum v + lr g; w = w - v.

    The rate enters the velocity, so a change of the rate takes effect gradually. PyTorch
    multiplies the whole velocity by the rate instead. Weight decay applies to biases too.
    """

    def __init__(self, network: Network, momentum: float = 0.9, weight_decay: float = 5e-4):
        self._network = network
        self._momentum = momentum
        self._weight_decay = weight_decay
        self._velocity = np.zeros_like(network.parameters)
        self._scratch = np.empty_like(network.parameters)

    def update(self, lr: float | NDArray[np.float64]) -> None:
        """Make an update with the network's gradient.

        Args:
            lr: One rate for all members, or one for each, shape (members,).
        """
        network, scratch = self._network, self._scratch
        rate = np.asarray(lr, network.parameters.dtype).reshape(-1, 1)
        np.multiply(network.parameters, self._weight_decay, out=scratch)
        scratch += network.gradient
        scratch *= rate
        self._velocity *= self._momentum
        self._velocity += scratch
        network.parameters -= self._velocity


def _layer_views(flat: Floats, shapes: Sequence[tuple[int, int]]) -> list[tuple[Floats, Floats]]:
    """Weights and biases of every layer as views into the rows of `flat`."""
    views = []
    start = 0
    for inputs, outputs in shapes:
        middle, end = start + inputs * outputs, start + (inputs + 1) * outputs
        weights = flat[:, start:middle].reshape(len(flat), inputs, outputs)
        views.append((weights, flat[:, middle:end].reshape(len(flat), 1, outputs)))
        start = end
    return views
