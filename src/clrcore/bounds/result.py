"""The answer of a range test: the bounds, how sure they are, and why."""

from __future__ import annotations

from .. import _html, compose, planning, policies
from .._values import Value
from ..arguments import (
    check_choice,
    check_float,
    check_keys,
    check_order,
    check_version,
    hint_at,
    listed,
    refuse,
)
from ..trials import TrialResult
from .kinds import BoundsWarning

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any, NoReturn

    from ..policy import Policy

VERSION = 1
# A confirmed rate further from the suggestion than this factor was moved.
MOVED = 2.0

# Constructors of policies between two bounds with a step size.
POLICIES: dict[str, Callable[..., Policy]] = {
    "triangular": policies.triangular,
    "triangular2": policies.triangular2,
    "exp_range": policies.exp_range,
    "cyclic": policies.cyclic,
    "decay": policies.decay,
    "smith_one_cycle": compose.smith_one_cycle,
}


LENGTH = "pass total_steps, the updates of the whole training: epochs * steps_per_epoch"


class Bounds(Value):
    """Learning rates from range tests. Immutable; `suggest_bounds` creates it.

    Args:
        base_lr: Lower bound of a cyclic policy.
        max_lr: Upper bound of a cyclic policy.
        lr: Rate for training at a constant rate; base_lr <= lr <= max_lr.
        lr_interval: (low, high), meant to contain the best constant rate.
        max_lr_interval: (low, high), meant to contain the largest rate that trains.
        rule: Name of the rule that gave them.
        reasons: How the rule came to them, in sentences.
        warnings: What makes them less sure, in sentences; empty is good. Each has a `kind`, a key
            of `clrcore.bounds.KINDS`.
        trials: The short trial runs that confirmed or moved them; empty without confirmation.

    Raises:
        TypeError: For an argument of the wrong type; the message names it.
        ValueError: For rates or intervals that are not in order.

    Example:
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
        "trials",
        "warnings",
    )
    base_lr: float
    max_lr: float
    lr: float
    lr_interval: tuple[float, float]
    max_lr_interval: tuple[float, float]
    rule: str
    reasons: tuple[str, ...]
    warnings: tuple[BoundsWarning, ...]
    trials: tuple[TrialResult, ...]

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
        trials: Sequence[TrialResult] = (),
    ) -> None:
        base_lr = check_float("base_lr", base_lr, 0.0)
        max_lr = check_float("max_lr", max_lr, 0.0)
        check_order("base_lr", base_lr, "max_lr", max_lr)
        if not isinstance(rule, str):
            refuse(TypeError, "rule", "the name of a rule", rule)
        if not isinstance(trials, list | tuple) or not all(
            isinstance(trial, TrialResult) for trial in trials
        ):
            refuse(TypeError, "trials", "a list of trial results", trials)
        self._set(
            base_lr=base_lr,
            max_lr=max_lr,
            lr=check_float("lr", lr, base_lr, max_lr),
            lr_interval=_interval("lr_interval", lr_interval),
            max_lr_interval=_interval("max_lr_interval", max_lr_interval),
            rule=rule,
            reasons=_sentences("reasons", reasons),
            warnings=tuple(
                text if isinstance(text, BoundsWarning) else BoundsWarning(text)
                for text in _sentences("warnings", warnings)
            ),
            trials=tuple(trials),
        )

    @hint_at(
        **dict.fromkeys(("epochs", "num_epochs"), LENGTH),
        **dict.fromkeys(("step_size_up", "stepsize", "half_cycle"), "use step_size"),
        **dict.fromkeys(("mode", "policy", "schedule"), "use kind"),
        max_updates=LENGTH,
        num_steps=LENGTH,
    )
    def policy(
        self,
        step_size: int | None = None,
        kind: str | None = None,
        *,
        total_steps: int | None = None,
        **arguments: Any,
    ) -> Policy:
        """A policy between these bounds, or for a whole training of a known length.

        Args:
            step_size: Half a cycle, in steps; 2 to 10 epochs serve well (paper, section 3.2). The
                policy moves between base_lr and max_lr.
            kind: With step_size: triangular, triangular2 (the default), exp_range, cyclic, decay
                or smith_one_cycle. With total_steps: triangular, triangular2, warm_restarts,
                one_cycle (the default), linear, cosine or wsd.
            total_steps: Updates of the whole training instead; the peak is a multiple of lr that
                suits the kind, at most max_lr.
            arguments: The other arguments of the kind, by name: gamma and decays of exp_range;
                cycles (4 unless given) and base_lr of triangular, triangular2 and warm_restarts;
                warm_up and cooldown of wsd, as shares of the training (0.05 and 0.2).

        Raises:
            TypeError: Where neither or both of step_size and total_steps are given, and for rates
                that these bounds give.
            ValueError: For an unknown kind, and as the constructor raises.
        """
        if (step_size is None) == (total_steps is None):
            got = "neither" if step_size is None else "both"
            message = (
                f"policy() needs either step_size, half a cycle in updates, or total_steps, the "
                f"updates of the whole training; got {got}"
            )
            allowed = f"given where {'total_steps' if step_size is None else 'step_size'} is not"
            name = "step_size" if step_size is None else "total_steps"
            refuse(TypeError, name, allowed, total_steps, message=message)
        own = ("max_lr",) if step_size is None else ("base_lr", "max_lr")
        for name in own:
            if name in arguments:
                message = f"policy() has no argument {name!r} here: these bounds give it"
                advice = "call the constructor, such as clrcore.triangular2, for other rates"
                refuse(TypeError, name, "absent", arguments[name], message=message, advice=advice)
        if total_steps is not None:
            kind = _check_kind(
                "one_cycle" if kind is None else kind, planning.SCHEDULES, "step_size"
            )
            peak = min(planning.PEAKS[kind] * self.lr, self.max_lr)
            return planning.planned(kind, peak, total_steps, **arguments)
        kind = _check_kind("triangular2" if kind is None else kind, POLICIES, "total_steps")
        return POLICIES[kind](
            base_lr=self.base_lr, max_lr=self.max_lr, step_size=step_size, **arguments
        )

    def explain(self) -> str:
        """The answer in words, with its reasons and warnings."""
        return "\n".join([*self._lines(), "reasons:", *(f"- {text}" for text in self.reasons)])

    def to_dict(self) -> dict[str, Any]:
        """The bounds as plain data, valid as JSON."""
        return {
            "version": VERSION,
            "base_lr": self.base_lr,
            "lr": self.lr,
            "max_lr": self.max_lr,
            "lr_interval": list(self.lr_interval),
            "max_lr_interval": list(self.max_lr_interval),
            "rule": self.rule,
            "reasons": list(self.reasons),
            "warnings": [str(warning) for warning in self.warnings],
            "warning_kinds": [warning.kind for warning in self.warnings],
            "trials": [trial.to_dict() for trial in self.trials],
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Bounds:
        """The bounds that `to_dict` described.

        Raises:
            TypeError: For data of the wrong type.
            ValueError: For another version, missing or unknown keys, or values refused by `Bounds`.
        """
        if isinstance(data, dict):  # dictionaries of 0.1.0 lack both
            unknown = ["unknown" for _ in _sentences("warnings", data.get("warnings", []))]
            data = {"warning_kinds": unknown, "trials": [], **data}
        check_keys("data", data, ["version", "warning_kinds", *cls.__slots__])
        check_version("data", data["version"], VERSION)
        given = {name: data[name] for name in cls.__slots__}
        texts = _sentences("warnings", data["warnings"])
        kinds = _sentences("warning_kinds", data["warning_kinds"])
        if len(kinds) != len(texts):
            allowed = f"as many kinds as there are warnings, {len(texts)}"
            refuse(ValueError, "warning_kinds", allowed, data["warning_kinds"])
        given["warnings"] = [BoundsWarning(*pair) for pair in zip(texts, kinds, strict=True)]
        if not isinstance(data["trials"], list):
            refuse(TypeError, "trials", "a list", data["trials"])
        given["trials"] = [TrialResult.from_dict(trial) for trial in data["trials"]]
        return cls(**given)

    def __repr__(self) -> str:
        kinds = [warning.kind for warning in self.warnings]
        return (
            f"Bounds(base_lr={self.base_lr:.3g}, lr={self.lr:.3g}, max_lr={self.max_lr:.3g}, "
            f"rule={self.rule!r}, warnings={kinds})"
        )

    def _repr_html_(self) -> str:
        return _html.table(
            [
                ("lr", f"{self.lr:.3g}" + _expected("the best rate is", self.lr_interval)),
                ("base_lr", f"{self.base_lr:.3g}"),
                (
                    "max_lr",
                    f"{self.max_lr:.3g}"
                    + _expected("the largest rate that trains is", self.max_lr_interval),
                ),
                ("rule", f"{self.rule}; {self._confirmed()}"),
                *(("warning", warning) for warning in self.warnings),
            ]
        )

    @property
    def plot(self) -> NoReturn:
        """There is none: `clr_adapters.plot` draws the curve or the trials."""
        raise AttributeError(
            "Bounds have no plot: use clr_adapters.plot.plot_range_test(curve), or "
            "plot_confirmation(bounds) for their trials"
        )

    def __str__(self) -> str:
        return "\n".join(self._lines(more="; explain() gives the reasons"))

    def _confirmed(self) -> str:
        """Whether trials have confirmed the answer, in words."""
        if not self.trials:
            return "not confirmed by trial runs"
        suggested, trials = self.trials[0].lr, len(self.trials)
        if suggested / MOVED <= self.lr <= suggested * MOVED:
            return f"confirmed by {trials} trial runs"
        return f"moved from {suggested:.3g} by {trials} trial runs"

    def _lines(self, more: str = "") -> list[str]:
        return [
            f"lr={self.lr:.3g} for a constant rate or the peak of one cycle"
            + _expected("the best is", self.lr_interval),
            f"base_lr={self.base_lr:.3g}, max_lr={self.max_lr:.3g} for cycles"
            + _expected("the largest rate that trains is", self.max_lr_interval),
            f"rule: {self.rule}; {self._confirmed()}{more}",
            *(f"warning: {warning}" for warning in self.warnings),
        ]


def _check_kind(kind: str, allowed: Iterable[str], other: str) -> str:
    """The kind, if it is allowed; the advice names the other length where that allows it."""
    allowed = list(allowed)
    if kind == "constant":
        advice = "for a constant rate use clrcore.constant(bounds.lr)"
        refuse(ValueError, "kind", f"one of {listed(allowed)}", kind, advice=advice)
    if kind not in allowed and kind in (*planning.SCHEDULES, *POLICIES):
        advice = f"for this kind pass {other} instead"
        refuse(ValueError, "kind", f"one of {listed(allowed)}", kind, advice=advice)
    return check_choice("kind", kind, allowed)


def _expected(what: str, interval: tuple[float, float]) -> str:
    """Where a rate is expected; nothing for rules that do not know."""
    low, high = interval
    return f"; {what} expected between {low:.3g} and {high:.3g}" if low < high else ""


def _sentences(name: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(text, str) for text in value):
        refuse(TypeError, name, "a list of sentences", value)
    return tuple(value)


def _interval(name: str, value: tuple[float, float]) -> tuple[float, float]:
    if not isinstance(value, tuple | list) or len(value) != 2:
        refuse(TypeError, name, "a pair (low, high)", value)
    low, high = (check_float(f"{name}[{i}]", end, 0.0) for i, end in enumerate(value))
    check_order(f"{name}[0]", low, f"{name}[1]", high)
    return low, high
