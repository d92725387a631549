"""The policies that the optimizers of a model follow, read and exchanged."""

from __future__ import annotations

from typing import Any

import clrcore
from clrcore.arguments import refuse

from . import _optimizers as optimizers
from ._private import rate_source
from .schedule import PolicySchedule


def policies(optimizer: Any) -> list[clrcore.Policy | None]:
    """The policy of each simple optimizer, None where the rate has another source."""
    return [
        source.policy if isinstance(source, PolicySchedule) else None
        for source in optimizers.rate_sources(optimizer)
    ]


def dictionaries(optimizer: Any) -> list[dict[str, Any] | None]:
    """The same as plain data."""
    return [None if policy is None else policy.to_dict() for policy in policies(optimizer)]


def counted_policy(optimizer: Any) -> clrcore.Policy:
    """The policy whose cycles are counted.

    Raises:
        ValueError: Without a policy, without cycles, and for policies with different cycles.
    """
    present = [schedule.policy for schedule in optimizers.policy_schedules(optimizer)]
    if not present:
        message = "CycleEnds needs a model compiled with a PolicySchedule, such as "
        raise ValueError(message + "keras.optimizers.SGD(PolicySchedule(policy))")
    if not present[0].has_cycles:
        refuse(ValueError, "the optimizer's policy", "a policy with cycles", present[0])
    if len(set(map(cycles, present))) > 1:
        raise ValueError(f"the policies of MultiOptimizer must share their cycles, got {present}")
    return present[0]


def cycles(policy: clrcore.Policy) -> tuple[Any, ...]:
    """The facts that distinguish policies by their cycles; lowered bounds do not change them."""
    return policy.constructor, policy.period, policy.total_steps


def install(model: Any, wanted: list[clrcore.Policy | None]) -> None:
    """Give every simple optimizer of a model its policy; None leaves it alone.

    Raises:
        ValueError: For another number of policies than optimizers.
    """
    simple = optimizers.simple_optimizers(model.optimizer)
    if len(simple) != len(wanted):
        allowed = f"of {len(simple)} optimizers, as the model has"
        refuse(ValueError, "the state of CycleEnds", allowed, len(wanted))
    changed = False
    for optimizer, policy, old in zip(simple, wanted, policies(model.optimizer), strict=True):
        if policy is not None and old is not None and policy != old:
            every = rate_source(optimizer).gradient_accumulation_steps
            optimizer.learning_rate = PolicySchedule(policy, gradient_accumulation_steps=every)
            changed = True
    if changed:
        # A step that is compiled already keeps the rates it was compiled with.
        model.make_train_function(force=True)
