"""Runs of `model.fit` under the rates of a range test or a trial, without a trace."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from types import GeneratorType
from typing import Any, TypeAlias, TypedDict

import keras
import numpy as np

import clrcore
from clrcore.arguments import check_bool, check_int, refuse

from .._interrupts import Interrupts
from . import _optimizers as optimizers
from ._evaluation import check_held_out, evaluate, is_data, pick
from ._private import all_layers, reads_a_batch_first, was_called
from ._snapshot import restored, seed_all

# Batches in a row without an update, after which gradients will not become finite any more.
MOST_SKIPPED = 200
DATA = "arrays, a PyDataset, a DataLoader, a tf.data.Dataset, or an iterable of batches"

Run: TypeAlias = clrcore.RangeTest | clrcore.Trial


class Options(TypedDict, total=False):
    """Arguments of `range_test` and `find_bounds` that are those of `model.fit`."""

    validation_batch_size: int | None
    sample_weight: Any
    class_weight: dict[int, float] | None
    shuffle: bool
    verbose: int | str | None


@dataclass
class Training:
    """A model and the data that it is trained with, run after run.

    The constructor checks everything.
    """

    model: Any
    x: Any
    y: Any
    validation_data: Any
    accuracy: str | None
    batch_size: int | None
    progress: bool
    validation_batch_size: int | None = None
    sample_weight: Any = None
    class_weight: dict[int, float] | None = None
    shuffle: bool = True
    verbose: int | str | None = None

    def __post_init__(self) -> None:
        """Refuse wrong arguments before anything is built."""
        _check_model(self.model)
        if not is_data(self.x):
            refuse(TypeError, "x", DATA, self.x)
        if any(tuple(getattr(x, "shape", ()))[:1] == (0,) for x in keras.tree.flatten(self.x)):
            refuse(ValueError, "x", "at least one batch", self.x, advice="give more samples")
        if self.sample_weight is not None and not is_data(self.sample_weight):
            allowed = "an array with a weight per sample"
            refuse(TypeError, "sample_weight", allowed, self.sample_weight)
        if self.validation_data is not None:
            check_held_out(self.validation_data, labelled=self.y is not None)
        for name in ("batch_size", "validation_batch_size"):
            if getattr(self, name) is not None:
                check_int(name, getattr(self, name), 1)
        if self.class_weight is not None and not isinstance(self.class_weight, dict):
            allowed = "a dictionary of weights by class or None"
            refuse(TypeError, "class_weight", allowed, self.class_weight)
        if self.accuracy is not None and not isinstance(self.accuracy, str):
            refuse(TypeError, "accuracy", "the name of a metric or None", self.accuracy)
        check_bool("shuffle", self.shuffle)
        self.verbose = _check_verbose(self.verbose, check_bool("progress", self.progress))
        self._batches = _as_keras_data(self.x)

    @property
    def steps_per_epoch(self) -> float | None:
        """Updates in an epoch; None where the data have no length."""
        every = optimizers.batches_per_update(self.model.optimizer)
        if isinstance(self.x, keras.utils.PyDataset):
            batches = self.x.num_batches
        elif callable(cardinality := getattr(self.x, "cardinality", None)):
            batches = max(0, int(cardinality()))  # negative where it is unknown or infinite
        elif shapes := [x.shape for x in keras.tree.flatten(self.x) if hasattr(x, "shape")]:
            batches = -(-int(shapes[0][0]) // (self.batch_size or 32))
        else:
            return clrcore.RangeTest.epoch_length(self.x, every)
        return batches / every if batches else None

    def run(self, runs: Iterable[tuple[Run, int | None]], most_updates: int) -> None:
        """Make runs, each from the present state of the model, and restore it.

        Args:
            runs: Each with its seed, or None; taken after the run before is over.
            most_updates: The most updates of all runs together, for the progress bar.
        """
        model, loaders = self.model, (self.x, self.validation_data)
        if not model.optimizer.built:
            strategy = getattr(model, "distribute_strategy", None)
            with strategy.scope() if strategy else nullcontext():
                model.optimizer.build(model.trainable_variables)
        bar = keras.utils.Progbar(
            most_updates,
            verbose=self.verbose,
            stateful_metrics=["lr", "loss", "accuracy"],
            unit_name="update",
        )
        done = 0
        with Interrupts() as interrupts:
            if reads_a_batch_first(model):
                # Otherwise the first run would have another order of batches than the others.
                with restored(model, *loaders):
                    interrupts.let_through(self._prepare)
            for run, seed in runs:
                with restored(model, *loaders):
                    if seed is not None:
                        seed_all(model, seed, *loaders)
                    interrupts.let_through(self._fit, _Driver(self, run, bar, done))
                done += run.step_count
        bar.target = done
        bar.update(done, finalize=True)

    def measure(self, run: Run, logs: dict[str, float], due: bool) -> dict[str, float]:
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

    def _fit(self, driver: _Driver) -> None:
        with warnings.catch_warnings():
            # Where the data end early, the run's own warning gives the number of updates.
            warnings.filterwarnings("ignore", message=".*ran out of data")
            try:
                self._call_fit(self._batches, callbacks=[driver], epochs=sys.maxsize)
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
            batches, self._batches = _repeat(first), _chain(first, batches)
        # The run itself reports data without a batch.
        with suppress(StopIteration, UnboundLocalError), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*ran out of data")
            self._call_fit(batches, epochs=1, steps_per_epoch=1)

    def _call_fit(self, batches: Any, **options: Any) -> None:
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


class _Driver(keras.callbacks.Callback):  # type: ignore[misc]
    """Hands the rates of a run to the optimizer, and records the losses."""

    def __init__(self, training: Training, run: Run, bar: Any, done: int) -> None:
        super().__init__()
        self._training = training
        self._run = run
        self._bar = bar
        self._done = done
        self.epoch_is_empty = True

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        optimizer = self.model.optimizer
        self._accumulated = optimizers.batches_per_update(optimizer)
        self._lr: float | None = None
        self._updates = optimizers.updates_made(optimizer)
        self._logs: list[dict[str, Any]] = []  # of the batches since the last update

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.epoch_is_empty = True

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        # Through self.model each time: JAX ignores changes of a stored reference to the optimizer.
        model = self.model
        if self._lr is None:
            (self._lr,) = self._run.next_rates(1)
            for simple in optimizers.simple_optimizers(model.optimizer):
                simple.learning_rate = self._lr
        model.reset_metrics()  # Keras logs the mean since the last reset

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.epoch_is_empty = False
        if not logs or "loss" not in logs:
            raise ValueError(
                "the model's train_step must return a dictionary with 'loss', got "
                f"{sorted(logs or {})}; return {{'loss': ..., ...}}"
            )
        self._logs.append(dict(logs))
        updates = optimizers.updates_made(self.model.optimizer)
        if updates == self._updates and math.isfinite(logs["loss"]):
            # Accumulated, or its gradients overflowed at this loss scale: the rate is not used.
            if len(self._logs) >= MOST_SKIPPED * self._accumulated:
                raise RuntimeError(
                    f"the optimizer completed no update in {len(self._logs)} batches at "
                    f"lr={self._lr!r}: are the gradients finite?"
                )
            return
        # An update is that of the mean of the losses it accumulates.
        accumulated = self._logs[-self._accumulated :]
        means = {
            name: sum(float(log[name]) for log in accumulated) / len(accumulated)
            for name in accumulated[-1]
        }
        due = self._run.validation_due() and math.isfinite(means["loss"])
        measured = self._training.measure(self._run, means, due)
        self._run.record(loss=means["loss"], **measured)
        values = {"lr": self._lr, "loss": self._run.smoothed_loss or means["loss"], **measured}
        self._bar.update(self._done + self._run.step_count, values.items(), finalize=False)
        self._updates, self._logs, self._lr = updates, [], None
        if self._run.reason is not None:
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self.epoch_is_empty or isinstance(self._training.x, Iterator):
            self.end_early()

    def end_early(self) -> None:
        """End the run, because the data have ended."""
        self._run.end_early(clrcore.RangeTest.data_end("x"))
        self.model.stop_training = True


def _raised_by_keras(error: BaseException) -> bool:
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_globals["__name__"].startswith("keras.")


def _as_keras_data(x: Any) -> Any:
    """The data as `fit` takes them; iterables that it does not know become generators."""
    if isinstance(x, Iterator):
        return x if isinstance(x, GeneratorType) else (batch for batch in x)
    known = isinstance(x, keras.utils.PyDataset) or hasattr(x, "cardinality") or hasattr(x, "shape")
    if known or not hasattr(x, "__iter__") or clrcore.RangeTest.epoch_length(x) is not None:
        return x
    # A loader without a length, or whose __len__ raises.
    return (
        tuple(keras.tree.map_structure(np.asarray, item) for item in batch)
        for batch in clrcore.RangeTest.repeated(x)
    )


def _repeat(batch: Any) -> Iterator[Any]:
    while True:
        yield batch


def _chain(first: Any, others: Iterator[Any]) -> Iterator[Any]:
    yield first
    yield from others


def _check_model(model: Any) -> None:
    if not isinstance(model, keras.Model):
        refuse(TypeError, "model", "a keras.Model", model)
    optimizer = optimizers.compiled_optimizer(model)
    # `model.build` alone may leave layers without weights. After a call they are not used.
    unbuilt = [layer.name for layer in all_layers(model)[1:] if not layer.built]
    if not model.built or (unbuilt and not was_called(model)):
        which = f", but not built are {', '.join(unbuilt)}" if unbuilt else ""
        raise ValueError(
            f"model must be built, as its weights are put back at the end{which}: call it on a "
            "batch, or begin it with keras.Input"
        )
    if not model.trainable_variables:
        raise ValueError(
            "model has no trainable weights, so there is nothing to train: set "
            "layer.trainable = True and compile it again"
        )
    if model.steps_per_execution > 1:
        raise ValueError(
            "model must be compiled with steps_per_execution=1, got "
            f"{model.steps_per_execution}: a rate would last for that many updates; compile it "
            "anew for the range test"
        )
    optimizers.batches_per_update(optimizer)  # refuses optimizers that differ
    for source, simple in zip(
        optimizers.rate_sources(optimizer), optimizers.simple_optimizers(optimizer), strict=True
    ):
        if not isinstance(source, keras.Variable):
            raise ValueError(
                f"model must be compiled with a float rate, got {source!r}, which sets the rate "
                f"itself: compile it anew for the range test, with {type(simple).__name__}(0.01)"
            )
        if keras.backend.standardize_dtype(source.dtype) not in ("float32", "float64"):
            raise ValueError(
                f"the optimizer's rate must be float32, got {source.dtype}, in which small rates "
                "are rounded: keep keras.config.floatx() at 'float32', and set a dtype policy"
            )


def _check_verbose(verbose: int | str | None, progress: bool) -> int:
    if verbose is None:
        return int(progress)
    if verbose == "auto":
        return 1
    if isinstance(verbose, str):
        refuse(ValueError, "verbose", "'auto', 0, 1 or 2", verbose)
    return check_int("verbose", verbose, 0, 2)
