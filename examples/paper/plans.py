"""What a plan is: policies to compare, their network, and the number of updates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer

import clrcore

# Shares of a training that warm-up, constant and cooldown (WSD) spends on its two ends.
WARM_UP, COOLDOWN = 0.05, 0.2


@dataclass(frozen=True)
class Arm:
    """A policy and its number of updates.

    Attributes:
        optimizer: A key of the plan's `optimizers`.
        evaluations: Additional numbers of updates after which the accuracy is measured.
    """

    name: str
    policy: clrcore.Policy
    total_steps: int
    optimizer: str = "sgd"
    evaluations: tuple[int, ...] = ()


@dataclass(frozen=True)
class Claim:
    """A prediction: the mean over the plan's seeds lies between low and high, in percent.

    Attributes:
        arm: Its final test accuracy counts.
        minus: Another arm, whose accuracy is subtracted seed by seed, or None.
    """

    arm: str
    low: float
    high: float
    minus: str | None = None


@dataclass(frozen=True)
class Contrast:
    """A comparison without a verdict: an arm less the best of `others` on the test images."""

    arm: str
    others: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Arms that share a network and everything else except the policy.

    Attributes:
        network: Function of the number of classes that creates the network.
        optimizers: Functions that create the optimizer of a network.
        batch: Images in an update.
        arms: Function of the updates in an epoch and a scale in (0, 1], which shortens all
            lengths, that creates the arms.
        sweep: First and last rate of the range test.
        sweep_epochs: Its length.
        bounds: base_lr and max_lr of the cyclic arms, in the paper if it has them.
        seeds: Seeds of every arm in a claim.
        claims: Predictions for the full length.
        contrasts: Comparisons printed beside the claims.
        loss: Function of the network's outputs and the labels.
        tf32: Whether a GPU may round the inputs of convolutions to 10 bits, PyTorch's default.
    """

    name: str
    about: str
    network: Callable[[int], nn.Module]
    optimizers: Mapping[str, Callable[[nn.Module], Optimizer]]
    batch: int
    arms: Callable[[int, float], list[Arm]]
    sweep: tuple[float, float]
    sweep_epochs: int
    bounds: tuple[float, float]
    seeds: int
    claims: tuple[Claim, ...] = ()
    contrasts: tuple[Contrast, ...] = ()
    loss: Callable[[Any, Tensor], Tensor] = cross_entropy
    tf32: bool = True


def scaled(scale: float, steps: int) -> int:
    """A length of the paper, shortened to at least 1 step."""
    return max(1, round(steps * scale))


def todays_arms(max_lr: float, total_steps: int) -> list[Arm]:
    """What is usual today: linear to 0, one cycle in PyTorch's form, and WSD."""
    rising = max(2, round(WARM_UP * total_steps))
    falling = max(1, round(COOLDOWN * total_steps))
    ramp = clrcore.linear_sweep(max_lr / rising, max_lr, rising)
    steady = clrcore.chain([(ramp, rising), (clrcore.constant(max_lr), None)])
    policies = {
        "linear": clrcore.decay(max_lr, 0.0, total_steps),
        "one-cycle": clrcore.one_cycle(max_lr, total_steps),
        "wsd": clrcore.cooldown(steady, total_steps - falling, falling),
    }
    return [Arm(name, policy, total_steps) for name, policy in policies.items()]
