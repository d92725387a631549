"""`PolicyLR`: a policy as a learning-rate scheduler of PyTorch.

Nothing is accumulated: rates and momenta are functions of `last_epoch`, which may be set from
outside, as `SequentialLR` and others do.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from torch import Tensor, inference_mode
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

import clrcore
from clrcore.arguments import (
    LARGEST_COUNT,
    check_bool,
    check_float,
    check_int,
    check_keys,
    check_steps,
    check_version,
    refuse,
)

from . import _groups
from ._plan import Momentum, Plan, read_momenta, read_policies

VERSION = 1
# From here on, entering a mode of its own is cheaper than what it spares.
MANY_GROUPS = 20


class PolicyLR(LRScheduler):
    """Sets the rates of an optimizer's parameter groups, update by update, from a policy.

    optimizer: any torch.optim.Optimizer.
    policy: one policy of clrcore for all groups, or a list of them, one per group.
    momentum: None leaves momentum alone. A pair (base, max) moves it against the rate,
        max - (max - base) h, h being the policy's height: 0 at base_lr, 1 at max_lr; a policy
        sets it as it is; a list holds one of these, or None, per group. It is the group's
        `momentum`, or the first of its `betas`; values in [0, 1).
    proportional: with one policy, keep every group's ratio to the first group's initial rate
        (`initial_lr` where another scheduler has left one), and multiply by a group's
        `lr_scale` where it has one.
    last_epoch: -1 for a fresh run, else the step of the last update made, as in PyTorch's own
        schedulers: n - 1 after n updates. `jump(n)` and `load_state_dict` say the same.

    Call `step()` after each update of the optimizer. Rates that are tensors are filled in
    place and stay the same tensor, of the same precision (bfloat16 knows 128 rates from one to its
    double); so do tensor betas. A group that is added later follows the one policy from the
    next step on, and one that is removed changes nothing for the others; with lists, another
    number of groups is refused.
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
            refuse(TypeError, "optimizer", "a torch.optim.Optimizer", optimizer)
        groups = optimizer.param_groups
        proportional = check_bool("proportional", proportional)
        last_epoch = check_int("last_epoch", last_epoch, -1, LARGEST_COUNT)
        policies = read_policies(policy, len(groups))
        one_policy = isinstance(policy, clrcore.Policy)
        if proportional and not one_policy:
            raise ValueError("proportional=True needs one policy, got a list of policies")
        momenta = read_momenta(momentum, policies)
        alike = one_policy and not isinstance(momentum, list)
        self._for_added = (policies[0], momenta[0]) if alike else None
        reference = None
        if proportional:
            first = _groups.initial_rate(0, groups[0])
            reference = check_float("the first group's initial rate", first, 0.0, above=True)
        self._plan = _make_plan(groups, policies, momenta, reference)
        _, values = self._plan.at(last_epoch + 1, groups)  # raises before anything is written
        # What is written over here may be another scheduler's, loaded a moment ago.
        self._before: tuple[list[float], list[float | None]] | None
        self._before = _groups.values(groups, [value is not None for value in values])
        _groups.keep_initial_rates(groups)
        _groups.watch_step(optimizer)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        """The rates at `last_epoch`, of the types of the groups' own; changes nothing.

        Within a step of somebody else's, who sets the rates with it (Ignite), it sets momenta.
        """
        groups = self.optimizer.param_groups
        plan = self._plan_of(groups)
        rates, momenta = plan.at(max(0, self.last_epoch), groups)
        if self._get_lr_called_within_step:
            self._follow(plan)
            _groups.set_momenta(groups, momenta)
        return [_groups.like(group["lr"], rate) for group, rate in zip(groups, rates, strict=True)]

    def get_last_lr(self) -> list[Any]:
        """The rates that the groups hold now, in a list of its own."""
        return [
            lr.clone() if isinstance(lr := group["lr"], Tensor) else lr
            for group in self.optimizer.param_groups
        ]

    def step(self, epoch: int | None = None) -> None:
        """Count one update and set the rates of the next one; `epoch` goes to that step."""
        if self._step_count == 1:
            self._warn_of_order()
        step = self.last_epoch + 1
        groups = self.optimizer.param_groups
        plan = self._plan
        place = step - plan.start
        if (
            epoch is None
            and 0 <= place < len(plan.alike)
            and len(groups) == plan.count
            and groups[-1] is plan.last  # all of them are compared where a new block begins
        ):
            # The common case, kept short: the same for all groups, and at hand.
            rate = plan.alike[place]
            if plan.count >= MANY_GROUPS and isinstance(groups[0]["lr"], Tensor):
                with inference_mode():  # spares each fill what autograd would note of it
                    _groups.set_rates(groups, [rate] * plan.count)
            else:
                for group in groups:
                    lr = group["lr"]
                    if type(lr) is not float and isinstance(lr, Tensor):
                        lr.fill_(rate)
                    else:
                        group["lr"] = rate
            if plan.momenta_alike is not None:
                _groups.set_momenta(groups, [plan.momenta_alike[place]] * plan.count)
            self.last_epoch = step
        else:
            self._update_lr(epoch)
        self._step_count += 1

    def jump(self, step: int) -> None:
        """Set the rates that come after `step` updates, an integer >= 0, at once."""
        self._go(check_steps("step", step, 0))

    def state_dict(self) -> dict[str, Any]:
        """The state as plain data of its own.

        `version`, `last_epoch` (-1 where another scheduler has its turn first), the number of
        `groups`, the `first_ratio` (with proportional=True: of the first group to the one that was
        first when the run began; else None), and whether its values are `applied`: held by the
        groups now. Policies are code and stay where the scheduler is made.
        """
        groups = self.optimizer.param_groups
        return {
            "version": VERSION,
            "last_epoch": max(-1, self.last_epoch),
            "groups": len(groups),
            "first_ratio": self._plan.first_ratio(groups),
            "applied": self._is_applied(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go to a state that `state_dict` described, and set its rates if they were applied.

        The optimizer's own state may be loaded before or after. Raises TypeError or ValueError
        for what is not such a state; a refused one changes nothing.
        """
        check_keys(
            "state_dict", state_dict, ["version", "last_epoch", "groups", "first_ratio", "applied"]
        )
        check_version("state_dict", state_dict["version"], VERSION)
        step = check_int("state_dict['last_epoch']", state_dict["last_epoch"], -1, LARGEST_COUNT)
        groups = check_int("state_dict['groups']", state_dict["groups"])
        there = len(self.optimizer.param_groups)
        if groups != there:
            raise ValueError(
                f"state_dict is of {groups} parameter groups, but the optimizer has {there}"
            )
        ratio = state_dict["first_ratio"]
        if ratio is not None:
            ratio = check_float("state_dict['first_ratio']", ratio, 0.0)
        applied = check_bool("state_dict['applied']", state_dict["applied"])
        plan = self._plan_of(self.optimizer.param_groups, ratio)
        if applied:
            self._go(step, plan)
        else:  # another scheduler's rates, or the user's, are in the optimizer's own state
            self._put_back()
            self._follow(plan)
            self.last_epoch = step

    @property
    def _last_lr(self) -> list[Any]:  # type: ignore[override]
        # The base class stores this list; made when asked for, it costs a step nothing.
        return self.get_last_lr()

    def _get_closed_form_lr(self) -> list[Any]:
        return self.get_lr()

    def _update_lr(self, epoch: int | None = None) -> None:
        self._go(self.last_epoch + 1 if epoch is None else check_steps("epoch", epoch, 0))

    def _go(self, step: int, plan: Plan | None = None) -> None:
        """Set the rates and momenta after `step` updates; all or none."""
        groups = self.optimizer.param_groups
        plan = self._plan_of(groups) if plan is None else plan
        rates, momenta = plan.at(max(0, step), groups)
        self._follow(plan)
        _groups.set_rates(groups, rates)
        _groups.set_momenta(groups, momenta)
        self.last_epoch = step

    def _plan_of(self, groups: list[_groups.Group], first_ratio: float | None = None) -> Plan:
        """The plan for these groups, a new one where they are others than before.

        first_ratio: of the first group, where a state says it.
        """
        plan = self._plan
        policies, momenta = plan.policies, plan.momenta
        if first_ratio is None:
            if plan.fits(groups):
                return plan
            first_ratio = plan.first_ratio(groups)
        if self._for_added is not None:
            policies = [self._for_added[0]] * len(groups)
            momenta = [self._for_added[1]] * len(groups)
        elif len(groups) != plan.count:
            raise ValueError(
                f"the optimizer now has {len(groups)} parameter groups, but policies or momenta "
                f"were given for {plan.count}: make a new PolicyLR with one for each"
            )
        return _make_plan(groups, policies, momenta, plan.reference, first_ratio)

    def _follow(self, plan: Plan) -> None:
        """Take in a plan for other groups than before."""
        if plan is not self._plan:
            _groups.keep_initial_rates(self.optimizer.param_groups)
            self._plan = plan
            self._before = None

    def _put_back(self) -> None:
        """Undo what the constructor wrote, where it is still there and no step was made of it."""
        groups = self.optimizer.param_groups
        untouched = self._step_count == 1 and self._plan.fits(groups) and self._is_applied()
        if self._before is not None and untouched:
            rates, momenta = self._before
            _groups.set_rates(groups, rates)
            _groups.set_momenta(groups, momenta)

    def _is_applied(self) -> bool:
        """Whether the groups hold the values of `last_epoch`, and not another scheduler's."""
        groups = self.optimizer.param_groups
        if self.last_epoch < 0 or len(groups) != self._plan.count:
            return False
        rates, momenta = self._plan.at(self.last_epoch, groups)
        return all(
            _groups.holds(group["lr"], rate)
            and (momentum is None or _groups.holds(_groups.get_momentum(group), momentum))
            for group, rate, momentum in zip(groups, rates, momenta, strict=True)
        )

    def _warn_of_order(self) -> None:
        if not _groups.was_stepped(self.optimizer):
            warnings.warn(
                "scheduler.step() was called before optimizer.step(), so the policy's first rate "
                "was never used; call optimizer.step() first",
                UserWarning,
                stacklevel=3,
            )


def _make_plan(
    groups: list[_groups.Group],
    policies: Sequence[clrcore.Policy],
    momenta: Sequence[Momentum | None],
    reference: float | None,
    first_ratio: float | None = None,
) -> Plan:
    """The plan for these groups; refuses groups that cannot follow it.

    reference: the initial rate to which groups keep their ratio, or None.
    first_ratio: that of the first group, where it is known: the reference follows from it.
    """
    _groups.check_groups(groups, momenta)
    if reference is None:
        _groups.check_sharing(groups, policies, momenta)
        return Plan(policies, momenta, groups, None, None)
    rates = [_groups.initial_rate(i, group) for i, group in enumerate(groups)]
    if first_ratio and rates and rates[0]:
        reference = rates[0] / first_ratio
    ratios = [rate / reference for rate in rates]
    scales = [_groups.rate_scale(i, group) for i, group in enumerate(groups)]
    _groups.check_sharing(groups, list(zip(ratios, scales, strict=True)), momenta)
    return Plan(policies, momenta, groups, ratios, reference)
