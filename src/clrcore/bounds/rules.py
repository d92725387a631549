"""The table of the rules that `suggest_bounds` knows by name."""

from __future__ import annotations

from typing import NamedTuple

from . import peers
from .accuracy import accuracy_rule
from .loss import loss_rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..curve import Curve
    from .answer import Answer


class Rule(NamedTuple):
    """How one curve is read.

    Attributes:
        function: Gives the answer for one curve.
        metric: The metric that it needs, "loss" or "accuracy".
        description: What it does.
    """

    function: Callable[[Curve], Answer]
    metric: str
    description: str


RULES = {
    "loss": Rule(loss_rule, "loss", "where the loss falls most, corrected for the sweep's length"),
    "accuracy": Rule(accuracy_rule, "accuracy", "the paper's: where accuracy rises and falls"),
    "steepest": Rule(peers.steepest, "loss", "fastai's steep: fastest fall per log rate"),
    "valley": Rule(peers.valley, "loss", "fastai's valley: middle of the longest fall"),
    "slide": Rule(peers.slide, "loss", "fastai's slide: where the slope begins to change"),
    "minimum": Rule(peers.minimum, "loss", "fastai's minimum: rate of the lowest loss / 10"),
    "torch_lr_finder": Rule(peers.torch_lr_finder, "loss", "fastest fall per point"),
    "ignite": Rule(peers.ignite, "loss", "fastest fall per point before the lowest loss"),
    "lightning": Rule(peers.lightning, "loss", "from 2.5.3 on: fastest fall per rate"),
    "ktrain_minimum": Rule(peers.ktrain_minimum, "loss", "rate of the lowest loss / 5"),
    "keras_lr_finder": Rule(peers.keras_lr_finder, "loss", "largest fall over 20 points"),
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
    return {name: (rule.description, rule.metric) for name, rule in RULES.items()}
