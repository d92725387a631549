"""Policies from plain JSON data: the reading half of `Policy.to_dict`."""

from __future__ import annotations

from inspect import signature
from typing import Any

from . import compose, policies  # noqa: F401 - they fill CONSTRUCTORS
from .arguments import check_choice, check_keys, check_type, check_version, refuse
from .policy import CONSTRUCTORS, DEEPEST, VERSION, Policy, constructor, refuse_depth


@constructor
def opposed(policy: Policy, low: float, high: float) -> Policy:
    """The policy that moves against `policy`."""
    return policy.opposed(low, high)


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
    fields = check_type(name, data, dict, "a dictionary, as to_dict makes it")
    for key in ("version", "type"):
        if key not in fields:
            message, advice = f"{name} lacks {key!r}", "is it the dictionary of a policy?"
            allowed = "the dictionary of a policy"
            refuse(ValueError, name, allowed, data, message=message, advice=advice)
    check_version(name, fields["version"], VERSION)
    kind = check_choice(f"{name}['type']", fields["type"], CONSTRUCTORS)
    names = signature(CONSTRUCTORS[kind]).parameters
    check_keys(name, fields, ["version", "type", *names])
    arguments = {argument: fields[argument] for argument in names}
    if "stages" in arguments:
        arguments["stages"] = _stages(arguments["stages"], depth)
    if "policy" in arguments:
        arguments["policy"] = _policy("policy", arguments["policy"], depth + 1)
    return CONSTRUCTORS[kind](**arguments)


def _stages(stages: object, depth: int) -> list[tuple[Policy, Any]]:
    """The stages of a chain, with their policies."""
    pair = "[policy dictionary, num_steps] pair"
    pairs = check_type("stages", stages, list | tuple, f"a list of {pair}s")
    for i, stage in enumerate(pairs):
        if not isinstance(stage, list | tuple) or len(stage) != 2:
            refuse(TypeError, f"stages[{i}]", f"a {pair}", stage)
    return [
        (_policy(f"stages[{i}][0]", policy, depth + 1), num_steps)
        for i, (policy, num_steps) in enumerate(pairs)
    ]
