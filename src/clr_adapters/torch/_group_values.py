"""The values of all parameter groups at every step: arguments read, policies evaluated."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, TypeAlias, TypeVar

from torch import Tensor

import clrcore
from clrcore.arguments import check_float, check_order, policy_advice, refuse

from ._groups import Group, Values, check_groups, check_sharing, initial_rate, rate_scale

# Values are computed for this many steps at once. A block starts at a multiple of it, so the
# value of a step does not depend on the steps before. A longer block makes a jump slower.
STEPS_AT_ONCE = 512
# A policy of momentum without end or period is checked for this many steps; others in full, but
# at most ten times as far. Later steps are checked when they come.
STEPS_CHECKED = 10_000

# From this number of tensors on, entering inference mode costs less than it saves.
MANY_TENSORS = 20

T = TypeVar("T")
# A setting for all groups, or a tuple with a setting for each group.
Setting: TypeAlias = T | tuple[T, ...]
Momentum: TypeAlias = clrcore.Policy | None


def spread(setting: Setting[T], count: int) -> list[T]:
    """The setting of each of `count` groups."""
    if not isinstance(setting, tuple):
        return [setting] * count
    if len(setting) != count:
        allowed = f"an optimizer with {len(setting)} parameter groups, as many as there were"
        advice = "make a new PolicyLR with a policy or a momentum for each group"
        refuse(ValueError, "optimizer", allowed, count, advice=advice)
    return list(setting)


def read_policy(policy: object, count: int) -> Setting[clrcore.Policy]:
    """The argument `policy` of PolicyLR for `count` groups."""
    allowed = "a policy of clrcore, or a list of policies, one per parameter group"
    if isinstance(policy, clrcore.Policy):
        return policy
    if not isinstance(policy, list | tuple):
        refuse(TypeError, "policy", allowed, policy, advice=policy_advice(policy))
    if len(policy) != count:
        refuse(ValueError, "policy", f"{allowed}, {count} here", policy)
    for i, item in enumerate(policy):
        if not isinstance(item, clrcore.Policy):
            refuse(TypeError, f"policy[{i}]", "a policy of clrcore", item)
    return tuple(policy)


def read_momentum(
    momentum: object, policy: Setting[clrcore.Policy], count: int
) -> Setting[Momentum]:
    """The argument `momentum` of PolicyLR for `count` groups."""
    policies = spread(policy, count)
    if not isinstance(momentum, list):
        read = tuple(_read_momentum("momentum", momentum, policy) for policy in policies)
        return read if isinstance(policy, tuple) else read[0] if read else None
    if len(momentum) != count:
        refuse(ValueError, "momentum", f"a list of {count} items, one per group", momentum)
    pairs = zip(momentum, policies, strict=True)
    return tuple(_read_momentum(f"momentum[{i}]", *pair) for i, pair in enumerate(pairs))


def _read_momentum(name: str, momentum: object, policy: clrcore.Policy) -> Momentum:
    if isinstance(momentum, clrcore.Policy):
        end = momentum.total_steps or momentum.period or STEPS_CHECKED
        _values_below_1(name, momentum, 0, min(end, 10 * STEPS_CHECKED))
        return momentum
    if momentum is None:
        return None
    if not isinstance(momentum, tuple | list) or len(momentum) != 2:
        allowed = "None, a pair (base, max), a policy, or a list of these, one per group"
        refuse(TypeError, name, allowed, momentum)
    low, high = (
        check_float(f"{name}[{i}]", item, 0.0, 1.0, below=True) for i, item in enumerate(momentum)
    )
    check_order(f"{name}[0]", low, f"{name}[1]", high)
    try:
        return policy.opposed(low, high)
    except ValueError:
        allowed = f"a policy or None, as {policy.constructor} does not move between two bounds"
        advice = 'pass a policy: "From CyclicLR and OneCycleLR" shows how'
        refuse(ValueError, name, allowed, momentum, advice=advice)


def _values_below_1(name: str, policy: clrcore.Policy, start: int, stop: int) -> list[float]:
    values: list[float] = policy.values(start, stop).tolist()
    if (largest := max(values)) >= 1.0:
        allowed = f"a policy in [0, 1) at step {start + values.index(largest)}"
        refuse(ValueError, name, allowed, largest, advice="lower the policy's upper bound")
    return values


class GroupValues:
    """The rate and the momentum of each of some groups at every step.

    Args:
        groups: The parameter groups.
        policy: What sets the rates.
        momentum: Sets the momenta; None for constant momenta.
        reference: The initial rate that has the ratio 1, None where all ratios are 1.
    """

    def __init__(
        self,
        groups: Sequence[Group],
        policy: Setting[clrcore.Policy],
        momentum: Setting[Momentum],
        reference: float | None = None,
    ) -> None:
        self.groups, self.count, self.reference = list(groups), len(groups), reference
        # An added group comes last, so this finds most changes without comparing all groups.
        self.last = groups[-1] if groups else None
        self._policies = spread(policy, self.count)
        self._momentum_policies = spread(momentum, self.count)
        self.has_many_tensors = sum(isinstance(g.get("lr"), Tensor) for g in groups) >= MANY_TENSORS
        self.has_momenta = any(momentum is not None for momentum in self._momentum_policies)
        check_groups(groups, self._momentum_policies)
        self.ratios: list[float] | None = None
        settings: list[Any] = self._policies
        if reference is not None:
            self.ratios = [initial_rate(i, g) / reference for i, g in enumerate(groups)]
            settings = [(r, rate_scale(i, groups[i])) for i, r in enumerate(self.ratios)]
        check_sharing(groups, settings, self._momentum_policies)
        # A block of values for each group, and the blocks that all groups share, if they do.
        self.start = -STEPS_AT_ONCE
        self._rates: list[list[float]] = []
        self._momenta: list[Sequence[float | None]] = []
        self.shared_rates: list[float] = []
        self.shared_momenta: Sequence[float | None] = []

    def fits(self, groups: Sequence[Group]) -> bool:
        """Whether these are its groups."""
        return len(groups) == self.count and all(map(operator.is_, groups, self.groups))

    def first_ratio(self, groups: Sequence[Group]) -> float | None:
        """The ratio of the first of these groups, None where no ratios are kept."""
        if self.ratios is None or self.reference is None or not groups:
            return None
        # An optimizer that loads a state makes new dictionaries with the same lists of
        # parameters. Its initial rates may be those of another run; the ratio stays.
        if self.groups and groups[0]["params"] is self.groups[0]["params"]:
            return self.ratios[0]
        return initial_rate(0, groups[0]) / self.reference

    def at(self, step: int) -> list[Values]:
        """The rate and the momentum of each group."""
        if not self.start <= step < self.start + STEPS_AT_ONCE:
            self._compute(step)
        place = step - self.start
        rates = [block[place] for block in self._rates]
        if self.ratios is not None:
            for i, ratio in enumerate(self.ratios):
                rates[i] *= ratio * rate_scale(i, self.groups[i])
        return list(zip(rates, [block[place] for block in self._momenta], strict=True))

    def _compute(self, step: int) -> None:
        start = step - step % STEPS_AT_ONCE
        stop = start + STEPS_AT_ONCE
        rates = {p: p.values(start, stop).tolist() for p in set(self._policies)}
        momenta: dict[Momentum, Sequence[float | None]] = {
            p: [None] * STEPS_AT_ONCE if p is None else _values_below_1("momentum", p, start, stop)
            for p in set(self._momentum_policies)
        }
        self._rates = [rates[p] for p in self._policies]
        self._momenta = [momenta[p] for p in self._momentum_policies]
        if len(rates) == len(momenta) == 1 and self.ratios is None:
            self.shared_rates, self.shared_momenta = self._rates[0], self._momenta[0]
        self.start = start
