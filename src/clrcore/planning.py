"""Whole trainings of a known length: each kind of schedule, with the peak that suits it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from inspect import signature
from typing import Any

from . import compose
from .arguments import check_choice, check_float, check_int, check_steps, refuse
from .policies import constant, cosine, decay, linear_sweep, triangular, triangular2
from .policy import Policy

# The peak that suits a kind, as a multiple of the best constant rate. Twice that rate gains about
# 1 % of the fall and loses trainings that start at it; triangular2 alone needs more than the rate
# itself. `python benchmarks/long.py` prints the table behind it.
SCHEDULES = ("triangular", "triangular2", "warm_restarts", "one_cycle", "linear", "cosine", "wsd")
PEAKS = dict.fromkeys(SCHEDULES, 1.0) | {"triangular2": 1.5}
# Whole cycles of a training by default.
CYCLES = 4
# The base of cycles, as a fraction of their peak.
BASE = 0.25


def planned(kind: str, max_lr: float, total_steps: int, **arguments: Any) -> Policy:
    """A whole training of total_steps updates that rises to max_lr.

    Args:
        kind: "triangular", "triangular2", "warm_restarts", "one_cycle", "linear", "cosine" or
            "wsd" (warm-up, constant, cooldown).
        max_lr: The peak rate.
        total_steps: Updates of the training, an integer >= 1.
        arguments: base_lr and cycles of triangular, triangular2 and warm_restarts; warm_up and
            cooldown of wsd, each a fraction of the training; the arguments of `one_cycle`.

    Raises:
        TypeError: For an argument of the wrong type, or that the kind does not have.
        ValueError: For an unknown kind, and values that are not allowed.
    """
    function = _PLANS[check_choice("kind", kind, SCHEDULES)]
    names = [n for n, p in signature(function).parameters.items() if p.kind is p.KEYWORD_ONLY]
    for name, value in arguments.items():
        if name not in names:
            message = f"kind={kind!r} has no argument {name}"
            advice = f"it has {', '.join(names) or 'none'}"
            allowed = "an argument of this kind"
            refuse(TypeError, name, allowed, value, message=message, advice=advice)
    max_lr = check_float("max_lr", max_lr, 0.0)
    return function(max_lr, check_steps("total_steps", total_steps), **arguments)


def _whole_cycles(
    constructor: Callable[[float, float, int], Policy],
    base: float,
    max_lr: float,
    total_steps: int,
    *,
    base_lr: float | None = None,
    cycles: int = CYCLES,
) -> Policy:
    """Whole cycles of equal length; the few steps that are left over stay at the base.

    Args:
        constructor: Function of base_lr, max_lr and the length of a cycle.
        base: The base_lr that is not given, as a fraction of max_lr.
        max_lr: The peak rate.
        total_steps: Updates of the training.
        base_lr: The rate between two cycles.
        cycles: Number of cycles.
    """
    low = base * max_lr if base_lr is None else check_float("base_lr", base_lr, 0.0)
    cycles = check_int("cycles", cycles, 1)
    if total_steps < 2 * cycles:
        refuse(ValueError, "total_steps", f">= {2 * cycles}, for {cycles} cycles", total_steps)
    period, left = divmod(total_steps, cycles)
    policy = constructor(low, max_lr, period)
    return compose.chain([(policy, cycles * period), (constant(low), left)]) if left else policy


def _triangle(
    constructor: Callable[..., Policy], base_lr: float, max_lr: float, period: int
) -> Policy:
    return constructor(base_lr, max_lr, period - period // 2, period // 2)


def _wsd(
    max_lr: float, total_steps: int, *, warm_up: float = 0.05, cooldown: float = 0.2
) -> Policy:
    rising = round(check_float("warm_up", warm_up, 0.0, 1.0) * total_steps)
    falling = round(check_float("cooldown", cooldown, 0.0, 1.0) * total_steps)
    if rising + falling > total_steps:
        refuse(ValueError, "cooldown", f"at most 1 - warm_up = {1.0 - warm_up:g}", cooldown)
    policy: Policy = constant(max_lr)
    if rising >= 2:
        ramp = linear_sweep(max_lr / rising, max_lr, rising)
        policy = compose.chain([(ramp, rising), (policy, None)])
    return compose.cooldown(policy, total_steps - falling, falling) if falling else policy


_PLANS: dict[str, Callable[..., Policy]] = {
    "triangular": partial(_whole_cycles, partial(_triangle, triangular), BASE),
    "triangular2": partial(_whole_cycles, partial(_triangle, triangular2), BASE),
    "warm_restarts": partial(_whole_cycles, compose.warm_restarts, 0.0),
    "one_cycle": compose.one_cycle,
    "linear": lambda max_lr, total_steps: decay(max_lr, 0.0, total_steps),
    "cosine": lambda max_lr, total_steps: cosine(max_lr, 0.0, total_steps),
    "wsd": _wsd,
}
