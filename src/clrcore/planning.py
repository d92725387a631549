"""Whole trainings of a known length: each kind of schedule, with the peak that suits it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import compose
from .arguments import check_choice, check_float, check_int, check_steps, refuse
from .policies import constant, cosine, decay, linear_sweep, triangular, triangular2
from .policy import Policy

# The peak that suits a kind, as a multiple of the best constant rate. Twice that rate gains about
# 1 % of the fall and loses trainings that start at it; triangular2 alone needs more than the rate
# itself. `python benchmarks/long.py` prints the table behind it.
PEAKS = {
    "triangular": 1.0,
    "triangular2": 1.5,
    "warm_restarts": 1.0,
    "one_cycle": 1.0,
    "linear": 1.0,
    "cosine": 1.0,
    "wsd": 1.0,
}
SCHEDULES = tuple(PEAKS)
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
    function, names = _PLANS[check_choice("kind", kind, SCHEDULES)]
    for name, value in arguments.items():
        if name not in names:
            refuse(
                TypeError,
                name,
                "an argument of this kind",
                value,
                message=f"kind={kind!r} has no argument {name}",
                advice=f"it has {', '.join(names)}" if names else "it has none",
            )
    return function(
        check_float("max_lr", max_lr, 0.0), check_steps("total_steps", total_steps), **arguments
    )


def _whole_cycles(
    constructor: Callable[[int], Policy], base_lr: float, total_steps: int, cycles: object
) -> Policy:
    """Whole cycles of equal length; the few steps that are left over stay at the base."""
    cycles = check_int("cycles", cycles, 1)
    if total_steps < 2 * cycles:
        refuse(ValueError, "total_steps", f">= {2 * cycles}, for {cycles} cycles", total_steps)
    period, left = divmod(total_steps, cycles)
    policy = constructor(period)
    if left:
        return compose.chain([(policy, cycles * period), (constant(base_lr), left)])
    return policy


def _triangles(constructor: Callable[..., Policy]) -> Callable[..., Policy]:
    def plan(
        max_lr: float, total_steps: int, *, base_lr: float | None = None, cycles: int = CYCLES
    ) -> Policy:
        base = BASE * max_lr if base_lr is None else check_float("base_lr", base_lr, 0.0)

        def of_period(period: int) -> Policy:
            return constructor(base, max_lr, period - period // 2, period // 2)

        return _whole_cycles(of_period, base, total_steps, cycles)

    return plan


def _restarts(
    max_lr: float, total_steps: int, *, base_lr: float = 0.0, cycles: int = CYCLES
) -> Policy:
    base = check_float("base_lr", base_lr, 0.0)

    def of_period(period: int) -> Policy:
        return compose.warm_restarts(base, max_lr, period)

    return _whole_cycles(of_period, base, total_steps, cycles)


def _wsd(
    max_lr: float, total_steps: int, *, warm_up: float = 0.05, cooldown: float = 0.2
) -> Policy:
    rising = round(check_float("warm_up", warm_up, 0.0, 1.0) * total_steps)
    falling = round(check_float("cooldown", cooldown, 0.0, 1.0) * total_steps)
    if rising + falling > total_steps:
        refuse(ValueError, "cooldown", f"at most 1 - warm_up = {1.0 - warm_up:g}", cooldown)
    policy: Policy = constant(max_lr)
    if rising >= 2:
        policy = compose.chain(
            [(linear_sweep(max_lr / rising, max_lr, rising), rising), (policy, None)]
        )
    return compose.cooldown(policy, total_steps - falling, falling) if falling else policy


_WHOLE_CYCLES = ("base_lr", "cycles")
_PLANS: dict[str, tuple[Callable[..., Policy], tuple[str, ...]]] = {
    "triangular": (_triangles(triangular), _WHOLE_CYCLES),
    "triangular2": (_triangles(triangular2), _WHOLE_CYCLES),
    "warm_restarts": (_restarts, _WHOLE_CYCLES),
    "one_cycle": (
        compose.one_cycle,
        ("form", "pct_start", "anneal_strategy", "div_factor", "final_div_factor"),
    ),
    "linear": (lambda max_lr, total_steps: decay(max_lr, 0.0, total_steps), ()),
    "cosine": (lambda max_lr, total_steps: cosine(max_lr, 0.0, total_steps), ()),
    "wsd": (_wsd, ("warm_up", "cooldown")),
}
