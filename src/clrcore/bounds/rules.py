"""The table of rules: what `suggest_bounds` knows by name, one line each."""

from __future__ import annotations

from .._values import Value
from .accuracy import accuracy_rule
from .loss import loss_rule
from .peers import minimum, steepest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..curve import Curve
    from .reading import Reading


class Rule(Value):
    """How one curve is read: function, the metric it needs, and what it does in a line."""

    __slots__ = ("description", "function", "needs")
    function: Callable[[Curve], Reading]
    needs: str
    description: str

    def __init__(self, function: Callable[[Curve], Reading], needs: str, description: str) -> None:
        self._set(function=function, needs=needs, description=description)


RULES = {
    "loss": Rule(loss_rule, "loss", "middle of the loss's plateau, corrected for lag"),
    "accuracy": Rule(accuracy_rule, "accuracy", "the paper's: where accuracy rises and falls"),
    "steepest": Rule(steepest, "loss", "fastest fall per log rate (fastai's steep)"),
    "minimum": Rule(minimum, "loss", "a tenth of the rate of the lowest loss (fastai's minimum)"),
}
