"""Short trial runs that confirm or move a suggested rate.

A suggestion from a range test is right in most settings and wrong by a factor in some. A few
short runs at rates around it find out. Nothing here knows a framework.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

from .arguments import (
    check_choice,
    check_float,
    check_int,
    check_optional,
    check_seeds,
    check_state,
    check_steps,
    check_type,
    float_from_number,
    hint_at,
    is_same,
    refuse,
)
from .decision import extension, ties, vertex
from .errors import ArgumentValueError, NoBoundsError
from .planning import PEAKS, SCHEDULES, planned
from .policies import constant
from .policy import Policy
from .trials import Trial, TrialResult, last, mean, spread, standard_error

if TYPE_CHECKING:
    from .bounds import Bounds, BoundsWarning

VERSION = 1
# Rates of neighbouring trials differ by half a decade.
STEP = math.sqrt(10.0)
# Trials around the suggestion, by their distance in steps, in the order they are run.
FIRST_TRIALS = (0, -1, 1, -2)
LEAST_RATES, MOST_RATES = 3, 6
# Updates of a trial.
TRIAL_STEPS = 200
# Rates whose trials end this near the best, by the same measure, are named in the answer.
NEAR = 0.02
# Longer trainings want lower rates: by (updates of the training / of a trial) to this power.
# Fitted by `python benchmarks/long.py --fit`.
CARRY = 0.15
# The length, in trials, that a training of unknown length is taken to have.
UNKNOWN_LENGTH = 2.0
# A trial trains where its loss has fallen by this fraction of the best trial's fall.
TRAINS = 0.5
# The mean loss of this first fraction of the slowest trial is the loss at the start.
FIRST = 0.025
# The kinds of losses that show whether a rate trains, in this order, with the fewest of them in a
# trial: fewer held-out losses do not show their noise.
FEWEST = {"losses": 1, "held_out_losses": 8}
# A fall counts from so many standard errors of its mean on.
SURE = 3.5
# The band around the tied rates that the best constant rate is expected in, in steps.
BAND = 0.7


class Confirmation:
    """A few short runs at rates around a suggestion, which confirm or move it.

    Iterate over it for trials. Before each trial, put the model and the optimizer back to the
    same start, and seed with `trial.seed` where you can. The first trials are at the suggested
    rate, at half a decade below and above it, and at a decade below. While the best trial is at
    an edge, a further trial follows beyond it. The answer comes from the smallest rate that ties
    with the best, or from the suggestion where all trials tie: refined by a parabola through its
    neighbours, and carried to the length of the planned training.

    Args:
        bounds_or_rate: The suggestion: `Bounds`, or a constant rate > 0.
        num_steps: Updates of each trial, an integer >= 2, never more than total_steps.
        total_steps: Updates of the planned training, if known. Longer trainings want lower
            rates, so the answer is carried to this length.
        kind: "constant", or the schedule of the planned training, compressed into num_steps
            updates: a kind of `Bounds.policy(total_steps=...)`.
        seeds: None for seed 0; a number n for the seeds 0..n-1; or the seeds. With several,
            each rate is tried with each seed, and the mean decides.
        max_updates: The most updates that all trials may make, at least those of three trials
            with each seed; by default six trials with each seed. There are never more than six
            rates.

    Raises:
        TypeError: For an argument of the wrong type; the message names it.
        ValueError: For a value that is not allowed.

    Example:
        >>> import clrcore
        >>> check = clrcore.Confirmation(0.01, num_steps=50)
        >>> check.most_updates
        300
        >>> for trial in check:
        ...     weight = 1.0
        ...     for lr in trial:
        ...         trial.record(loss=weight**2)
        ...         weight -= lr * 2 * weight
        >>> 0.01 < check.bounds.lr < 0.1
        True
    """

    # Advice for arguments that users bring from elsewhere.
    HINTS: ClassVar[dict[str, str]] = {
        **dict.fromkeys(
            ("start_lr", "end_lr", "min_lr", "max_lr"),
            "trials are around a suggestion: pass it first, as Bounds or as a rate",
        ),
        **dict.fromkeys(("num_iter", "num_training"), "num_steps is the updates of each trial"),
        **dict.fromkeys(
            ("epochs", "num_epochs"),
            "pass total_steps, the updates of the planned training: epochs * steps_per_epoch",
        ),
    }

    @hint_at(**HINTS)
    def __init__(
        self,
        bounds_or_rate: Bounds | float,
        num_steps: int = TRIAL_STEPS,
        *,
        total_steps: int | None = None,
        kind: str = "constant",
        seeds: int | Sequence[int] | None = None,
        max_updates: int | None = None,
    ) -> None:
        self._suggested, self._rate = _suggestion(bounds_or_rate)
        self._total_steps = check_optional(check_steps, "total_steps", total_steps)
        self._num_steps = check_steps("num_steps", num_steps, 2)
        if self._total_steps is not None:
            self._num_steps = max(2, min(self._num_steps, self._total_steps))
        self._kind = check_choice("kind", kind, ["constant", *SCHEDULES])
        try:
            self._policy(1.0)  # refuses a schedule that does not fit into num_steps
        except ArgumentValueError as error:
            whole = num_steps == self._num_steps
            name, short = ("num_steps", num_steps) if whole else ("total_steps", total_steps)
            refuse(ValueError, name, error.allowed, short)
        self._seeds = check_seeds("seeds", seeds) or [0]
        per_rate = self._num_steps * len(self._seeds)
        most_updates = MOST_RATES * per_rate
        max_updates = check_optional(check_int, "max_updates", max_updates, 1) or most_updates
        if max_updates < LEAST_RATES * per_rate:
            allowed = f">= {LEAST_RATES * per_rate}, for trials of {self._num_steps} updates at "
            allowed += f"{LEAST_RATES} rates"
            refuse(ValueError, "max_updates", allowed, max_updates, advice="or lower num_steps")
        self._most_rates = min(max_updates // per_rate, MOST_RATES)
        self._earlier: list[TrialResult] = []
        self._trial: Trial | None = None

    @property
    def most_updates(self) -> int:
        """The most updates that all trials together make."""
        return self._most_rates * self._num_steps * len(self._seeds)

    @property
    def updates(self) -> int:
        """Updates recorded in the trials that are over."""
        return sum(len(result.losses) for result in self._results)

    @property
    def current(self) -> Trial | None:
        """The current trial, until the next begins."""
        return self._trial

    @property
    def trials(self) -> tuple[TrialResult, ...]:
        """The results of the trials that are over, in the order they were run."""
        return tuple(self._results)

    @property
    def _results(self) -> list[TrialResult]:
        """The results of the trials that are over; a trial that is not over stays as it is."""
        if self._trial is None or self._trial.reason is None:
            return self._earlier
        return [*self._earlier, self._trial.result]

    def __iter__(self) -> Self:
        """Go on with the first trial that is not over; it starts again."""
        self._earlier, self._trial = self._results, None
        return self

    def __next__(self) -> Trial:
        """The next trial.

        Raises:
            RuntimeError: If the last trial is not over.
        """
        if self._trial is not None and self._trial.reason is None:
            raise RuntimeError(
                f"the trial at lr={self._trial.lr:.3g} is not over: it recorded "
                f"{self._trial.step_count} of {self._trial.total_steps} updates; iterate over it "
                "to its end, or call its end_early()"
            )
        self._earlier, self._trial = self._results, None
        following = self._next()
        if following is None:
            raise StopIteration
        self._trial = Trial(*following, self._policy(following[0]), self._num_steps)
        return self._trial

    def _policy(self, lr: float) -> Policy:
        if self._kind == "constant":
            return constant(lr)
        return planned(self._kind, PEAKS[self._kind] * lr, self._num_steps)

    def _lr(self, distance: float) -> float:
        return self._rate * float(STEP**distance)

    def _next(self) -> tuple[float, int] | None:
        """Rate and seed of the next trial; None after the last. It follows from the results."""
        rate, seed = divmod(len(self._results), len(self._seeds))
        if seed:
            return self._results[-1].lr, self._seeds[seed]
        if rate >= self._most_rates:
            return None
        if rate < len(FIRST_TRIALS):
            return self._lr(FIRST_TRIALS[rate]), self._seeds[0]
        beyond = extension(self._losses(), self._start(self._shown() or "losses"))
        return None if beyond is None else (self._lr(beyond), self._seeds[0])

    def _tried(self) -> dict[int, list[TrialResult]]:
        """The trials of each rate that was tried with all seeds, by steps from the suggestion."""
        many = len(self._seeds)
        ends = range(many, len(self._results) + 1, many)
        groups = [self._results[end - many : end] for end in ends]
        return {round(math.log(group[0].lr / self._rate, STEP)): group for group in groups}

    def _losses(self) -> dict[int, float]:
        """The deciding loss of each rate that was tried with all seeds."""
        return {k: mean([trial.loss for trial in group]) for k, group in self._tried().items()}

    def _start(self, kind: str) -> float:
        """The loss before any trial had moved: of the first few, unless all ends are higher."""
        few, *longer = (mean(early) for early, _ in self._early(kind))
        lowest = min(self._end(group, kind) for group in self._tried().values())
        return few if few > lowest else max(few, *longer)

    def _early(self, kind: str) -> list[tuple[Sequence[float], float]]:
        """The slowest trial's first few losses, its first fifth, and all, with their errors.

        The first few count where a loss falls steeply; more losses count where batches differ
        much. The error of a few losses comes from the others, as a single loss has no spread. A
        trial that broke down serves only where all did.
        """
        enough = [r for r in self._results if len(getattr(r, kind)) >= FEWEST[kind]]
        slowest = min(enough, key=lambda result: (math.isinf(result.loss), result.lr))
        values = getattr(slowest, kind)
        few, fifth = values[: max(1, round(FIRST * len(values)))], values[: len(last(values))]
        others = values[len(few) :] or values
        return [
            (few, spread(others) / math.sqrt(len(few))),
            (fifth, standard_error(fifth)),
            (values, standard_error(values)),
        ]

    @property
    def bounds(self) -> Bounds:
        """The answer that held. Needs NumPy.

        Raises:
            RuntimeError: Before the last trial.
            NoBoundsError: Where no trial trains; its kind is "none_trains".
        """
        if self._next() is not None:
            raise RuntimeError(
                f"the confirmation is not over: {len(self._results)} trials were run; iterate "
                "over it to its end"
            )
        losses = dict(sorted(self._losses().items()))
        shown = self._shown()
        if shown is None:
            span = f"from {self._lr(min(losses)):.3g} to {self._lr(max(losses)):.3g}"
            message = f"none of {len(losses)} rates {span} trains within {self._num_steps} updates"
            raise NoBoundsError(f"{message}: {self._failure(losses)}", "none_trains")
        return self._answer(losses, shown)

    def _failure(self, losses: dict[int, float]) -> str:
        """Why no rate trains, and what to do."""
        broken = sum(math.isinf(result.loss) for result in self._results)
        if broken == len(self._results):
            return "at every rate the loss was not finite; start lower, or check loss and data"
        if all(map(math.isinf, losses.values())):
            return (
                f"{broken} of {len(self._results)} runs diverged, at every rate that of at least "
                "one seed; start lower, or try fewer seeds"
            )
        if len({loss for result in self._results for loss in result.losses}) == 1:
            return (
                f"the training loss is {self._results[0].losses[0]:.4g} at every update; check "
                "that it depends on the parameters that the optimizer changes"
            )
        lowest = min(self._end(group, "losses") for group in self._tried().values())
        decides, best = self._decides(), min(losses.values())
        held_out = f"the lowest {decides} is {best:.4g}; " if decides != "loss" else ""
        return (
            f"the training loss starts at {self._start('losses'):.4g} and ends at "
            f"{lowest:.4g} at best; {held_out}"
            "use longer trials (num_steps; max_updates of find_bounds), another suggestion, or "
            "check that the model learns, and is not trained already"
        )

    def _decides(self) -> str:
        """The loss that decides, in words."""
        return "held-out loss" if any(r.held_out_losses for r in self._results) else "loss"

    def _end(self, group: Sequence[TrialResult], kind: str) -> float:
        """The mean loss at the end of the trials at a rate; infinite where it is not known."""
        series = [getattr(trial, kind) for trial in group]
        known = min(map(len, series)) >= FEWEST[kind]
        if not known or any(math.isinf(trial.loss) for trial in group):
            return math.inf
        return mean([mean(last(values)) for values in series])

    def _shown(self) -> str | None:
        """The kind of losses that show that a rate trains; None where no rate does."""
        groups = self._tried().values()
        return next((kind for kind in FEWEST if any(self._fell(g, kind) for g in groups)), None)

    def _fell(self, group: Sequence[TrialResult], kind: str) -> bool:
        """Whether the losses of a rate fell by more than their noise."""
        end = self._end(group, kind)
        if not math.isfinite(end):
            return False
        noise = [standard_error(last(getattr(trial, kind))) for trial in group]
        return any(
            mean(early) - end > SURE * math.hypot(error, *noise)
            for early, error in self._early(kind)
        )

    def _answer(self, losses: dict[int, float], shown: str) -> Bounds:
        from .bounds import Bounds

        start = self._start(shown)
        of = " in training" if shown == "losses" and self._decides() != "loss" else ""
        tied, near = ties(losses, start), ties(losses, start, NEAR)
        # Where all trials tie, the smallest rate tried is no better than the suggestion.
        chosen = 0 if len(near) == len(losses) else tied[0]
        middle = self._lr(vertex(losses, chosen))
        carried = self._carried()
        lr = middle * carried
        base, most = self._rate / 4.0, 2.0 * self._rate
        if self._suggested is not None:
            base, most = self._suggested.base_lr, self._suggested.max_lr
        ends = {k: self._end(group, shown) for k, group in self._tried().items()}
        enough = start - TRAINS * (start - min(ends.values()))
        top = max(k for k, end in ends.items() if end <= enough)
        highest = self._lr(top)
        failing = [self._lr(k) for k in losses if k > top]
        return Bounds(
            base_lr=min(base * lr / self._rate, lr),
            max_lr=max(min(most * lr / self._rate, highest), lr),
            lr=lr,
            lr_interval=(
                min(self._lr(near[0]) * carried, lr) * STEP**-BAND,
                max(self._lr(near[-1]) * carried, lr) * STEP**BAND,
            ),
            max_lr_interval=(highest, min(failing, default=highest * STEP)),
            rule="confirmation",
            reasons=self._reasons(losses, f"{start:.4g}{of}", near, chosen, middle),
            warnings=self._warnings(losses, near, chosen),
            trials=self._results,
        )

    def _carried(self) -> float:
        """The factor from the best rate of the trials to that of the planned training."""
        planned = self._total_steps
        length = UNKNOWN_LENGTH if planned is None else planned / self._num_steps
        return float(length**-CARRY)

    def _reasons(
        self, losses: dict[int, float], start: str, near: list[int], chosen: int, middle: float
    ) -> list[str]:
        ended = ", ".join(f"{loss:.4g} at lr={self._lr(k):.3g}" for k, loss in losses.items())
        low, high, carried = self._lr(near[0]), self._lr(near[-1]), f"{self._carried():.2f}"
        reasons = [
            f"trials of {self._num_steps} updates ended at a {self._decides()} of {ended}, "
            f"from {start}",
            f"trials tie: any rate from lr={low:.3g} to {high:.3g} ends within "
            f"{100 * NEAR:.0f} % of the best fall"
            if len(near) > 1
            else f"the trial at lr={low:.3g} is the best, and none ties with it",
            f"a parabola through the trial at lr={self._lr(chosen):.3g} and its neighbours is "
            f"lowest at lr={middle:.3g}",
            f"a training of {self._total_steps} updates wants {carried} times the best rate of "
            f"{self._num_steps} updates"
            if self._total_steps is not None
            else f"the length of the training is unknown, so {carried} times that rate was taken; "
            "give total_steps to carry it to its length",
        ]
        if self._suggested is not None:
            earlier = (*self._suggested.reasons, *self._suggested.warnings)
            reasons += [f"before the trials: {sentence}" for sentence in earlier]
        return reasons

    def _warnings(
        self, losses: dict[int, float], near: list[int], chosen: int
    ) -> list[BoundsWarning]:
        from .bounds import BoundsWarning

        if len(near) == len(losses):
            message = f"all trials tie: any rate from {self._lr(near[0]):.3g} to "
            message += f"{self._lr(near[-1]):.3g} may be taken; longer trials (num_steps) may tell "
            return [BoundsWarning(message + "them apart", "trials_tie")]
        if min(losses) < chosen < max(losses):
            return []
        side = "largest" if chosen == max(losses) else "smallest"
        message = f"the answer is at the {side} rate tried, lr={self._lr(chosen):.3g}; confirm it "
        message += "again, with clrcore.Confirmation(bounds), or with a larger max_updates"
        return [BoundsWarning(message, "trials_at_edge")]

    def state_dict(self) -> dict[str, Any]:
        """The trials that are over as plain data, valid as JSON.

        Raises:
            RuntimeError: In the middle of a trial.
        """
        trial = self._trial
        if trial is not None and trial.reason is None and trial.step_count:
            raise RuntimeError(
                f"a state is of whole trials, and the trial at lr={trial.lr:.3g} is not over"
            )
        trials = [result.to_dict() for result in self._results]
        return {"version": VERSION, **self._identity(), "trials": trials}

    def _identity(self) -> dict[str, Any]:
        """What a state must have in common with the confirmation that loads it."""
        return {
            "rate": self._rate,
            "num_steps": self._num_steps,
            "total_steps": self._total_steps,
            "kind": self._kind,
            "seeds": list(self._seeds),
            "most_rates": self._most_rates,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to a state that `state_dict` described; a refused one changes nothing.

        Raises:
            TypeError: For data of the wrong type.
            ValueError: For another version, another confirmation, missing or unknown keys, and
                trials that this confirmation would not have run.
        """
        check_state("state", state, VERSION, [*self._identity(), "trials"])
        for name, own in self._identity().items():
            if not is_same(state[name], own):
                allowed = f"{own!r}, as in this Confirmation"
                refuse(ValueError, f"state[{name!r}]", allowed, state[name])
        check_type("state['trials']", state["trials"], list, "a list")
        results = [TrialResult.from_dict(trial) for trial in state["trials"]]
        twin = copy.copy(self)
        twin._earlier, twin._trial = [], None
        for i, result in enumerate(results):
            name, following = f"state['trials'][{i}]", twin._next()
            if following is None:
                refuse(ValueError, name, "no further trial", state["trials"][i])
            lr, seed = following
            fits = math.isclose(lr, result.lr) and seed == result.seed
            if not fits or not 1 <= len(result.losses) <= self._num_steps:
                allowed = f"a trial at lr={lr!r} with seed {seed} and 1 to {self._num_steps} losses"
                refuse(ValueError, name, allowed, state["trials"][i])
            twin._earlier.append(result)
        self._earlier, self._trial = results, None

    def __repr__(self) -> str:
        given = f"lr={self._rate:.3g}, num_steps={self._num_steps}, kind={self._kind!r}"
        return f"Confirmation({given}) after {len(self._results)} trials"


def _suggestion(given: object) -> tuple[Bounds | None, float]:
    """The bounds, if bounds were given, and the rate to start from."""
    if hasattr(given, "max_lr_interval"):
        lr = given.lr  # type: ignore[attr-defined]
        return given, check_float("bounds_or_rate", lr, 0.0, above=True)  # type: ignore[return-value]
    float_from_number("bounds_or_rate", given, "Bounds, or a rate > 0")
    return None, check_float("bounds_or_rate", given, 0.0, above=True)
