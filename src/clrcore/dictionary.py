"""Policies from plain JSON data: the reading half of `Policy.to_dict`."""

from __future__ import annotations

from functools import cache
from inspect import signature
from typing import TYPE_CHECKING, Any

from . import compose, policies
from .arguments import check_choice, check_keys, check_version, refuse
from .policy import DEEPEST, VERSION, Policy, refuse_depth

if TYPE_CHECKING:
    from collections.abc import Callable


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


@cache
def _argument_names(kind: str) -> list[str]:
    """The names of the arguments of a constructor."""
    return list(signature(CONSTRUCTORS[kind]).parameters)


def policy_from_dict(data: dict[str, Any]) -> Policy:
    """The policy that `Policy.to_dict` described.

    Args:
        data: `version`, `type` and exactly the arguments of the constructor of that name.

    Raises:
        TypeError: `data` is not a dictionary, or an argument has the wrong type.
        ValueError: The version or the type is unknown, keys are missing or unknown, an argument
            is out of range, or policies are nested too deep.

    Example:
        >>> import clrcore
        >>> policy = clrcore.triangular(0.001, 0.006, step_size=2000)
        >>> clrcore.policy_from_dict(policy.to_dict()) == policy
        True
    """
    return _policy("data", data, 0)


def _policy(name: str, data: object, depth: int) -> Policy:
    """The policy in `data`, which errors call `name`; it lies within `depth` other policies."""
    if depth > DEEPEST:  # also where a dictionary contains itself
        refuse_depth("data")
    if not isinstance(data, dict):
        refuse(TypeError, name, "a dictionary, as to_dict makes it", data)
    for key in ("version", "type"):
        if key not in data:
            refuse(
                ValueError,
                name,
                "the dictionary of a policy",
                data,
                message=f"{name} lacks {key!r}",
                advice="is it the dictionary of a policy?",
            )
    check_version(name, data["version"], VERSION)
    kind = check_choice(f"{name}['type']", data["type"], CONSTRUCTORS)
    names = _argument_names(kind)
    check_keys(name, data, ["version", "type", *names])
    arguments = {argument: data[argument] for argument in names}
    if "stages" in arguments:
        arguments["stages"] = _stages(arguments["stages"], depth)
    if "policy" in arguments:
        arguments["policy"] = _policy("policy", arguments["policy"], depth + 1)
    return CONSTRUCTORS[kind](**arguments)


def _stages(stages: object, depth: int) -> list[tuple[Policy, Any]]:
    """The stages of a chain, with their policies."""
    if not isinstance(stages, list | tuple):
        refuse(TypeError, "stages", "a list of [policy dictionary, num_steps] pairs", stages)
    for i, stage in enumerate(stages):
        if not isinstance(stage, list | tuple) or len(stage) != 2:
            refuse(TypeError, f"stages[{i}]", "a [policy dictionary, num_steps] pair", stage)
    return [
        (_policy(f"stages[{i}][0]", policy, depth + 1), num_steps)
        for i, (policy, num_steps) in enumerate(stages)
    ]
