"""Policies from plain JSON data: the reading half of `Policy.to_dict`."""

from __future__ import annotations

from . import compose, policies
from .arguments import check_choice, check_keys, check_version, refuse
from .policy import VERSION, Policy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def opposed(policy: Policy, low: float, high: float) -> Policy:
    """The policy that moves against `policy`."""
    return policy.opposed(low, high)


CONSTRUCTORS: dict[str, Callable[..., Policy]] = {
    function.__name__: function
    for function in (
        policies.triangular,
        policies.triangular2,
        policies.exp_range,
        policies.cyclic,
        policies.constant,
        policies.stepwise,
        policies.exponential,
        policies.decay,
        policies.cosine,
        policies.linear_sweep,
        policies.exponential_sweep,
        compose.chain,
        compose.cooldown,
        compose.one_cycle,
        compose.smith_one_cycle,
        compose.warm_restarts,
        opposed,
    )
}


def policy_from_dict(data: dict[str, Any]) -> Policy:
    """The policy that `Policy.to_dict` described.

    data: `version`, `type` and exactly the arguments of the constructor of that name.
    Raises TypeError for what is not a dictionary, ValueError for another version, an unknown
    type, missing and unknown keys, and what the constructor raises for bad arguments.

    >>> import clrcore
    >>> policy = clrcore.triangular(0.001, 0.006, step_size=2000)
    >>> clrcore.policy_from_dict(policy.to_dict()) == policy
    True
    """
    return _policy("data", data)


def _policy(name: str, data: object) -> Policy:
    """The policy in `data`, which errors call `name`."""
    if not isinstance(data, dict):
        refuse(TypeError, name, "a dictionary, as to_dict makes it", data)
    for key in ("version", "type"):
        if key not in data:
            raise ValueError(f"{name} lacks {key!r}: is it the dictionary of a policy?")
    check_version(name, data["version"], VERSION)
    kind = check_choice(f"{name}['type']", data["type"], CONSTRUCTORS)
    from inspect import signature  # here, as it takes 10 ms to import

    constructor = CONSTRUCTORS[kind]
    names = list(signature(constructor).parameters)
    check_keys(name, data, ["version", "type", *names])
    arguments = {argument: data[argument] for argument in names}
    if kind == "chain":
        arguments["stages"] = _stages(arguments["stages"])
    if "policy" in arguments:
        arguments["policy"] = _policy("policy", arguments["policy"])
    return constructor(**arguments)


def _stages(stages: object) -> list[tuple[Policy, Any]]:
    """A chain's stages, their policies read."""
    if not isinstance(stages, list | tuple):
        refuse(TypeError, "stages", "a list of [policy dictionary, num_steps] pairs", stages)
    for i, stage in enumerate(stages):
        if not isinstance(stage, list | tuple) or len(stage) != 2:
            refuse(TypeError, f"stages[{i}]", "a [policy dictionary, num_steps] pair", stage)
    return [
        (_policy(f"stages[{i}][0]", policy), num_steps)
        for i, (policy, num_steps) in enumerate(stages)
    ]
