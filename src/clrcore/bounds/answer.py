"""The answer of a rule for one curve, before the curves of several seeds are combined."""

from __future__ import annotations

from typing import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Answer(NamedTuple):
    """A rule's answer for one curve; every rate is a log10.

    Attributes:
        base: Lower bound of a cycle.
        lr: The constant rate; base <= lr <= top.
        top: Upper bound of a cycle.
        lr_span: Where the best constant rate is expected.
        top_span: Where the largest rate that trains is expected.
        reasons: How the rule came to the rates, in sentences.
        warnings: Kind of warning -> sentence.
    """

    base: float
    lr: float
    top: float
    lr_span: tuple[float, float]
    top_span: tuple[float, float]
    reasons: Sequence[str]
    warnings: Mapping[str, str]
