"""`PolicyLR`: a policy as a learning-rate scheduler of PyTorch.

Nothing is accumulated: rates and momenta are functions of `last_epoch`, which others may set, as
`SequentialLR` does.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from html import escape
from typing import Any

from torch import Tensor, inference_mode
from torch.optim import Optimizer

import clrcore
from clrcore.arguments import (
    LARGEST_COUNT,
    check_bool,
    check_float,
    check_int,
    check_optional,
    check_state,
    check_steps,
    check_type,
    hint_at,
    refuse,
)

from . import _groups
from ._group_values import GroupValues, read_momentum, read_policy, spread
from ._private import BaseScheduler, call_after_load, call_after_update, watch_step

VERSION = 1
# Updates without a step of the scheduler before it warns. A prime number: at a multiple of the
# period of another scheduler, the rates could be those of the start by chance.
UNMOVED = 307

# Arguments of PyTorch's own cyclic schedulers.
_CYCLIC = ["base_lr", "max_lr", "step_size_up", "step_size_down", "mode", "gamma", "scale_fn"]
_ONE_CYCLE = ["total_steps", "epochs", "steps_per_epoch", "pct_start", "div_factor", "three_phase"]
_MOMENTUM = ["cycle_momentum", "base_momentum", "max_momentum"]
HINTS = {
    **dict.fromkeys(_CYCLIC, "pass a policy: clrcore.triangular2(base_lr, max_lr, step_size)"),
    **dict.fromkeys(_ONE_CYCLE, "pass a policy: clrcore.one_cycle(max_lr, total_steps)"),
    **dict.fromkeys(_MOMENTUM, "use momentum=(base, max)"),
    "verbose": "leave it out; get_last_lr() returns the rates",
}


class PolicyLR(BaseScheduler):
    """Sets the rates of an optimizer's parameter groups from a policy, update by update.

    Call `step()` after each update of the optimizer. Tensor rates and tensor betas are filled in
    place and keep their precision (bfloat16 holds 128 rates between a number and its double).
    With one policy, a group that is added later follows it from the next step on, and removing a
    group changes nothing for the others; with lists, another number of groups is refused.

    Args:
        optimizer: Any torch.optim.Optimizer.
        policy: A policy for all groups, or a list with a policy for each group.
        momentum: None leaves momentum constant. A pair (base, max) moves it against the rate, as
            `policy.opposed(base, max)` does. A policy sets it. A list holds a pair, a policy or
            None for each group. It sets the group's `momentum`, or the first of its `betas`;
            values are in [0, 1).
        proportional: With one policy, keep the ratio of every group to the first group's initial
            rate (`initial_lr` where another scheduler left it), and multiply by a group's
            `lr_scale` where it has one.
        last_epoch: -1 for a fresh run, else the step of the last update, as in PyTorch's own
            schedulers: n - 1 after n updates. `jump(n)` does the same.

    Raises:
        TypeError: An argument has a wrong type. Nothing was written then.
        ValueError: An argument has a wrong value. Nothing was written then.

    Example:
        >>> import clrcore, torch
        >>> from clr_adapters.torch import PolicyLR
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1)
        >>> scheduler = PolicyLR(optimizer, clrcore.triangular(0.001, 0.006, step_size=2))
        >>> for _ in range(3):
        ...     optimizer.step(); scheduler.step()
        >>> scheduler
        PolicyLR(triangular, step=3, lr=0.0035)
    """

    _updates_at_start = 0

    @hint_at(**HINTS)
    def __init__(
        self,
        optimizer: Optimizer,
        policy: clrcore.Policy | Sequence[clrcore.Policy],
        *,
        momentum: Any = None,
        proportional: bool = False,
        last_epoch: int = -1,
    ) -> None:
        check_type("optimizer", optimizer, Optimizer, "a torch.optim.Optimizer")
        groups = optimizer.param_groups
        self._policy = read_policy(policy, len(groups))
        self._momentum = read_momentum(momentum, self._policy, len(groups))
        last_epoch = check_int("last_epoch", last_epoch, -1, LARGEST_COUNT)
        reference = None
        if check_bool("proportional", proportional):
            if isinstance(self._policy, tuple):
                refuse(ValueError, "policy", "a single policy with proportional=True", policy)
            first = _groups.initial_rate(0, groups[0])
            reference = check_float("the first group's initial rate", first, 0.0, above=True)
        self._values = GroupValues(groups, self._policy, self._momentum, reference)
        self._values.at(last_epoch + 1)  # raises before anything is written
        loaded = _groups.get_values(groups, self._values.has_momenta)
        _groups.keep_initial_rates(groups)
        watch_step(optimizer)
        super().__init__(optimizer, last_epoch)
        # What was overwritten at which step; it may have been loaded a moment ago.
        self._overwritten: tuple[int, list[_groups.Values]] | None = (self.last_epoch, loaded)
        call_after_load(optimizer, self._set_again)
        call_after_update(optimizer, self._notice_update)

    def get_lr(self) -> list[Any]:
        """The rates at `last_epoch`, of the types that the groups hold; changes nothing.

        Within a step of somebody else who then sets the rates (Ignite), it sets the momenta.
        """
        groups = self.optimizer.param_groups
        values = self._values_for(groups)
        new = values.at(max(0, self.last_epoch))
        if self.is_asked_within_step:
            self._take(values)
            for group, (_, momentum) in zip(groups, new, strict=True):
                _groups.set_momentum([group], momentum)
        pairs = zip(groups, new, strict=True)
        return [_groups.like(group["lr"], rate) for group, (rate, _) in pairs]

    def get_last_lr(self) -> list[Any]:
        """The rates that the groups hold now, as copies."""
        rates = [group["lr"] for group in self.optimizer.param_groups]
        return [rate.clone() if isinstance(rate, Tensor) else rate for rate in rates]

    @property
    def policies(self) -> list[clrcore.Policy]:
        """The policy of each group; `lower` changes them."""
        return spread(self._policy, len(self.optimizer.param_groups))

    def lower(self, factor: float) -> None:
        """Multiply all rates by `factor` from now on, as the verdict of a `CycleMonitor` asks.

        The state of the scheduler does not hold it: a resumed run needs it again.

        Args:
            factor: Factor of every rate, in (0, 1].

        Raises:
            TypeError: `factor` is not a number.
            ValueError: `factor` is outside (0, 1].
        """
        lowered = [policy.lowered(factor) for policy in self.policies]
        self._policy = tuple(lowered) if isinstance(self._policy, tuple) else lowered[0]
        groups, reference = self.optimizer.param_groups, self._values.reference
        self._set(self.last_epoch, GroupValues(groups, self._policy, self._momentum, reference))

    def jump(self, step: int) -> None:
        """Set the rates that come after `step` updates, an integer >= 0, at once."""
        self._set(check_steps("step", step, 0))
        self._overwritten = None

    def advance(self, epoch: int | None = None) -> None:
        """What `step()` does, without its warning of a wrong order."""
        step = self.last_epoch + 1
        groups, values = self.optimizer.param_groups, self._values
        place = step - values.start
        if (
            epoch is None
            and 0 <= place < len(values.shared_rates)
            and len(groups) == values.count
            and groups[-1] is values.last  # all of them are compared where a block begins
        ):
            # The common case, kept short: the same rate for all groups, and computed already.
            if values.has_many_tensors:
                with inference_mode():  # saves each fill_ its bookkeeping for autograd
                    _groups.set_rate(groups, values.shared_rates[place])
            else:
                _groups.set_rate(groups, values.shared_rates[place])
            if values.has_momenta:
                _groups.set_momentum(groups, values.shared_momenta[place])
            self.last_epoch = step
        else:
            self._set(step if epoch is None else _checked_epoch(epoch))

    def state_dict(self) -> dict[str, Any]:
        """The state as plain data.

        Returns:
            `version`; `last_epoch`, -1 before the scheduler's turn in a sequence; the number of
            `groups`; `first_ratio`, with proportional=True the ratio of the first group to the
            group that was first when the run began, else None; `applied`, whether the groups hold
            the scheduler's values now. Policies belong where the scheduler is constructed.
        """
        groups = self.optimizer.param_groups
        return {
            "version": VERSION,
            "last_epoch": max(-1, self.last_epoch),
            "groups": len(groups),
            "first_ratio": self._values.first_ratio(groups),
            "applied": self._values.fits(groups) and self._is_applied(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go to the step of a state, and set the policy's rates if they were applied.

        The state of the optimizer may be loaded before or after.

        Args:
            state_dict: What `state_dict()` returned.

        Raises:
            TypeError: It is no such state. Nothing was changed then.
            ValueError: It is no such state. Nothing was changed then.
        """
        keys = ["last_epoch", "groups", "first_ratio", "applied"]
        check_state("state_dict", state_dict, VERSION, keys)
        step = check_int("state_dict['last_epoch']", state_dict["last_epoch"], -1, LARGEST_COUNT)
        count = len(self.optimizer.param_groups)
        saved = check_int("state_dict['groups']", state_dict["groups"], 0, LARGEST_COUNT)
        if saved != count:
            message = f"state_dict is of {saved} parameter groups, but the optimizer has {count}"
            refuse(ValueError, "state_dict['groups']", str(count), saved, message=message)
        name = "state_dict['first_ratio']"
        ratio = check_optional(check_float, name, state_dict["first_ratio"], 0.0)
        values = self._values_for(self.optimizer.param_groups, ratio)
        if check_bool("state_dict['applied']", state_dict["applied"]):
            self._set(step, values)
        else:  # another scheduler's rates, or the user's, are in the optimizer's own state
            overwritten_at, loaded = self._overwritten or (None, [])
            if overwritten_at == self.last_epoch and self.state_dict()["applied"]:
                _groups.set_values(values.groups, loaded)
            self._take(values)
            self.last_epoch = step
        self._overwritten = None

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        call_after_load(self.optimizer, self._set_again)
        call_after_update(self.optimizer, self._notice_update)

    def __repr__(self) -> str:
        policies = self._policy if isinstance(self._policy, tuple) else (self._policy,)
        names = ", ".join(dict.fromkeys(policy.constructor for policy in policies))
        rates = ", ".join(dict.fromkeys(f"{float(rate):.3g}" for rate in self.get_last_lr()))
        return f"{type(self).__name__}({names}, step={self.last_epoch}, lr={rates})"

    def _repr_html_(self) -> str:
        policies = dict.fromkeys(map(repr, self.policies))
        rates = dict.fromkeys(f"{float(rate):.3g}" for rate in self.get_last_lr())
        rows = {"policy": policies, "step": [str(self.last_epoch)], "lr": rates}
        cells = (
            f"<tr><th>{name}</th><td>{escape(', '.join(texts))}</td></tr>"
            for name, texts in rows.items()
        )
        return f"<table>{''.join(cells)}</table>"

    def _set(self, step: int, values: GroupValues | None = None) -> None:
        """Set the rates and momenta that come after `step` updates: all of them or none."""
        groups = self.optimizer.param_groups
        values = values or self._values_for(groups)
        new = values.at(max(0, step))
        self._take(values)
        _groups.set_values(groups, new)
        self.last_epoch = step

    def _set_again(self) -> None:
        """Set the values of the same step after the optimizer has loaded others over them."""
        if not self._is_applied():  # as in the old groups; the optimizer has new groups
            return
        groups = self.optimizer.param_groups
        try:
            values = self._values_for(groups)
        except (TypeError, ValueError):  # groups that it cannot set: the next step refuses them
            return
        loaded = _groups.get_values(groups, values.has_momenta)
        self._set(self.last_epoch, values)
        self._overwritten = (self.last_epoch, loaded)

    def _notice_update(self) -> None:
        """Warn once of an optimizer that is updated again and again at the rates of the start."""
        if self.last_epoch == 0 and self._updates_at_start < UNMOVED:
            self._updates_at_start += 1
            values = self._values
            if (
                self._updates_at_start == UNMOVED
                and self._is_applied()
                and not _groups.hold_values(values.groups, values.at(UNMOVED))
            ):
                warnings.warn(
                    f"the optimizer has made {UNMOVED} updates at the first rate of the policy, as "
                    "scheduler.step() was not called: call it after each optimizer.step() (ignore "
                    "this if your policy counts epochs)",
                    UserWarning,
                    stacklevel=6,
                )

    def _values_for(
        self, groups: list[_groups.Group], first_ratio: float | None = None
    ) -> GroupValues:
        """The values for these groups, new where they are other groups than before."""
        values = self._values
        if first_ratio is None:
            if values.fits(groups):
                return values
            first_ratio = values.first_ratio(groups)
        reference = values.reference
        if reference is not None and groups and first_ratio:
            reference = _groups.initial_rate(0, groups[0]) / first_ratio or reference
        return GroupValues(groups, self._policy, self._momentum, reference)

    def _take(self, values: GroupValues) -> None:
        """Use these values from now on."""
        if values is not self._values:
            _groups.keep_initial_rates(values.groups)
            self._values = values

    def _is_applied(self) -> bool:
        """Whether its groups hold the values of `last_epoch`, and not another scheduler's."""
        step, values = self.last_epoch, self._values
        return step >= 0 and _groups.hold_values(values.groups, values.at(step))


def _checked_epoch(epoch: object) -> int:
    """The argument of `step()`; Ignite's event handlers pass their engine."""
    allowed = f"None or an integer from 0 to {LARGEST_COUNT}"
    advice = "call step() without arguments after each update, as in lambda _: scheduler.step()"
    return check_int("epoch", epoch, 0, LARGEST_COUNT, allowed=allowed, advice=advice)
