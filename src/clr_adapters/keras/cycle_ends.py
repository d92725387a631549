"""`CycleEnds`: judge, save, lower or stop where cycles end (paper, section 3.2)."""

from __future__ import annotations

import math
import os
import warnings
from typing import Any

import keras

import clrcore
from clrcore.arguments import (
    check_bool,
    check_int,
    check_optional,
    check_type,
    refuse,
    warn_of_cycles,
)

from . import _optimizers as optimizers
from ._data import check_held_out
from ._evaluation import evaluate, pick
from ._history import History, Saved
from ._model_files import check_template, save
from ._policies import counted_policy, cycles, dictionaries, install, policies
from ._private import forget_saved, save_with_model, unsynced_model

STEPS = ("train_step", "test_step")


class CycleEnds(keras.callbacks.Callback):  # type: ignore[misc]
    """Evaluates, saves, lowers the bounds or stops each time a cycle of the policy is complete.

    For models compiled with `PolicySchedule`. Cycles are counted in updates, by the optimizer,
    and may end within an epoch. With steps_per_execution > 1 they are noticed at the end of the
    execution. Where training goes back to an earlier update, as `BackupAndRestore` does after a
    crash, the cycles that end after it are judged again. Checkpoints that are written during `fit`
    hold the state, and a `BackupAndRestore` beside this callback restores it.

    The weights that are judged are those of the model, not the averages that
    `SwapEMAWeights` would put in their place at the end of an epoch.

    Args:
        monitor: A `clrcore.CycleMonitor`, which judges the metric. "lower" multiplies the bounds
            from the next update on (the training step is compiled again), "stop" ends `fit`. None
            judges nothing.
        validation_data: Held-out data, (x, y), (x, y, sample_weight), or a data set that
            `model.evaluate` takes; needed for a monitor.
        metric: Name of the metric to judge, as `model.evaluate` has it; by default the first
            accuracy for a monitor of mode "max", "loss" for "min".
        batch_size: Of validation data given as arrays.
        snapshots: Path to save the model to after each cycle, ending in .keras (whole model) or
            .weights.h5; "{cycle}" and "{updates}" in it become numbers. Snapshots hold the
            bounds of the further training.
        save_best_only: Whether to save only after a cycle whose metric is the best so far; a
            path without fields is then the best cycle's. Needs a monitor.
        verbose: 1 prints a line per cycle.

    Attributes:
        ends: A list with a dictionary per cycle: cycle (from 0), updates, metrics, and the
            verdict's action, factor and reason.

    Raises:
        TypeError: For an argument of the wrong type; the message names it.
        ValueError: For a value that is not allowed. In `fit` for a model without a policy with
            cycles, without the metric, or whose optimizers accumulate differently.
    """

    def __init__(
        self,
        monitor: clrcore.CycleMonitor | None = None,
        *,
        validation_data: Any = None,
        metric: str | None = None,
        batch_size: int | None = None,
        snapshots: str | os.PathLike[str] | None = None,
        save_best_only: bool = False,
        verbose: int = 0,
    ) -> None:
        super().__init__()
        monitors = clrcore.CycleMonitor | None
        check_type("monitor", monitor, monitors, "a clrcore.CycleMonitor or None")
        if monitor is not None and validation_data is None:
            message = "monitor needs validation_data=(x, y): at the end of a cycle the running "
            raise ValueError(message + "means of the epoch are not the model's")
        if monitor is None and validation_data is None and snapshots is None:
            raise ValueError("CycleEnds needs monitor, validation_data or snapshots; got none")
        if validation_data is not None:
            check_held_out(validation_data)
        check_type("metric", metric, str | None, "the name of a metric or None")
        self._mode = None if monitor is None else monitor.mode
        if metric == "loss" and self._mode == "max":
            raise ValueError("metric='loss' is better when lower; make the monitor with mode='min'")
        if check_bool("save_best_only", save_best_only) and (monitor is None or snapshots is None):
            refuse(ValueError, "save_best_only", "False without monitor and snapshots", True)
        self._monitor = monitor
        self._data = validation_data
        self._metric = metric
        self._batch_size = check_optional(check_int, "batch_size", batch_size, 1)
        self._snapshots = None if snapshots is None else check_template(snapshots)
        self._save_best_only = save_best_only
        self._verbose = check_int("verbose", verbose, 0, 1)
        self._history = History(monitor)

    @property
    def ends(self) -> list[dict[str, Any]]:
        """A dictionary per cycle that ended."""
        return self._history.ends

    def set_model(self, model: Any) -> None:
        """Let checkpoints of the model, such as those of `BackupAndRestore`, hold the state."""
        super().set_model(model)
        save_with_model(model, Saved(self._history))

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Refuse a model whose cycles cannot be counted."""
        self._first = True
        self._policy = counted_policy(self.model.optimizer)
        self._accumulated = optimizers.batches_per_update(self.model.optimizer)
        self._metric_checked = self._monitor is None

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Once per `fit`, start at the optimizer's update, and warn of a run not resumed."""
        self._last_batch = -1
        if self._first:
            # Not in on_train_begin: a BackupAndRestore further back in the list loads there.
            self._start(epoch)
        self._first = False

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Judge a cycle that is complete; read the optimizer only where a cycle may be."""
        if not self._metric_checked:
            self._check_metric(logs or {})
        self._batches += batch - self._last_batch
        self._last_batch = batch
        judged = False
        while self._passed < self._most_updates():
            cycle = self._policy.completes(self._passed + 1)
            if cycle is not None:
                made = self._read_updates()
                if made <= self._passed:
                    return
                if judged:
                    raise RuntimeError(
                        f"two cycles ended within one call of the training step, at update {made}: "
                        "compile the model with a smaller steps_per_execution"
                    )
                self._judge(cycle, made)
                judged = True
            self._passed += 1

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Refuse models that make several updates per batch.

        Raises:
            RuntimeError: For more than one update per batch.
        """
        most = self._most_updates()
        made = optimizers.updates_made(self.model.optimizer)
        if made > most:
            raise RuntimeError(
                f"CycleEnds counts at most one update per batch, but the optimizer has made {made} "
                f"instead of {most}; feed CycleMonitor in your own training loop instead"
            )

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Leave the model as any other."""
        forget_saved(unsynced_model(self))

    def state_dict(self) -> dict[str, Any]:
        """The state as plain data: the ends, and the monitor's states and policies at each."""
        return self._history.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to a state that `state_dict` described; the next `fit` sets its bounds.

        Raises:
            TypeError: For data of the wrong type.
            ValueError: For another version, missing or unknown keys, and the state of a
                CycleEnds with a monitor if this has none, or without.
        """
        self._history.load_state_dict(state)

    def _read_updates(self) -> int:
        """The updates made, from the optimizer, which on JAX costs a copy of the model."""
        self._known, self._batches = optimizers.updates_made(self.model.optimizer), 0
        return self._known

    def _most_updates(self) -> int:
        """The most updates of the batches so far; skipped batches make none."""
        return self._known + -(-self._batches // self._accumulated)

    def _start(self, epoch: int) -> None:
        # Updates that are known to hold no end that was not judged.
        self._passed = made = self._read_updates()
        optimizer = self.model.optimizer
        install(self.model, self._history.go_back(made, dictionaries(optimizer)))
        self._policy = counted_policy(optimizer)
        optimizers.warn_of_traps(optimizer, epoch)
        batches = self.params.get("steps") or math.inf  # None where the data have no length
        # A training may be many calls of `fit`, so its length is not known.
        warn_of_cycles(self._policy, math.inf, batches / self._accumulated)
        done = self._policy.locate(made).cycle
        judged = len(self.ends) if self._monitor is None else self._monitor.state_dict()["cycles"]
        if self._policy.completes(made) is not None and judged == done - 1:
            # The checkpoint was saved before this callback could judge the cycle.
            self._judge(done - 1, made)
        self._warn_of_monitor(done)

    def _check_metric(self, logs: dict[str, Any]) -> None:
        """Refuse a wrong compilation in the first batch, not at the end of the first cycle."""
        self._metric_checked = True
        # A custom step may log other metrics than `evaluate`, which decides in the end.
        kind = type(unsynced_model(self))
        if all(getattr(kind, step) is getattr(keras.Model, step) for step in STEPS):
            self._pick(logs)

    def _pick(self, metrics: dict[str, Any]) -> str:
        default = "accuracy" if self._mode == "max" else "loss"
        return pick(metrics, self._metric, default, "metric")

    def _judge(self, cycle: int, made: int) -> None:
        end: dict[str, Any] = {"cycle": cycle, "updates": made}
        best = True
        if self._data is not None:
            end["metrics"] = evaluate(self.model, self._data, self._batch_size)
        if self._monitor is not None:
            before = self._monitor.state_dict()["best"]
            verdict = self._monitor.update(end["metrics"][self._pick(end["metrics"])])
            end |= verdict._asdict()
            best = self._monitor.state_dict()["best"] != before
            if verdict.action == "lower":
                self._lower(verdict.factor)
            elif verdict.action == "stop":
                self.model.stop_training = True
        self._history.append(end, dictionaries(self.model.optimizer))
        if self._snapshots is not None and (best or not self._save_best_only):
            save(self.model, self._snapshots.format(cycle=cycle, updates=made))
        if self._verbose:
            shown = ", ".join(f"{name} {value:g}" for name, value in end.get("metrics", {}).items())
            print(f"\nCycle {cycle}, {made} updates: {end.get('reason') or shown}")

    def _lower(self, factor: float) -> None:
        present = policies(self.model.optimizer)
        install(self.model, [policy and policy.lowered(factor) for policy in present])
        self._policy = counted_policy(self.model.optimizer)

    def _warn_of_monitor(self, done: int) -> None:
        """Warn of a monitor of another policy, or a monitor that was not resumed."""
        if self._monitor is None:
            return
        state, expected = self._monitor.state_dict(), self._monitor.policy
        other = cycles(expected) != cycles(self._policy)
        # The policy of a monitor that has lowered the bounds stays that of the start.
        if other or (not state["lowerings"] and expected not in policies(self.model.optimizer)):
            warnings.warn(
                f"the monitor was made with {expected!r}, but the model trains with "
                f"{self._policy!r}{', which has other cycles' * other}: make the monitor with the "
                "model's policy",
                stacklevel=2,
            )
        if done and not state["cycles"]:
            warnings.warn(
                f"the optimizer has completed {done} cycles, none of which the monitor has "
                "judged: to resume, save CycleEnds.state_dict() with the model and load it with "
                "CycleEnds.load_state_dict(...)",
                stacklevel=2,
            )
