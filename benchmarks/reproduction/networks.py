"""What the reproduction trains beside the demo's network: a sigmoid network, and Adam."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from clr_adapters.cli.demo.network import Momentum, Network
from clr_adapters.cli.demo.training import Optimizer
from clrcore.arguments import check_choice

Floats = NDArray[np.floating[Any]]


class SigmoidNetwork(Network):
    """The demo's network with sigmoids between its layers, and LeCun's initial weights."""

    gain: ClassVar[float] = 1

    @staticmethod
    def activate(outputs: Floats) -> None:
        """1 / (1 + exp(-x)), computed by tanh, which cannot overflow."""
        outputs *= 0.5
        np.tanh(outputs, out=outputs)
        outputs *= 0.5
        outputs += 0.5

    @staticmethod
    def multiply_by_slope(error: Floats, activated: Floats) -> None:
        """Multiply by s (1 - s)."""
        error *= activated
        error *= 1 - activated


class Adam:
    """Adam with bias correction and weight decay in the gradient, as in PyTorch's `Adam`.

    g = gradient + weight_decay w; the moments do not depend on the rate.
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
        self._updates = 0
        self._first = np.zeros_like(network.parameters)
        self._second = np.zeros_like(network.parameters)
        self._scratch = np.empty_like(network.parameters)

    def update(self, lr: float | NDArray[np.float64]) -> None:
        """Make an update with the network's gradient.

        Args:
            lr: One rate for all members, or one for each, shape (members,).
        """
        network, scratch = self._network, self._scratch
        beta1, beta2 = self._betas
        self._updates += 1
        first = (1 - beta1) / (1 - beta1**self._updates)
        second = ((1 - beta2) / (1 - beta2**self._updates)) ** 0.5
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


NETWORKS: dict[str, type[Network]] = {"relu": Network, "sigmoid": SigmoidNetwork}
OPTIMIZERS: dict[str, type[Momentum] | type[Adam]] = {"sgd": Momentum, "adam": Adam}


@dataclass(frozen=True)
class Setup:
    """What is trained.

    Attributes:
        activation: "relu" or "sigmoid".
        optimizer: "sgd", with momentum, or "adam".
    """

    activation: str = "relu"
    optimizer: str = "sgd"

    def network(self, members: int) -> Network:
        """A network of zeros."""
        return NETWORKS[check_choice("activation", self.activation, NETWORKS)](members)

    def start(self, seeds: Sequence[int]) -> tuple[Network, Optimizer]:
        """A network with one member per seed, initialised, and its optimizer."""
        network = self.network(len(seeds))
        network.initialise(seeds)
        kind = OPTIMIZERS[check_choice("optimizer", self.optimizer, OPTIMIZERS)]
        return network, kind(network)
