"""A small network for classification in NumPy, many of them in one matrix multiplication.

The members of a batch differ by seed: each has its own weights and its own data. At this
size one multiplication over all of them costs little more than one of a single network.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from clrcore.arguments import check_choice

Floats = NDArray[np.floating[Any]]
Labels = NDArray[np.int64]

SIZES = (196, 64, 64, 10)


class Activation(NamedTuple):
    """What stands between two layers; both functions write into their first argument.

    apply: takes what leaves a layer. back: takes the error, and what `apply` made of it.
    gain: the variance of a layer's initial weights times the number of its inputs.
    """

    apply: Callable[[Floats], object]
    back: Callable[[Floats, Floats], object]
    gain: int


class Network:
    """Layers with an activation between them and a softmax, for several members at once.

    sizes: units per layer, inputs first. members: number of networks.
    dtype: float32, as frameworks have it, takes half the time; float64 is for checks.
    activation: "relu" or "sigmoid". Raises TypeError or ValueError for another.

    All parameters of a member lie in one row of `parameters`, and the gradient alike in
    `gradient`, so that an optimizer needs no loop over layers.
    """

    def __init__(
        self,
        members: int,
        sizes: Sequence[int] = SIZES,
        dtype: DTypeLike = np.float32,
        activation: str = "relu",
    ) -> None:
        self._activation = ACTIVATIONS[check_choice("activation", activation, ACTIVATIONS)]
        shapes = list(pairwise(sizes))
        total = sum(inputs * outputs + outputs for inputs, outputs in shapes)
        self.parameters: Floats = np.zeros((members, total), dtype)
        self.gradient: Floats = np.zeros((members, total), dtype)
        self._layers = _views(self.parameters, shapes)
        self._slopes = _views(self.gradient, shapes)

    def initialise(self, seeds: Sequence[int]) -> None:
        """Normal initial weights, one seed per member; biases 0.

        Their variance is 2 / inputs for ReLU (He's) and 1 / inputs for the sigmoid (LeCun's).
        """
        self.parameters[...] = 0
        for member, seed in enumerate(seeds):
            rng = np.random.default_rng((seed, 1))
            for weights, _ in self._layers:
                _, inputs, outputs = weights.shape
                scale = np.sqrt(self._activation.gain / inputs)
                weights[member] = rng.standard_normal((inputs, outputs)) * scale

    def differentiate(self, images: Floats, labels: Labels) -> NDArray[np.float64]:
        """Fill `gradient`; return the mean cross-entropy of every member, in nats.

        images: shape (members, rows, inputs). labels: shape (members, rows).
        """
        activations = self._forward(images)
        log_likelihood = activations.pop()
        log_likelihood -= log_likelihood.max(axis=-1, keepdims=True)
        error = np.exp(log_likelihood)
        norm = error.sum(axis=-1, keepdims=True)
        error /= norm
        members, rows = labels.shape
        true = (np.arange(members)[:, None], np.arange(rows)[None, :], labels)
        losses = np.log(norm[..., 0]) - log_likelihood[true]
        error[true] -= 1
        error /= rows
        for (weights, _), (slope, bias_slope), entered in zip(
            self._layers[::-1], self._slopes[::-1], activations[::-1], strict=True
        ):
            np.matmul(entered.swapaxes(1, 2), error, out=slope)
            np.sum(error, axis=1, keepdims=True, out=bias_slope)
            if entered is not images:
                error = error @ weights.swapaxes(1, 2)
                self._activation.back(error, entered)
        mean: NDArray[np.float64] = losses.mean(axis=1, dtype=np.float64)
        return mean

    def accuracy(self, images: Floats, labels: Labels) -> NDArray[np.float64]:
        """The share of rows each member classifies rightly, shape (members,).

        A member whose parameters are not finite any more says 0 to everything.
        """
        right: NDArray[np.float64] = np.mean(
            self._forward(images)[-1].argmax(axis=-1) == labels, axis=1
        )
        return right

    def _forward(self, images: Floats) -> list[Floats]:
        """What enters every layer, and what leaves the last one."""
        activations = [images]
        for i, (weights, biases) in enumerate(self._layers):
            if i:
                self._activation.apply(activations[-1])
            leaving = activations[-1] @ weights
            leaving += biases
            activations.append(leaving)
        return activations


class Momentum:
    """Stochastic gradient descent with momentum and weight decay, in Caffe's form.

    g = gradient + weight_decay w; v = momentum v + lr g; w = w - v.

    The rate enters the velocity, so a change of the rate takes effect gradually; PyTorch
    multiplies the whole velocity by it instead. Weight decay applies to biases too.
    """

    def __init__(self, network: Network, momentum: float = 0.9, weight_decay: float = 5e-4):
        self._network = network
        self._momentum = momentum
        self._weight_decay = weight_decay
        self._velocity = np.zeros_like(network.parameters)
        self._scratch = np.empty_like(network.parameters)

    def update(self, lr: float | NDArray[np.float64]) -> None:
        """One update with the network's gradient.

        lr: one rate for all members, or one for each, shape (members,).
        """
        network, scratch = self._network, self._scratch
        rate = np.asarray(lr, network.parameters.dtype).reshape(-1, 1)
        np.multiply(network.parameters, self._weight_decay, out=scratch)
        scratch += network.gradient
        scratch *= rate
        self._velocity *= self._momentum
        self._velocity += scratch
        network.parameters -= self._velocity


class Adam:
    """Adam with bias correction and weight decay in the gradient, as in PyTorch's `Adam`.

    g = gradient + weight_decay w; the rate enters nothing that is remembered.
    """

    def __init__(
        self,
        network: Network,
        betas: tuple[float, float] = (0.9, 0.999),
        weight_decay: float = 5e-4,
        epsilon: float = 1e-8,
    ) -> None:
        self._network = network
        self._betas = betas
        self._weight_decay = weight_decay
        self._epsilon = epsilon
        self._made = 0
        # Without the factors 1 - beta, which come in once at the end: fewer passes over memory.
        self._first = np.zeros_like(network.parameters)
        self._second = np.zeros_like(network.parameters)
        self._scratch = np.empty_like(network.parameters)

    def update(self, lr: float | NDArray[np.float64]) -> None:
        """One update with the network's gradient.

        lr: one rate for all members, or one for each, shape (members,).
        """
        network, scratch = self._network, self._scratch
        beta1, beta2 = self._betas
        self._made += 1
        first = (1 - beta1) / (1 - beta1**self._made)
        second = ((1 - beta2) / (1 - beta2**self._made)) ** 0.5
        np.multiply(network.parameters, self._weight_decay, out=scratch)
        scratch += network.gradient
        self._first *= beta1
        self._first += scratch
        scratch *= scratch
        self._second *= beta2
        self._second += scratch
        np.sqrt(self._second, out=scratch)
        scratch += self._epsilon / second
        np.divide(self._first, scratch, out=scratch)
        rate = np.asarray(lr) * (first / second)
        scratch *= rate.astype(scratch.dtype).reshape(-1, 1)
        network.parameters -= scratch


def _relu(leaving: Floats) -> None:
    np.maximum(leaving, 0, out=leaving)


def _relu_back(error: Floats, entered: Floats) -> None:
    error *= entered > 0


def _sigmoid(leaving: Floats) -> None:
    # 1 / (1 + exp(-x)) by way of tanh, which cannot overflow.
    leaving *= 0.5
    np.tanh(leaving, out=leaving)
    leaving *= 0.5
    leaving += 0.5


def _sigmoid_back(error: Floats, entered: Floats) -> None:
    error *= entered
    error *= 1 - entered


ACTIVATIONS = {
    "relu": Activation(_relu, _relu_back, gain=2),
    "sigmoid": Activation(_sigmoid, _sigmoid_back, gain=1),
}


def _views(flat: Floats, shapes: Sequence[tuple[int, int]]) -> list[tuple[Floats, Floats]]:
    """Weights and biases of every layer as views into the rows of `flat`."""
    views = []
    start = 0

    def take(shape: tuple[int, int]) -> Floats:
        nonlocal start
        size = shape[0] * shape[1]
        view = flat[:, start : start + size].reshape(len(flat), *shape)
        start += size
        return view

    for inputs, outputs in shapes:
        views.append((take((inputs, outputs)), take((1, outputs))))
    return views
