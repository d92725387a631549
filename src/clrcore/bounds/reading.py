"""What a rule reads off one curve, before the curves of several seeds are put together."""

from __future__ import annotations

from .._values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Reading(Value):
    """One rule's answer for one curve; every rate is a log10.

    lr, base, top: the constant rate and the bounds of a cycle, base <= lr <= top.
    lr_low, lr_high: where the best constant rate is expected.
    top_low, top_high: where the largest rate that trains is expected.
    reasons: sentences. warnings: kind of warning -> sentence; one kind is told once, however
    many curves show it.
    """

    __slots__ = (
        "base",
        "lr",
        "lr_high",
        "lr_low",
        "reasons",
        "top",
        "top_high",
        "top_low",
        "warnings",
    )
    base: float
    lr: float
    lr_high: float
    lr_low: float
    reasons: tuple[str, ...]
    top: float
    top_high: float
    top_low: float
    warnings: Mapping[str, str]

    def __init__(
        self,
        *,
        base: float,
        lr: float,
        top: float,
        lr_span: tuple[float, float],
        top_span: tuple[float, float],
        reasons: Sequence[str],
        warnings: Mapping[str, str],
    ) -> None:
        self._set(
            base=base,
            lr=lr,
            top=top,
            lr_low=lr_span[0],
            lr_high=lr_span[1],
            top_low=top_span[0],
            top_high=top_span[1],
            reasons=tuple(reasons),
            warnings=warnings,
        )
