"""`PolicyLR`: a policy as a learning-rate scheduler of PyTorch.

Nothing is accumulated: rates and momenta are functions of `last_epoch`, which may be set from
outside, as `SequentialLR` and others do.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

import clrcore

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

VERSION = 1
# Values are computed for this many steps at once, always from a multiple of it on, so that a
# step's value does not depend on the way that led to it. Longer blocks make jumps slower.
BLOCK = 128


class PolicyLR(LRScheduler):
    """Sets the rates of an optimizer's parameter groups, update by update, from a policy.

    optimizer: any torch.optim.Optimizer.
    policy: one policy of clrcore for all groups, or a list of them, one per group.
    momentum: None leaves momentum alone. A pair (base, max) moves it against the rate,
        max - (max - base) h, h being the policy's height: 0 at base_lr, 1 at max_lr; a policy
        sets it as it is; a list holds one of these, or None, per group. It is the group's
        `momentum`, or the first of its `betas`; values in [0, 1).
    proportional: with one policy, keep every group's ratio to the first group's initial rate,
        and multiply by a group's `lr_scale` where it has one.
    last_epoch: -1 for a fresh run, or the number of updates already made, to go on from there.

    Call `step()` after each update of the optimizer. Rates that are tensors are filled in
    place and stay the same tensor; so is a tensor beta. A group that is added later follows
    the one policy from the next step on; with lists, another number of groups is refused.
    Raises TypeError or ValueError, naming the argument, before anything is written.

    >>> import clrcore, torch
    >>> from clr_adapters.torch import PolicyLR
    >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1)
    >>> scheduler = PolicyLR(optimizer, clrcore.triangular(0.001, 0.006, step_size=2))
    >>> for _ in range(3):
    ...     optimizer.step(); scheduler.step()
    >>> scheduler.get_last_lr()
    [0.0035]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        policy: clrcore.Policy | Sequence[clrcore.Policy],
        *,
        momentum: Any = None,
        proportional: bool = False,
        last_epoch: int = -1,
    ) -> None:
        if not isinstance(optimizer, Optimizer):
            _refuse(TypeError, "optimizer", "a torch.optim.Optimizer", optimizer)
        groups = optimizer.param_groups
        if not isinstance(proportional, bool):
            _refuse(TypeError, "proportional", "True or False", proportional)
        _integer("last_epoch", last_epoch, -1)
        policies = _policies(policy, len(groups))
        self._one_policy = isinstance(policy, clrcore.Policy)
        if proportional and not self._one_policy:
            raise ValueError("proportional=True needs one policy, got a list of policies")
        self._one_momentum = not isinstance(momentum, list) and self._one_policy
        momenta = _momenta(momentum, policies, len(groups))
        _check_groups(groups, momenta)
        self._proportional = proportional
        self._initial = _initial_rates(groups) if proportional else None
        self._policies, self._momenta = policies, momenta
        self._start: int
        self._alike: list[float] | None
        self._rate_blocks: list[list[float]]
        self._momentum_blocks: list[list[float] | None]
        self._forget_block()
        _make_wrappable(optimizer)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        """The rates at `last_epoch`, of the types of the groups' own; changes nothing."""
        groups = self.optimizer.param_groups
        rates, _ = self._values(max(0, self.last_epoch))
        return [_like(group["lr"], rate) for group, rate in zip(groups, rates, strict=True)]

    def get_last_lr(self) -> list[Any]:
        """The rates that the groups hold now, in a list of its own."""
        return [
            lr.clone() if isinstance(lr := group["lr"], torch.Tensor) else lr
            for group in self.optimizer.param_groups
        ]

    def step(self, epoch: int | None = None) -> None:
        """Count one update and set the rates of the next one; `epoch` goes to that step."""
        if self._step_count == 1:
            self._warn_of_order()
        self._step_count += 1
        self._update_lr(epoch)

    def jump(self, step: int) -> None:
        """Set the rates that come after `step` updates, an integer >= 0, at once."""
        self._go(_integer("step", step, 0))

    def state_dict(self) -> dict[str, Any]:
        """The state as plain numbers: `version`, `last_epoch` and the number of groups.

        Policies are code and stay where the scheduler is made.
        """
        return {
            "version": VERSION,
            "last_epoch": self.last_epoch,
            "groups": len(self.optimizer.param_groups),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go to a state that `state_dict` described, and set its rates.

        The optimizer's own state may be loaded before or after. Raises TypeError or ValueError
        for what is not such a state; a refused one changes nothing.
        """
        expected = self.state_dict()
        if not isinstance(state_dict, dict):
            _refuse(TypeError, "state_dict", "a dictionary", state_dict)
        if set(state_dict) != set(expected):
            raise ValueError(
                f"state_dict must have the keys {sorted(expected)}, got {sorted(state_dict)}: is "
                "it the state of another scheduler?"
            )
        if state_dict["version"] != VERSION:
            _refuse(ValueError, "state_dict['version']", str(VERSION), state_dict["version"])
        last_epoch = _integer("state_dict['last_epoch']", state_dict["last_epoch"], 0)
        if state_dict["groups"] != expected["groups"]:
            raise ValueError(
                f"state_dict is of {state_dict['groups']!r} parameter groups, but the optimizer "
                f"has {expected['groups']}"
            )
        self._go(last_epoch)

    @property
    def _last_lr(self) -> list[Any]:  # type: ignore[override]
        # The base class stores this list; made when asked for, it costs a step nothing.
        return self.get_last_lr()

    def _get_closed_form_lr(self) -> list[Any]:
        return self.get_lr()

    def _update_lr(self, epoch: int | None = None) -> None:
        self._go(self.last_epoch + 1 if epoch is None else epoch)

    def _go(self, step: int) -> None:
        """Set the rates and momenta after `step` updates; all or none."""
        groups = self.optimizer.param_groups
        if len(groups) != len(self._policies):
            self._follow_groups()
        place = step - self._start
        if self._alike is not None and 0 <= place < BLOCK:
            # The common case, kept short: one rate for all, and nothing else to set.
            rate = self._alike[place]
            self.last_epoch = step
            for group in groups:
                lr = group["lr"]
                if type(lr) is float:
                    group["lr"] = rate
                elif isinstance(lr, torch.Tensor):
                    lr.fill_(rate)
                else:
                    group["lr"] = rate
            return
        rates, momenta = self._values(max(0, step))
        self.last_epoch = step
        for group, rate, momentum in zip(groups, rates, momenta, strict=True):
            lr = group["lr"]
            if isinstance(lr, torch.Tensor):
                lr.fill_(rate)
            else:
                group["lr"] = rate
            if momentum is not None:
                _set_momentum(group, momentum)

    def _values(self, step: int) -> tuple[list[float], list[float | None]]:
        """One rate and one momentum, or None, per group."""
        if not 0 <= step - self._start < BLOCK:
            self._compute_block(step)
        place = step - self._start
        rates = [block[place] for block in self._rate_blocks]
        momenta = [None if block is None else block[place] for block in self._momentum_blocks]
        if self._initial is not None:
            groups = self.optimizer.param_groups
            first = self._initial[0]
            rates = [
                rate * (own / first) * float(group.get("lr_scale", 1.0))
                for rate, own, group in zip(rates, self._initial, groups, strict=True)
            ]
        return rates, momenta

    def _compute_block(self, step: int) -> None:
        """The values of every policy for the block of steps that `step` is in."""
        start = step - step % BLOCK
        blocks = {
            policy: policy.values(start, start + BLOCK).tolist()
            for policy in {*self._policies, *self._momenta}
            if policy is not None
        }
        self._rate_blocks = [blocks[policy] for policy in self._policies]
        self._momentum_blocks = [None if m is None else blocks[m] for m in self._momenta]
        plain = self._initial is None and not any(self._momenta)
        self._alike = self._rate_blocks[0] if self._one_policy and plain else None
        self._start = start

    def _forget_block(self) -> None:
        self._start, self._alike = -BLOCK, None
        self._rate_blocks, self._momentum_blocks = [], []

    def _follow_groups(self) -> None:
        """Take in that groups were added or removed."""
        groups = self.optimizer.param_groups
        count = len(groups)
        if not self._one_policy or not self._one_momentum:
            raise ValueError(
                f"the optimizer now has {count} parameter groups, but policies or momenta were "
                f"given for {len(self._policies)}: make a new PolicyLR with one for each"
            )
        momenta = [self._momenta[0]] * count
        _check_groups(groups, momenta)
        initial = None if self._initial is None else _initial_rates(groups)
        self._policies, self._momenta = [self._policies[0]] * count, momenta
        self._initial = initial
        self._forget_block()

    def _warn_of_order(self) -> None:
        if not getattr(self.optimizer, "_opt_called", False):
            warnings.warn(
                "scheduler.step() was called before optimizer.step(), so the policy's first rate "
                "was never used; call optimizer.step() first",
                UserWarning,
                stacklevel=3,
            )


def _policies(policy: object, count: int) -> list[clrcore.Policy]:
    allowed = "a policy of clrcore, or a list of them, one per parameter group"
    if isinstance(policy, clrcore.Policy):
        return [policy] * count
    if not isinstance(policy, list | tuple):
        _refuse(TypeError, "policy", allowed, policy)
    if len(policy) != count:
        _refuse(ValueError, "policy", f"{allowed}: {count} of them", policy)
    for i, one in enumerate(policy):
        if not isinstance(one, clrcore.Policy):
            _refuse(TypeError, f"policy[{i}]", "a policy of clrcore", one)
    return list(policy)


def _momenta(
    momentum: object, policies: Sequence[clrcore.Policy], count: int
) -> list[_Momentum | None]:
    """One policy of momentum, or None, per group."""
    if isinstance(momentum, list):
        if len(momentum) != count:
            _refuse(ValueError, "momentum", f"a list of {count}, one per group", momentum)
        named = [(f"momentum[{i}]", one) for i, one in enumerate(momentum)]
        pairs = zip(named, policies, strict=True)
        return [_momentum(name, one, policy) for (name, one), policy in pairs]
    return [_momentum("momentum", momentum, policy) for policy in policies]


def _momentum(name: str, momentum: object, policy: clrcore.Policy) -> _Momentum | None:
    if momentum is None or isinstance(momentum, clrcore.Policy):
        return momentum
    if not isinstance(momentum, tuple | list) or len(momentum) != 2:
        _refuse(TypeError, name, "None, a pair (base, max), or a policy", momentum)
    low, high = (_fraction(f"{name}[{i}]", one) for i, one in enumerate(momentum))
    if low > high:
        _refuse(ValueError, name, "a pair (base, max) with base <= max", momentum)
    try:
        height = policy.height()
    except ValueError as error:
        raise ValueError(f"{name} is a pair, but {error} for it") from None
    return _Against(low, high, height)


@dataclass(frozen=True)
class _Against:
    """Momentum from `high` at the base down to `low` at the peak: it moves against the rate."""

    low: float
    high: float
    height: clrcore.Policy

    def values(self, start: int, stop: int) -> NDArray[np.float64]:
        return self.high - (self.high - self.low) * self.height.values(start, stop)


_Momentum: TypeAlias = clrcore.Policy | _Against


def _check_groups(groups: list[dict[str, Any]], momenta: Sequence[object]) -> None:
    """Refuse groups whose rate or momentum cannot be set."""
    for i, (group, momentum) in enumerate(zip(groups, momenta, strict=True)):
        lr = group["lr"]
        if isinstance(lr, torch.Tensor) and not (lr.is_floating_point() and lr.numel() == 1):
            _refuse(TypeError, f"param_groups[{i}]['lr']", "a number or a tensor of one float", lr)
        if momentum is not None and "betas" not in group and "momentum" not in group:
            raise ValueError(
                f"momentum cannot be set: param_groups[{i}] has neither betas nor momentum; leave "
                "momentum=None"
            )


def _initial_rates(groups: list[dict[str, Any]]) -> list[float]:
    rates = [float(group.get("initial_lr", group["lr"])) for group in groups]
    if not rates[0] > 0:
        _refuse(ValueError, "the first group's initial rate", "> 0 for proportional=True", rates[0])
    return rates


def _make_wrappable(optimizer: Optimizer) -> None:
    """Keep the base class from wrapping a step that has no `__func__`: compiled, partial."""
    step = optimizer.step
    if not hasattr(step, "__func__") and not hasattr(step, "_wrapped_by_lr_sched"):
        step._wrapped_by_lr_sched = True  # type: ignore[attr-defined]
        # Nothing tells whether such a step was called, so nobody is warned of the order.
        optimizer._opt_called = True  # type: ignore[attr-defined]


def _set_momentum(group: dict[str, Any], value: float) -> None:
    if "betas" in group:
        first, *others = group["betas"]
        if isinstance(first, torch.Tensor):
            first.fill_(value)
        else:
            group["betas"] = (value, *others)
    elif isinstance(group["momentum"], torch.Tensor):
        group["momentum"].fill_(value)
    else:
        group["momentum"] = value


def _like(current: Any, rate: float) -> Any:
    return torch.full_like(current, rate) if isinstance(current, torch.Tensor) else rate


def _fraction(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        _refuse(TypeError, name, "a number in [0, 1)", value)
    if not 0.0 <= value < 1.0 or not math.isfinite(value):
        _refuse(ValueError, name, "a number in [0, 1)", value)
    return float(value)


def _integer(name: str, value: object, low: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        _refuse(TypeError, name, f"an integer >= {low}", value)
    if value < low:
        _refuse(ValueError, name, f"an integer >= {low}", value)
    return value


def _refuse(kind: type[Exception], name: str, allowed: str, value: object) -> NoReturn:
    raise kind(f"{name} must be {allowed}, got {value!r:.200} ({type(value).__name__})")
