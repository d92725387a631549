"""`RateLogger`: the rates really used, in the logs."""

from __future__ import annotations

from typing import Any

import keras

from clrcore.arguments import check_bool, check_type, refuse

from . import _optimizers as optimizers
from ._private import unsynced_model
from .schedule import PolicySchedule


class RateLogger(keras.callbacks.Callback):  # type: ignore[misc]
    """Puts the rate that each update used into the logs, for History, CSVLogger, TensorBoard.

    After a batch `optimizer.learning_rate` is the rate of the next update. This is the rate of
    the last update, or, before the first update, the rate that it will use. Put the callback
    first in the list, before those that read the logs or change the rate. With MultiOptimizer
    each optimizer has its own entry, with the optimizer's name behind the name.

    Args:
        name: Key in the logs. Not "learning_rate": TensorBoard overwrites that, at the end of an
            epoch, with the next rate.
        per_batch: Whether to log every batch; otherwise epochs only. On JAX every logged batch
            brings all variables back from the training step, which costs time.

    Attributes:
        rates: List of the rates logged by batch (by epoch with per_batch=False): numbers, or
            dictionaries with MultiOptimizer.

    Raises:
        TypeError: For an argument of the wrong type; the message names it.
        ValueError: For a value that is not allowed; in `fit` for a name that is in the logs.
    """

    def __init__(self, name: str = "lr", *, per_batch: bool = True) -> None:
        super().__init__()
        check_type("name", name, str, "a string")
        if not name or name == "learning_rate":
            refuse(ValueError, "name", "a name other than 'learning_rate'", name)
        self._name = name
        self._per_batch = check_bool("per_batch", per_batch)
        self._before: list[int] = []
        self._used: list[float | None] = []
        self._sources: list[Any] = []
        self._logged: dict[str, float | None] = {}
        self._first = self._fresh = True
        self.rates: list[Any] = []

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Note that a `fit` begins."""
        self._first = self._fresh = True

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Once per `fit`, count from the optimizer's update, and warn of a run not resumed."""
        if self._first:
            # Not in on_train_begin: a BackupAndRestore further back in the list loads there.
            self._before = self._counts()
            self._used = [None] * len(self._before)
            optimizers.warn_of_traps(self.model.optimizer, epoch)
        self._first = False

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Remember the schedules of the update to come, which CycleEnds may exchange after it."""
        # Not through self.model: schedules are no variables, and on JAX that would cost a copy.
        self._sources = optimizers.rate_sources(unsynced_model(self).optimizer)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Log the rate of this batch's update."""
        if self._per_batch:
            self._log(logs)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Log the rate of the epoch's last update."""
        if not self._per_batch:
            self._log(logs)
        elif logs is not None:
            logs.update(self._logged)

    def _counts(self) -> list[int]:
        simple = optimizers.simple_optimizers(self.model.optimizer)
        return [optimizers.updates_made(optimizer) for optimizer in simple]

    def _log(self, logs: dict[str, Any] | None) -> None:
        simple = optimizers.simple_optimizers(self.model.optimizer)
        counts = self._counts()
        for i, (optimizer, source) in enumerate(zip(simple, self._sources, strict=True)):
            # Accumulated or overflowed batches make no update: the last rate used stays.
            if counts[i] > self._before[i] or self._used[i] is None:
                accumulated = optimizers.accumulated_batches(optimizer)
                self._used[i] = _rate(source, accumulated, max(counts[i] - 1, 0))
        several = len(simple) > 1
        names = [f"{self._name}_{one.name}" if several else self._name for one in simple]
        if self._fresh:
            self._check_names(names, logs or {})
        self._logged = dict(zip(names, self._used, strict=True))
        self._before = counts
        self.rates.append(self._logged if several else self._logged[self._name])
        if logs is not None:
            logs.update(self._logged)

    def _check_names(self, names: list[str], logs: dict[str, Any]) -> None:
        self._fresh = False  # from now on they are there
        taken = [name for name in names if name in logs]
        if taken:
            allowed = f"a name that is not in the logs already: {', '.join(map(repr, logs))}"
            refuse(ValueError, "name", allowed, self._name, advice="choose another, such as 'lr'")


def _rate(source: Any, accumulated: int, update: int) -> float:
    """The rate that update number `update`, from 0, uses; of a variable, the rate it holds."""
    if isinstance(source, PolicySchedule) and source.gradient_accumulation_steps == accumulated:
        # In Python: on some backends a schedule outside of the training step takes long.
        return source.policy(update)
    if isinstance(source, keras.optimizers.schedules.LearningRateSchedule):
        # A schedule is shown batches; an update happens with the last of those it accumulates.
        source = source(update * accumulated + accumulated - 1)
    elif not isinstance(source, keras.Variable):
        source = source()
    return float(optimizers.to_numpy(source))
