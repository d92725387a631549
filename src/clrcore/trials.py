"""Trial runs: a few updates at a rate, and their losses."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from ._plain import from_plain, to_plain
from .arguments import (
    LARGEST_SEED,
    check_float,
    check_int,
    check_keys,
    check_optional,
    float_from_scalar,
    refuse,
)
from .policy import Policy
from .runs import Run

# The mean loss of this last fraction of a trial is the loss at its end.
LAST = 0.2


class TrialResult(NamedTuple):
    """What a trial run gave. Immutable.

    Attributes:
        lr: The rate that was tried: a constant, or the constant that a rehearsed schedule is
            planned from.
        seed: The seed of the run.
        losses: The losses of the mini-batches, in order; the last may be NaN or infinite.
        held_out_losses: The held-out losses, in order, or empty.
    """

    lr: float
    seed: int
    losses: tuple[float, ...]
    held_out_losses: tuple[float, ...] = ()

    @property
    def loss(self) -> float:
        """The loss that decides: at the end of the run; infinite where the run broke down.

        It is the mean of the last held-out losses where there are any, otherwise that of the
        last fifth of the training losses.
        """
        deciding = self.held_out_losses or self.losses
        if not all(map(math.isfinite, (*self.losses, *self.held_out_losses))) or not deciding:
            return math.inf
        return mean(last(deciding))

    def to_dict(self) -> dict[str, Any]:
        """The result as plain data, valid as JSON."""
        return {
            "lr": self.lr,
            "seed": self.seed,
            "losses": to_plain(self.losses),
            "held_out_losses": to_plain(self.held_out_losses),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> TrialResult:
        """The result that `to_dict` described.

        Raises:
            TypeError: For data of the wrong type.
            ValueError: For missing or unknown keys, and values that are not allowed.
        """
        check_keys("trial", data, cls._fields)
        losses, held_out = (_losses(name, data[name]) for name in ("losses", "held_out_losses"))
        if len(held_out) > len(losses):
            allowed = f"at most {len(losses)} values, the number of losses"
            refuse(ValueError, "held_out_losses", allowed, held_out)
        lr = check_float("lr", data["lr"], 0.0, above=True)
        return cls(lr, check_int("seed", data["seed"], 0, LARGEST_SEED), losses, held_out)


class Trial(Run):
    """A short run at one rate, from `Confirmation`.

    Iterate over it for the rates of the updates, train one batch at each, and record the loss.
    Where reading a loss is slow, take a block of rates with `next_rates` and record it with
    `record_block`. The first loss that is not finite ends the trial.

    Attributes:
        lr: The rate that is tried.
        seed: The seed for the run's randomness.
        policy: The rates of its updates.
        total_steps: Number of its updates.
        reason: Why the trial ended, in words; None before its end.
    """

    def __init__(self, lr: float, seed: int, policy: Policy, num_steps: int) -> None:
        super().__init__(policy, num_steps, f"trial at lr={lr:.3g}", "held-out loss")
        self.lr = lr
        self.seed = seed

    @property
    def policy(self) -> Policy:
        """The rates of its updates."""
        return self._policy

    @property
    def smoothed_loss(self) -> float | None:
        """Mean of about the last ten losses, for progress bars; None before the first."""
        return mean([loss for loss, _ in self._points[-10:]]) if self._points else None

    @property
    def result(self) -> TrialResult:
        """What was recorded so far."""
        losses = tuple(loss for loss, _ in self._points)
        held_out = tuple(loss for _, loss in self._points if loss is not None)
        return TrialResult(self.lr, self.seed, losses, held_out)

    def validation_due(self, ahead: int = 0) -> bool:
        """Whether held-out loss is to be evaluated after the next update, if there are data.

        It is due after the last update.

        Args:
            ahead: Updates since the last recorded update, for drivers that work in blocks.
        """
        return self.step_count + ahead + 1 == self.total_steps

    def record(self, *, loss: Any, held_out_loss: Any = None) -> None:
        """Record the loss of the update at the last rate.

        Args:
            loss: Loss of the mini-batch, before the update.
            held_out_loss: Loss of held-out data, after the update; it may be left out. Where
                held-out losses are given, they decide.

        Raises:
            TypeError: For anything that is not a number.
            RuntimeError: There is no rate to record for.
        """
        self._record(self._point(loss, held_out_loss))

    def record_block(
        self, losses: Sequence[Any], held_out_losses: Sequence[Any] | None = None
    ) -> int:
        """Take the losses of several updates at once, in order, up to the end of the trial.

        Args:
            losses: One loss per update, as in `record`.
            held_out_losses: A held-out loss per update, or None for an update without.

        Returns:
            The number of updates recorded.

        Raises:
            TypeError: For a loss that is not a number; then nothing is recorded.
            ValueError: For columns of different lengths, or longer than the block.
        """
        return self._record_block("held_out_losses", losses, held_out_losses)

    def _point(self, loss: Any, held_out_loss: Any) -> tuple[float, float | None]:
        held_out = check_optional(float_from_scalar, "held_out_loss", held_out_loss)
        return float_from_scalar("loss", loss), held_out

    def __repr__(self) -> str:
        name = f"Trial(lr={self.lr:.3g}, seed={self.seed})"
        return f"{name} after {self.step_count} of {self.total_steps} updates"


def _losses(name: str, column: object) -> tuple[float, ...]:
    """The losses of a result's plain data."""
    values = from_plain(name, column)
    losses = tuple(loss for loss in values if loss is not None)
    if len(losses) < len(values):
        refuse(TypeError, name, "a list of numbers", column)
    if not all(map(math.isfinite, losses[:-1])):
        refuse(ValueError, name, "finite up to the last, which ends a trial", column)
    return losses


def last(values: Sequence[float]) -> Sequence[float]:
    """The last fifth, at least one value."""
    return values[-max(1, round(LAST * len(values))) :]


def mean(values: Sequence[float]) -> float:
    """The mean; infinite where a value is not finite."""
    return math.fsum(values) / len(values) if all(map(math.isfinite, values)) else math.inf


def spread(values: Sequence[float]) -> float:
    """The standard deviation, from neighbouring values, so that a trend does not count."""
    steps = [b - a for a, b in itertools.pairwise(values)]
    return math.sqrt(math.fsum(s * s for s in steps) / (2 * len(steps))) if steps else 0.0


def standard_error(values: Sequence[float]) -> float:
    """The standard error of the mean."""
    return spread(values) / math.sqrt(len(values))
