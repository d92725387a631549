"""What is set in every parameter group at which step: policies of rates and of momenta."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import clrcore
from clrcore.arguments import check_float, check_order, refuse

from ._groups import Group, initial_rate, rate_scale

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Values are computed for this many steps at once, always from a multiple of it on, so that a
# step's value does not depend on the way that led to it. Longer blocks make jumps slower.
BLOCK = 128
# A policy of momentum that has neither an end nor a period is checked this far ahead.
HORIZON = 10_000


@dataclass(frozen=True)
class Against:
    """Momentum from `high` at the base down to `low` at the peak: it moves against the rate."""

    low: float
    high: float
    height: clrcore.Policy

    def values(self, start: int, stop: int) -> NDArray[np.float64]:
        """The momenta of the steps start <= t < stop."""
        return self.high - (self.high - self.low) * self.height.values(start, stop)


Momentum: TypeAlias = clrcore.Policy | Against
T = TypeVar("T")


class Plan:
    """What is set in which group: a policy of rates and one of momenta, or None, for each.

    groups: those that it is for.
    ratios: factors of the rates, one per group, or None; `reference` is what they are to.

    The values of a block of steps are kept; `alike` are its rates, and `momenta_alike` its
    momenta, where all groups have the same.
    """

    def __init__(
        self,
        policies: Sequence[clrcore.Policy],
        momenta: Sequence[Momentum | None],
        groups: Sequence[Group],
        ratios: Sequence[float] | None,
        reference: float | None,
    ) -> None:
        self.policies, self.momenta = policies, momenta
        self.groups, self.ratios, self.reference = list(groups), ratios, reference
        self.count = len(policies)
        # What is added comes last, so this tells most changes without a look at all groups.
        self.last = self.groups[-1] if groups else None
        self.start = -BLOCK
        self.alike: list[float] = []
        self.momenta_alike: list[float] | None = None
        self._rates: list[list[float]] = []
        self._momenta: list[list[float] | None] = []
        # Policies that several groups have are evaluated once.
        self._policies, self._which_policy = _distinct(policies)
        self._momentum_policies, self._which_momentum = _distinct(momenta)
        one = len(self._policies) == len(self._momentum_policies) == 1
        self._one = one and ratios is None

    def fits(self, groups: Sequence[Group]) -> bool:
        """Whether these are the groups that it is for."""
        return len(groups) == self.count and all(map(operator.is_, groups, self.groups))

    def first_ratio(self, groups: Sequence[Group]) -> float | None:
        """The ratio of the first of these groups; None where none is kept."""
        if self.ratios is None or self.reference is None or not groups:
            return None
        # A group that an optimizer loads is another dictionary, for the same list of parameters.
        if self.groups and groups[0]["params"] is self.groups[0]["params"]:
            return self.ratios[0]
        return initial_rate(0, groups[0]) / self.reference

    def at(self, step: int, groups: Sequence[Group]) -> tuple[list[float], list[float | None]]:
        """One rate and one momentum, or None, per group."""
        if not 0 <= step - self.start < BLOCK:
            self._compute(step - step % BLOCK)
        place = step - self.start
        rates = [block[place] for block in self._rates]
        if self.ratios is not None:
            rates = [
                rate * ratio * rate_scale(i, group)
                for i, (rate, ratio, group) in enumerate(
                    zip(rates, self.ratios, groups, strict=True)
                )
            ]
        return rates, [None if block is None else block[place] for block in self._momenta]

    def _compute(self, start: int) -> None:
        stop = start + BLOCK
        rates = [policy.values(start, stop).tolist() for policy in self._policies]
        momenta = [
            None if policy is None else _momentum_values(policy, start, stop).tolist()
            for policy in self._momentum_policies
        ]
        self._rates = [rates[i] for i in self._which_policy]
        self._momenta = [momenta[i] for i in self._which_momentum]
        if self._one:
            self.alike, self.momenta_alike = rates[0], momenta[0]
        self.start = start


def _distinct(items: Sequence[T]) -> tuple[list[T], list[int]]:
    """The different ones among `items`, and for each item its place among them."""
    places = {item: place for place, item in enumerate(dict.fromkeys(items))}
    return list(places), [places[item] for item in items]


def read_policies(policy: object, count: int) -> list[clrcore.Policy]:
    """The argument `policy` of PolicyLR as one policy per group."""
    allowed = "a policy of clrcore, or a list of them, one per parameter group"
    if isinstance(policy, clrcore.Policy):
        return [policy] * count
    if not isinstance(policy, list | tuple):
        refuse(TypeError, "policy", allowed, policy)
    if len(policy) != count:
        refuse(ValueError, "policy", f"{allowed}: {count} of them", policy)
    for i, one in enumerate(policy):
        if not isinstance(one, clrcore.Policy):
            refuse(TypeError, f"policy[{i}]", "a policy of clrcore", one)
    return list(policy)


def read_momenta(momentum: object, policies: Sequence[clrcore.Policy]) -> list[Momentum | None]:
    """The argument `momentum` of PolicyLR as one policy of momenta, or None, per group."""
    count = len(policies)
    if not isinstance(momentum, list):
        return [_read_momentum("momentum", momentum, policy) for policy in policies]
    if len(momentum) != count:
        refuse(ValueError, "momentum", f"a list of {count}, one per group", momentum)
    return [
        _read_momentum(f"momentum[{i}]", one, policy)
        for i, (one, policy) in enumerate(zip(momentum, policies, strict=True))
    ]


def _read_momentum(name: str, momentum: object, policy: clrcore.Policy) -> Momentum | None:
    if momentum is None:
        return None
    if isinstance(momentum, clrcore.Policy):
        ahead = momentum.total_steps or momentum.period or HORIZON
        _momentum_values(momentum, 0, min(ahead, 10 * HORIZON), name)
        return momentum
    if not isinstance(momentum, tuple | list) or len(momentum) != 2:
        refuse(TypeError, name, "None, a pair (base, max), or a policy", momentum)
    low, high = (
        check_float(f"{name}[{i}]", one, 0.0, 1.0, below=True) for i, one in enumerate(momentum)
    )
    check_order(f"{name}[0]", low, f"{name}[1]", high)
    try:
        height = policy.height()
    except ValueError as error:
        raise ValueError(f"{name} is a pair, but {error} for it") from None
    return Against(low, high, height)


def _momentum_values(
    policy: Momentum, start: int, stop: int, name: str = "momentum"
) -> NDArray[np.float64]:
    """The momenta of some steps; a policy that leaves [0, 1) there is refused."""
    values = policy.values(start, stop)
    if values.max() >= 1.0:
        step = start + int(values.argmax())
        raise ValueError(
            f"{name} must be in [0, 1), but its policy gives {values.max()} at step {step}; lower "
            "the policy's upper bound"
        )
    return values
