"""Whole trainings of a known length: the policy of each kind, from its peak rate."""

from __future__ import annotations

from .arguments import check_choice, check_float, check_steps
from .compose import chain, one_cycle, warm_restarts
from .policies import constant, decay, linear_sweep, triangular, triangular2

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .policy import Policy

CYCLES = 4
WARM_UP = 0.05
COOLDOWN = 0.2
KINDS = ("triangular", "triangular2", "warm_restarts", "one_cycle", "linear", "cosine", "wsd")


def planned(
    kind: str,
    base_lr: float,
    max_lr: float,
    total_steps: int,
    *,
    cycles: int = CYCLES,
    warm_up: float = WARM_UP,
    cooldown: float = COOLDOWN,
) -> Policy:
    """A whole training of that kind."""
    check_choice("kind", kind, KINDS)
    total_steps = check_steps("total_steps", total_steps)
    half = max(1, round(total_steps / (2 * cycles)))
    if kind == "triangular":
        return triangular(base_lr, max_lr, half)
    if kind == "triangular2":
        return triangular2(base_lr, max_lr, half)
    if kind == "warm_restarts":
        return warm_restarts(0.0, max_lr, 2 * half)
    if kind == "one_cycle":
        return one_cycle(max_lr, total_steps)
    if kind == "linear":
        return decay(max_lr, 0.0, total_steps)
    if kind == "cosine":
        return chain([(warm_restarts(0.0, max_lr, total_steps), total_steps)])
    up = max(2, round(check_float("warm_up", warm_up, 0.0, 1.0) * total_steps))
    down = max(1, round(check_float("cooldown", cooldown, 0.0, 1.0) * total_steps))
    return chain(
        [
            (linear_sweep(max_lr / up, max_lr, up), up),
            (constant(max_lr), total_steps - up - down),
            (decay(max_lr, 0.0, down), down),
        ]
    )
