"""What every driver of the range test does for the same input: one table, run against all.

A driver's test file writes a `Driver` and runs `check(case, driver)` for every case in `CASES`.
The expected losses are those of the same training, written out in NumPy.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pytest

import clrcore

SWEEP = clrcore.exponential_sweep(1e-3, 1.0, 30)
LONG_SWEEP = clrcore.exponential_sweep(1e-3, 1.0, 100)
TOO_FAR = clrcore.exponential_sweep(1e-2, 1e6, 40)
BATCHES = 6
LEFT_OUT = object()


class ReadAgain:
    """Batches that can be iterated over again, and have no length."""

    def __init__(self, batches, no_length):
        self.batches, self.no_length = batches, no_length

    def __iter__(self):
        return iter(self.batches)

    def __len__(self):
        raise self.no_length("no length")


# How the batches are handed to the driver.
SOURCES = {
    "list": list,
    "one-shot": iter,
    "endless": itertools.cycle,
    "__len__ raises TypeError": lambda batches: ReadAgain(batches, TypeError),
    "__len__ raises NotImplementedError": lambda batches: ReadAgain(batches, NotImplementedError),
}


@dataclass(frozen=True)
class Problem:
    """Three classes of points, for a linear layer without bias that starts at zero.

    The training is SGD on the mean cross-entropy; the order of the batches stays as it is.

    Attributes:
        batches: Pairs of inputs, float32 of shape (16, 4), and classes, int64 of shape (16,).
        source: A key of SOURCES.
        held_out: Such a pair, or None where there are no held-out data.
        accuracy: Whether the driver is to record accuracy.
    """

    batches: list[tuple[np.ndarray, np.ndarray]]
    source: str
    held_out: tuple[np.ndarray, np.ndarray] | None
    accuracy: bool

    def data(self) -> Any:
        """The batches as `source` has it."""
        return SOURCES[self.source](self.batches)


class Driver(Protocol):
    """A range test of a framework.

    Attributes:
        arguments: What the driver calls its "data" and its "held_out" data.
        seeds_are_states: Whether seeds are a number of stacked states, so that sequences are
            refused, and one-shot data serve all of them.
    """

    arguments: Mapping[str, str]
    seeds_are_states: bool

    def run(self, problem: Problem, **options: Any) -> Any:
        """The curve, or the curves, of the problem; `options` go to the range test as they are.

        They are sweep, validate_every, seeds, steps_per_epoch and stop.
        """


@dataclass(frozen=True)
class Case:
    """An input and its outcome.

    Attributes:
        options: Options of the range test.
        nan_in: Number of the batch that holds NaN.
        updates: Updates of the curve; None for the number after which RangeTest ends.
        accuracies: Updates, from 1, after which accuracy is recorded; "all", or None for none.
        held_out: Whether there are held-out data.
        curves: Number of curves, or None where it is no list.
        steps_per_epoch: Of the curve.
        warning: The warning, with {data} for the name of the data.
        refused: Type, name of the argument (or "data"), and what is allowed.
    """

    name: str
    options: dict[str, Any] = field(default_factory=dict)
    source: str = "list"
    nan_in: int | None = None
    held_out: bool = False
    accuracy: bool = True
    updates: int | None = None
    accuracies: Any = "all"
    curves: int | None = None
    steps_per_epoch: float | None = BATCHES
    warning: str | None = None
    refused: tuple[type[Exception], str, str] | None = None

    def __str__(self) -> str:
        return self.name

    @property
    def sweep(self) -> clrcore.Policy:
        return self.options.get("sweep", SWEEP)


def every(interval: int, total: int = 30) -> list[int]:
    return sorted({*range(interval, total + 1, interval), total})


ENDED = "the range test ended after {n} of 30 updates: {{data}} has no further batch and cannot be "
ENDED += "iterated over again"
EVALUATIONS = "an integer >= 1, or None for 50 evaluations in the sweep"
SEEDS = "a number of seeds, or a sequence of at least one seed"
SEED = f"an integer from 0 to {2**31 - 1}"

CASES = [
    Case("a list of batches"),
    Case("the default sweep", {"sweep": clrcore.RangeTest().sweep}, updates=300),
    Case("no sweep given", {"sweep": None}, updates=300),
    # When held-out accuracy is evaluated.
    Case("validate_every left out", held_out=True, accuracies=every(1)),
    Case("validate_every=None", {"validate_every": None}, held_out=True, accuracies=every(1)),
    Case(
        "validate_every=None, 100 updates",
        {"validate_every": None, "sweep": LONG_SWEEP},
        held_out=True,
        accuracies=every(2, 100),
    ),
    Case("validate_every=5", {"validate_every": 5}, held_out=True, accuracies=every(5)),
    Case("validate_every=7", {"validate_every": 7}, held_out=True, accuracies=every(7)),
    Case("validate_every=99", {"validate_every": 99}, held_out=True, accuracies=[30]),
    Case(
        "validate_every of NumPy",
        {"validate_every": np.int64(5)},
        held_out=True,
        accuracies=every(5),
    ),
    *(
        Case(
            f"validate_every={wrong!r}{', held out' if held_out else ''}",
            {"validate_every": wrong},
            held_out=held_out,
            refused=(
                kind,
                "validate_every",
                EVALUATIONS if held_out else "None without held-out data",
            ),
        )
        for wrong, kind, held_out in [
            (0, ValueError, True),
            (0, ValueError, False),
            (-1, ValueError, True),
            (2.5, ValueError, True),
            (True, TypeError, True),
            ("5", TypeError, True),
            (5, ValueError, False),
        ]
    ),
    # Seeds.
    Case("seeds=None", {"seeds": None}),
    Case("seeds=1", {"seeds": 1}, curves=1),
    Case("seeds=2", {"seeds": 2}, curves=2),
    Case("seeds of NumPy", {"seeds": np.int64(2)}, curves=2),
    *(
        Case(f"seeds={seeds!r}", {"seeds": seeds}, curves=len(seeds))
        for seeds in ([0, 1], (3,), range(2), np.arange(2), np.array([7, 3], np.uint8))
    ),
    Case("seeds=0", {"seeds": 0}, refused=(ValueError, "seeds", "an integer >= 1")),
    Case("seeds=True", {"seeds": True}, refused=(TypeError, "seeds", "an integer >= 1")),
    Case("seeds='2'", {"seeds": "2"}, refused=(TypeError, "seeds", "an integer >= 1")),
    Case("seeds=1.5", {"seeds": 1.5}, refused=(ValueError, "seeds", "an integer >= 1")),
    Case("seeds=[]", {"seeds": []}, refused=(ValueError, "seeds", SEEDS)),
    Case("seeds=[0, -1]", {"seeds": [0, -1]}, refused=(ValueError, "seeds[1]", SEED)),
    Case("seeds=['a']", {"seeds": ["a"]}, refused=(TypeError, "seeds[0]", SEED)),
    # Data of any kind.
    Case(
        "one-shot data that end early",
        source="one-shot",
        updates=6,
        steps_per_epoch=None,
        warning=ENDED.format(n=6),
    ),
    Case(
        "one-shot data that end early, held out",
        {"validate_every": 4},
        source="one-shot",
        held_out=True,
        updates=6,
        accuracies=[4],
        steps_per_epoch=None,
        warning=ENDED.format(n=6),
    ),
    Case(
        "one-shot data, one seed",
        {"seeds": 1},
        source="one-shot",
        curves=1,
        updates=6,
        steps_per_epoch=None,
        warning=ENDED.format(n=6),
    ),
    Case(
        "one-shot data, two seeds",
        {"seeds": 2},
        source="one-shot",
        curves=2,
        updates=6,
        steps_per_epoch=None,
        warning=ENDED.format(n=6),
        refused=(
            TypeError,
            "data",
            "data that can be iterated over again for every run, such as a list",
        ),
    ),
    *(
        Case(source, source=source, steps_per_epoch=None)
        for source in SOURCES
        if source not in ("list", "one-shot")
    ),
    Case("steps_per_epoch given", {"steps_per_epoch": 2.5}, steps_per_epoch=2.5),
    Case(
        "steps_per_epoch=0",
        {"steps_per_epoch": 0},
        refused=(ValueError, "steps_per_epoch", "a finite number > 0"),
    ),
    # Ends.
    Case("no accuracy", accuracy=False, accuracies=None),
    Case("NaN at once", nan_in=0, updates=1),
    Case("NaN at once, stop=False", {"stop": False}, nan_in=0, updates=1),
    Case("NaN at once, two seeds", {"seeds": 2}, nan_in=0, updates=1, curves=2),
    Case(
        "NaN at once, held out",
        {"validate_every": 5},
        nan_in=0,
        held_out=True,
        updates=1,
        accuracies=None,
    ),
    Case("NaN later", nan_in=4, updates=5),
    Case("a divergence", {"sweep": TOO_FAR}),
    Case("a divergence, stop=False", {"sweep": TOO_FAR, "stop": False}, updates=40),
    Case("stop=None", {"stop": None}, refused=(TypeError, "stop", "True or False")),
    Case(
        "sweep=0.1",
        {"sweep": 0.1},
        refused=(
            TypeError,
            "sweep",
            "a policy of clrcore, such as clrcore.exponential_sweep(1e-6, 10.0, 300)",
        ),
    ),
    Case(
        "a sweep without an end",
        {"sweep": clrcore.constant(0.1)},
        refused=(ValueError, "sweep", "a policy with an end, such as exponential_sweep"),
    ),
]


def problem(case: Case) -> Problem:
    """The data of a case."""
    random = np.random.default_rng(11)
    centres = random.normal(size=(3, 4))

    def points(count: int) -> tuple[np.ndarray, np.ndarray]:
        classes = np.arange(count) % 3
        inputs = centres[classes] + random.normal(size=(count, 4))
        return inputs.astype(np.float32), classes.astype(np.int64)

    batches = [points(16) for _ in range(BATCHES)]
    held_out = points(32) if case.held_out else None
    if case.nan_in is not None:
        batches[case.nan_in][0][:] = np.nan
    return Problem(batches, case.source, held_out, case.accuracy)


def trained(given: Problem, sweep: clrcore.Policy) -> Iterator[tuple[float, float]]:
    """Loss of each update's batch, and the accuracy that belongs to the update."""
    weights = np.zeros((4, 3), np.float32)

    def right(inputs: np.ndarray, classes: np.ndarray) -> float:
        return float((np.argmax(inputs @ weights, axis=1) == classes).mean())

    for step in range(sweep.total_steps or 0):
        inputs, classes = given.batches[step % BATCHES]
        outputs = inputs @ weights
        outputs -= outputs.max(axis=1, keepdims=True)
        shares = np.exp(outputs)
        shares /= shares.sum(axis=1, keepdims=True)
        rows = np.arange(len(classes))
        loss = (np.log(np.exp(outputs).sum(axis=1)) - outputs[rows, classes]).mean()
        accuracy = right(inputs, classes)
        shares[rows, classes] -= 1
        weights -= np.float32(sweep(step) / len(classes)) * (inputs.T @ shares)
        yield float(loss), right(*given.held_out) if given.held_out else accuracy


def check(case: Case, driver: Driver) -> None:
    """Run the case, and fail where its outcome is not that of the table."""
    given = problem(case)
    options = {"sweep": SWEEP, **case.options}
    refused = _refusal(case, driver)
    if refused is not None:
        kind, argument, allowed = refused
        with pytest.raises(kind) as caught:
            driver.run(given, **options)
        assert (caught.value.argument, caught.value.allowed) == (argument, allowed)
        return
    with warnings.catch_warnings(record=True) as caught_warnings:
        warnings.simplefilter("always")
        found = driver.run(given, **options)
    said = {str(one.message) for one in caught_warnings if one.category is UserWarning}
    expected = case.warning and case.warning.format(data=driver.arguments["data"])
    assert {one for one in said if "range test" in one} == ({expected} if expected else set())
    if case.curves is None:
        assert isinstance(found, clrcore.Curve)
        _check_curve(case, given, found)
        return
    assert isinstance(found, list)
    assert len(found) == case.curves
    for curve in found:
        _check_curve(case, given, curve)


STATES = "the number of stacked states, an integer >= 1, as randomness is in the state"


def _refusal(case: Case, driver: Driver) -> tuple[type[Exception], str, str] | None:
    seeds = case.options.get("seeds")
    if driver.seeds_are_states and seeds is not None:
        if case.source == "one-shot":
            return None  # every batch serves all states
        if isinstance(seeds, list | tuple | range) or np.ndim(seeds) > 0:
            return TypeError, "seeds", STATES
        return case.refused and (case.refused[0], "seeds", STATES)
    if case.refused is None:
        return None
    kind, argument, allowed = case.refused
    return kind, driver.arguments.get(argument, argument), allowed


def _check_curve(case: Case, given: Problem, curve: clrcore.Curve) -> None:
    sweep = clrcore.RangeTest(case.sweep).sweep
    expected = clrcore.RangeTest(sweep, stop_diverged=case.options.get("stop", True))
    points = list(trained(given, sweep))
    for (loss, accuracy), _ in zip(points, expected, strict=False):
        expected.record(loss=loss, accuracy=accuracy)
    updates = expected.step_count if case.updates is None else case.updates
    assert len(curve) == updates
    np.testing.assert_allclose(curve.lr, sweep.values(0, updates), rtol=1e-6)
    # Once the weights have blown up, rounding decides about the losses.
    calm = np.array([loss for loss, _ in points[:updates]])
    compared = slice(np.flatnonzero(~(calm < 5))[0] if (~(calm < 5)).any() else updates)
    np.testing.assert_allclose(curve.loss[compared], calm[compared], rtol=1e-3, atol=1e-5)
    assert np.isnan(curve.loss).any() == (case.nan_in is not None)
    assert curve.steps_per_epoch == case.steps_per_epoch
    if case.accuracies is None:
        assert (curve.accuracy, curve.held_out) == (None, None)
        return
    assert curve.held_out is case.held_out
    known = range(1, updates + 1) if case.accuracies == "all" else case.accuracies
    assert (np.flatnonzero(~np.isnan(curve.accuracy)) + 1).tolist() == list(known)
    for number in known:
        if case.nan_in is None and number <= compared.stop:
            # A point between two classes may fall to either side.
            assert abs(curve.accuracy[number - 1] - points[number - 1][1]) < 0.07
