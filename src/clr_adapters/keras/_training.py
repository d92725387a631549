"""Runs of `model.fit` under the rates of a range test or a trial, without a trace."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from functools import partial, wraps
from types import GeneratorType
from typing import Any, ParamSpec, TypedDict, TypeVar

import keras

import clrcore
from clrcore.arguments import (
    check_bool,
    check_int,
    check_optional,
    check_type,
    hint_at,
    refuse,
    shown,
)

from .._interrupts import Interrupts
from . import _data as data
from . import _optimizers as optimizers
from ._checks import check_callbacks, check_model, check_verbose
from ._driver import Driver, Run
from ._evaluation import evaluate, pick
from ._private import reads_a_batch_first
from ._snapshot import restored, seed_all

P = ParamSpec("P")
T = TypeVar("T")


class Options(TypedDict, total=False):
    """Arguments of `range_test` and `find_bounds` that are those of `model.fit`."""

    validation_split: float
    validation_batch_size: int | None
    sample_weight: Any
    class_weight: dict[int, float] | None
    shuffle: bool
    verbose: int | str | None
    callbacks: Sequence[keras.callbacks.Callback] | None


@dataclass
class Training:
    """A model and the data that it is trained with, run after run.

    The constructor checks everything, and holds data out where validation_split asks for it.
    """

    model: Any
    x: Any
    y: Any
    validation_data: Any
    accuracy: str | None
    batch_size: int | None
    progress: bool
    validation_split: float = 0.0
    validation_batch_size: int | None = None
    sample_weight: Any = None
    class_weight: dict[int, float] | None = None
    shuffle: bool = True
    verbose: int | str | None = None
    callbacks: Sequence[keras.callbacks.Callback] | None = None

    def __post_init__(self) -> None:
        """Refuse wrong arguments before anything is built."""
        check_model(self.model)
        data.check_training(self.x, self.y, self.sample_weight)
        data.check_batched("x", self.x, self.model)
        if self.validation_split != 0.0:
            self._hold_out()
        if self.validation_data is not None:
            data.check_held_out(self.validation_data, labelled=self.y is not None)
            data.check_batched("validation_data", self.validation_data, self.model)
        check_optional(check_int, "batch_size", self.batch_size, 1)
        check_optional(check_int, "validation_batch_size", self.validation_batch_size, 1)
        allowed = "a dictionary of weights by class or None"
        check_type("class_weight", self.class_weight, dict | None, allowed)
        check_type("accuracy", self.accuracy, str | None, "the name of a metric or None")
        check_bool("shuffle", self.shuffle)
        self.verbose = check_verbose(self.verbose, check_bool("progress", self.progress))
        self._callbacks = check_callbacks(self.callbacks)
        self._batches = data.as_keras_data(self.x)

    def _hold_out(self) -> None:
        if self.validation_data is not None:
            refuse(ValueError, "validation_split", "0 with validation_data", self.validation_split)
        rows, held_out = data.hold_out(self.x, self.y, self.sample_weight, self.validation_split)
        self.x, self.y, self.sample_weight = rows
        self.validation_data = held_out

    @property
    def steps_per_epoch(self) -> float | None:
        """Updates in an epoch; None where the data have no length."""
        batches = data.batches_per_epoch(self.x, self.batch_size)
        every = optimizers.batches_per_update(self.model.optimizer)
        return batches / every if batches else None

    def run(self, runs: clrcore.SeededRangeTests) -> None:
        """Make runs, each from the present state of the model, and restore it."""
        model, loaders = self.model, (self.x, self.validation_data)
        if not model.optimizer.built:
            strategy = getattr(model, "distribute_strategy", None)
            with strategy.scope() if strategy else nullcontext():
                model.optimizer.build(model.trainable_variables)
        shown = {"stateful_metrics": ["lr", "loss"], "unit_name": "update"}
        bar = keras.utils.Progbar(runs.most_updates, verbose=self.verbose, **shown)
        done = 0
        with Interrupts() as interrupts:
            if reads_a_batch_first(model):
                # Otherwise the first run would have another order of batches than the others.
                with restored(model, *loaders):
                    interrupts.let_through(self._prepare)
            for run in runs:
                driver = Driver(
                    run,
                    partial(self._measure, run),
                    partial(self._show, bar, done, run),
                    one_pass=isinstance(self.x, Iterator),
                )
                with restored(model, *loaders):
                    if runs.seed is not None:
                        seed_all(model, runs.seed, *loaders)
                    interrupts.let_through(self._fit, driver)
                done += run.step_count
        bar.target = done
        bar.update(done, finalize=True)

    def _show(self, bar: Any, done: int, run: Run, values: dict[str, Any]) -> None:
        # Without the accuracy: the trials of a search would go on to show that of its range test.
        shown = [(name, values[name]) for name in ("lr", "loss")]
        bar.update(done + run.step_count, shown, finalize=False)

    def _measure(self, run: Run, logs: dict[str, float], due: bool) -> dict[str, float]:
        """What `run.record` takes beside the loss.

        Args:
            run: A range test takes an accuracy, a trial the loss of held-out data.
            logs: The metrics of the update's batches.
            due: Whether to evaluate held-out data, if there are any.
        """
        metrics = logs
        if self.validation_data is not None:
            if not due:
                return {}
            metrics = evaluate(self.model, self.validation_data, self.validation_batch_size)
        if isinstance(run, clrcore.Trial):
            return {} if self.validation_data is None else {"held_out_loss": metrics["loss"]}
        if self.accuracy is None and not any(name.endswith("accuracy") for name in metrics):
            return {}
        return {"accuracy": metrics[pick(metrics, self.accuracy, "accuracy", "accuracy")]}

    def _fit(self, driver: Driver) -> None:
        callbacks = [*self._callbacks, driver]
        try:
            self._call_fit(self._batches, callbacks=callbacks, epochs=sys.maxsize)
        except (StopIteration, UnboundLocalError) as error:
            # Keras on JAX has no logs at the end of an empty epoch.
            if not driver.epoch_is_empty or not _raised_by_keras(error):
                raise
            driver.end_early()

    def _prepare(self) -> None:
        """Let `fit` build everything that needs its first batch."""
        batches = self._batches
        if isinstance(batches, GeneratorType):
            first = next(batches, None)
            if first is None:
                return
            batches, self._batches = data.repeat(first), data.chain(first, batches)
        # The run itself reports data without a batch.
        with suppress(StopIteration, UnboundLocalError):
            self._call_fit(batches, epochs=1, steps_per_epoch=1)

    def _call_fit(self, batches: Any, **options: Any) -> None:
        with warnings.catch_warnings():
            # Where the data end early, the run's own warning gives the number of updates.
            warnings.filterwarnings("ignore", message=".*ran out of data")
            # Batches have their own order; `fit` warns of its own default.
            warnings.filterwarnings("ignore", message="`shuffle=True` was passed")
            self.model.fit(
                batches,
                self.y,
                batch_size=self.batch_size,
                sample_weight=self.sample_weight,
                class_weight=self.class_weight,
                shuffle=self.shuffle,
                verbose=0,
                **options,
            )


# Arguments that users bring from elsewhere.
HINTS = clrcore.RangeTest.HINTS | {
    "x_train": "pass it as x",
    "y_train": "pass it as y",
    "optimizer": "it is the compiled model's",
    "loss_fn": "it is the compiled model's",
    "val_data": "pass it as validation_data",
}


def around_fit(function: Callable[P, T]) -> Callable[P, T]:
    """The function; it refuses arguments that it does not have, also an optimizer by position."""
    hinted = hint_at(*Options.__annotations__, **HINTS)(function)

    @wraps(function)
    def checked(*arguments: P.args, **options: P.kwargs) -> T:
        for value in arguments:
            if isinstance(value, keras.optimizers.Optimizer):
                message = f"{function.__name__} takes no optimizer, got {shown(value)}"
                advice = "leave it out, as it is the compiled model's: pass model, x and y"
                refuse(TypeError, "optimizer", "absent", value, message=message, advice=advice)
        return hinted(*arguments, **options)

    return checked


def _raised_by_keras(error: BaseException) -> bool:
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_globals["__name__"].startswith("keras.")
