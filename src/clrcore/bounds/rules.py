"""The table of rules: what `suggest_bounds` knows by name, one line each."""

from __future__ import annotations

from .._values import Value
from . import peers
from .accuracy import accuracy_rule
from .loss import loss_rule

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
    "loss": Rule(loss_rule, "loss", "where the loss has fallen most, corrected for lag"),
    "accuracy": Rule(accuracy_rule, "accuracy", "the paper's: where accuracy rises and falls"),
    "steepest": Rule(peers.steepest, "loss", "fastai's steep: fastest fall per log rate"),
    "valley": Rule(peers.valley, "loss", "fastai's valley: middle of the longest fall"),
    "slide": Rule(peers.slide, "loss", "fastai's slide: where the slope begins to change"),
    "minimum": Rule(peers.minimum, "loss", "fastai's minimum: rate of the lowest loss / 10"),
    "torch_lr_finder": Rule(peers.torch_lr_finder, "loss", "fastest fall per point"),
    "ignite": Rule(peers.ignite, "loss", "fastest fall per point before the lowest loss"),
    "lightning": Rule(peers.lightning, "loss", "from 2.5.3 on: fastest fall per rate"),
    "lightning_before_2_5_3": Rule(peers.lightning_before, "loss", "fastest fall per point"),
    "ktrain_minimum": Rule(peers.ktrain_minimum, "loss", "rate of the lowest loss / 5"),
    "ktrain_gradient": Rule(peers.ktrain_gradient, "loss", "fastest fall, 32 points early"),
    "keras_lr_finder": Rule(peers.keras_lr_finder, "loss", "largest fall over 20 points"),
    "pytorch_forecasting": Rule(
        peers.pytorch_forecasting, "loss", "fastest fall per point, smoothed over the rate"
    ),
    "neuralprophet": Rule(peers.neuralprophet, "loss", "mean of two fastest falls"),
    "kneed_concave": Rule(peers.knee, "loss", "Kneedle's shoulder, where the fall begins"),
    "kneed_convex": Rule(peers.elbow, "loss", "Kneedle's elbow, where the fall ends"),
}


def bound_rules() -> dict[str, tuple[str, str]]:
    """The rules that `suggest_bounds` takes by name.

    Returns:
        Name of each rule -> its description, and the metric it needs: "loss" or "accuracy".

    Example:
        >>> import clrcore
        >>> clrcore.bound_rules()["minimum"]
        ("fastai's minimum: rate of the lowest loss / 10", 'loss')
    """
    return {name: (rule.description, rule.needs) for name, rule in RULES.items()}
