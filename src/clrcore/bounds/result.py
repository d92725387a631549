"""What a range test answers: the bounds, how sure they are, and why."""

from __future__ import annotations

from .. import compose, policies
from .._values import Value
from ..arguments import check_choice, check_float, check_order, refuse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from ..policy import Policy

VERSION = 1

# Constructors of policies between two bounds with a step size.
KINDS: dict[str, Callable[..., Policy]] = {
    "triangular": policies.triangular,
    "triangular2": policies.triangular2,
    "exp_range": policies.exp_range,
    "cyclic": policies.cyclic,
    "decay": policies.decay,
    "smith_one_cycle": compose.smith_one_cycle,
}


class Bounds(Value):
    """Learning rates read off range tests. Immutable; made by `suggest_bounds`.

    base_lr, max_lr: bounds of a cyclic policy, in the optimizer's unit.
    lr: the rate for training at a constant rate; base_lr <= lr <= max_lr.
    lr_interval: (low, high), meant to contain the best constant rate.
    max_lr_interval: (low, high), meant to contain the largest rate that trains.
    rule: name of the rule that read them. reasons: how it came to them, in words.
    warnings: what makes them less sure than the intervals say, in words; empty is good.

    >>> import clrcore
    >>> curve = clrcore.Curve([10 ** (k / 30 - 4) for k in range(100)],
    ...                       [2.3 / (1 + 10 ** (k / 30 - 2)) for k in range(80)] + [9.0] * 20)
    >>> bounds = clrcore.suggest_bounds(curve)
    >>> bounds.policy(step_size=2000).max_lr == bounds.max_lr
    True
    """

    __slots__ = (
        "base_lr",
        "lr",
        "lr_interval",
        "max_lr",
        "max_lr_interval",
        "reasons",
        "rule",
        "warnings",
    )
    base_lr: float
    max_lr: float
    lr: float
    lr_interval: tuple[float, float]
    max_lr_interval: tuple[float, float]
    rule: str
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]

    def __init__(
        self,
        *,
        base_lr: float,
        max_lr: float,
        lr: float,
        lr_interval: tuple[float, float],
        max_lr_interval: tuple[float, float],
        rule: str,
        reasons: Sequence[str] = (),
        warnings: Sequence[str] = (),
    ) -> None:
        base_lr = check_float("base_lr", base_lr, 0.0)
        max_lr = check_float("max_lr", max_lr, 0.0)
        check_order("base_lr", base_lr, "max_lr", max_lr)
        if not isinstance(rule, str):
            refuse(TypeError, "rule", "the name of a rule", rule)
        self._set(
            base_lr=base_lr,
            max_lr=max_lr,
            lr=check_float("lr", lr, base_lr, max_lr),
            lr_interval=_interval("lr_interval", lr_interval),
            max_lr_interval=_interval("max_lr_interval", max_lr_interval),
            rule=rule,
            reasons=_sentences("reasons", reasons),
            warnings=_sentences("warnings", warnings),
        )

    def policy(self, step_size: int, kind: str = "triangular2", **arguments: Any) -> Policy:
        """A policy that moves between these bounds.

        step_size: half a cycle, in steps; 2 to 10 epochs serve well (paper, section 3.2).
        kind: name of the constructor: triangular, triangular2, exp_range, cyclic, decay or
            smith_one_cycle.
        arguments: its other arguments, by name, such as gamma and decays of exp_range.
        Raises ValueError for an unknown kind, and what the constructor raises.
        """
        constructor = KINDS[check_choice("kind", kind, KINDS)]
        return constructor(
            base_lr=self.base_lr, max_lr=self.max_lr, step_size=step_size, **arguments
        )

    def to_dict(self) -> dict[str, Any]:
        """The bounds as plain data, valid as JSON."""
        plain = {name: getattr(self, name) for name in self.__slots__}
        listed = {
            key: list(item) if isinstance(item, tuple) else item for key, item in plain.items()
        }
        return {"version": VERSION, **listed}

    def __str__(self) -> str:
        low, high = self.lr_interval
        least, most = self.max_lr_interval
        lines = [
            f"cycle between base_lr={self.base_lr:.3g} and max_lr={self.max_lr:.3g}, "
            f"or train at a constant lr={self.lr:.3g} (rule: {self.rule})",
            f"the best constant rate lies between {low:.3g} and {high:.3g}; "
            f"the largest rate that trains between {least:.3g} and {most:.3g}",
            *(f"because {reason}" for reason in self.reasons),
            *(f"warning: {warning}" for warning in self.warnings),
        ]
        return "\n".join(lines)


def _sentences(name: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
        refuse(TypeError, name, "a list of sentences", value)
    return tuple(value)


def _interval(name: str, value: tuple[float, float]) -> tuple[float, float]:
    if not isinstance(value, tuple | list) or len(value) != 2:
        refuse(TypeError, name, "a pair (low, high)", value)
    low, high = (check_float(f"{name}[{i}]", end, 0.0) for i, end in enumerate(value))
    check_order(f"{name}[0]", low, f"{name}[1]", high)
    return low, high
