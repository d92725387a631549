"""The kinds of warnings and refusals: words that code can compare."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self

KINDS = {
    "slow_start": "the loss fell by a small fraction of its start only",
    "fall_over": "the fall was over before the rate had moved",
    "end_not_reached": "the sweep ended before the metric got worse again",
    "start_not_seen": "the metric was changing from the first rates on",
    "running_average": "the values are a running average, not those of each update",
    "noise": "the change of the metric is not larger than its noise",
    "no_fall": "the metric did not get better up to the last rate",
    "diverged_at_start": "the metric only got worse from the first rates on",
    "few_points": "there are too few points for a sure answer, or for any",
    "no_values": "no finite value was recorded",
    "not_a_sweep": "the rates do not rise",
    "metrics_disagree": "loss and accuracy ask for different rates",
    "other_metric": "the accuracy rule had no answer, so the loss was read",
    "ramp_length": "base_lr depends on the length of the ramp",
    "ramp_shape": "the accuracy rule is meant for a linear ramp of several epochs",
    "not_held_out": "the accuracy is not known to be of held-out data",
    "interval_at_edge": "an interval ends where the sweep does",
    "no_interval": "the rule gives a single rate and does not know how sure it is",
    "seeds_disagree": "the curves of several seeds differ by more than a factor of 3",
    "curves_left_out": "some curves carry no answer",
    "none_trains": "no trial run of a confirmation trained",
    "trials_at_edge": "the answer of the trial runs is at the smallest or the largest rate tried",
    "trials_tie": "all trial runs end alike, so that any of their rates may be taken",
    "unknown": "a warning of another program",
}


class BoundsWarning(str):
    """A warning in words, with its kind.

    Attributes:
        kind: The kind, a key of `clrcore.bounds.KINDS`.

    Example:
        >>> warning = BoundsWarning("The sweep is short.", "few_points")
        >>> warning.kind, warning
        ('few_points', 'The sweep is short.')
    """

    __slots__ = ("kind",)
    kind: str

    def __new__(cls, text: str, kind: str = "unknown") -> Self:
        """A warning with this text and this kind."""
        warning = super().__new__(cls, text)
        warning.kind = kind
        return warning

    def __getnewargs__(self) -> tuple[Any, ...]:
        return str(self), self.kind
