"""The callback that gives a run's rates to an optimizer, and records the losses."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import keras

import clrcore

from . import _optimizers as optimizers

# Batches in a row without an update, after which gradients will not become finite any more.
MOST_SKIPPED = 200

Run: TypeAlias = clrcore.RangeTest | clrcore.Trial
Measure: TypeAlias = Callable[[dict[str, float], bool], dict[str, float]]
Show: TypeAlias = Callable[[dict[str, Any]], None]


class Driver(keras.callbacks.Callback):  # type: ignore[misc]
    """Hands the rates of a run to the optimizer, and records the losses.

    The last of the callbacks, so that no other changes the rate after it.

    Args:
        run: The run.
        measure: Function of the metrics of an update's batches, and of whether held-out data are
            to be evaluated; returns what `run.record` takes beside the loss.
        show: Called with the values of each update, for a progress bar.
        one_pass: Whether the data cannot be iterated over again.
    """

    def __init__(self, run: Run, measure: Measure, show: Show, *, one_pass: bool) -> None:
        super().__init__()
        self._run, self._measure, self._show = run, measure, show
        self._one_pass = one_pass
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
        # Also between the batches of an update, as another callback may have changed it.
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
        names, count = accumulated[-1], len(accumulated)
        means = {name: sum(float(log[name]) for log in accumulated) / count for name in names}
        due = self._run.validation_due() and math.isfinite(means["loss"])
        measured = self._measure(means, due)
        self._run.record(loss=means["loss"], **measured)
        self._show({"lr": self._lr, "loss": self._run.smoothed_loss or means["loss"], **measured})
        self._updates, self._logs, self._lr = updates, [], None
        if self._run.reason is not None:
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self.epoch_is_empty or self._one_pass:
            self.end_early()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        if self._run.reason is None:
            self._run.end_early("a callback stopped the training")

    def end_early(self) -> None:
        """End the run, because the data have ended."""
        self._run.end_early(clrcore.RangeTest.data_end("x"))
        self.model.stop_training = True
