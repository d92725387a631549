"""`CycleEnds`: judge, save, lower or stop where cycles end (paper, section 3.2)."""

from __future__ import annotations

import copy
import json
import os
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np

import clrcore
from clr_adapters import _files
from clrcore.arguments import check_bool, check_int, check_keys, check_version, refuse

from . import _optimizers as optimizers
from ._evaluation import check_held_out, evaluate, pick
from ._private import (
    KerasSaveable,
    forget_saved,
    rate_source,
    save_with_model,
    unsynced_model,
)
from .schedule import PolicySchedule

VERSION = 2
SUFFIXES = (".keras", ".weights.h5")
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
        save_best_only: Whether to save only after a cycle whose metric is the best so far;
            needs a monitor.
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
        if monitor is not None and not isinstance(monitor, clrcore.CycleMonitor):
            refuse(TypeError, "monitor", "a clrcore.CycleMonitor or None", monitor)
        if monitor is not None and validation_data is None:
            raise ValueError(
                "monitor needs validation_data=(x, y): at the end of a cycle the running means "
                "of the epoch are not the model's"
            )
        if monitor is None and validation_data is None and snapshots is None:
            raise ValueError("CycleEnds needs monitor, validation_data or snapshots; got none")
        if validation_data is not None:
            check_held_out(validation_data)
        if metric is not None and not isinstance(metric, str):
            refuse(TypeError, "metric", "the name of a metric or None", metric)
        self._mode = None if monitor is None else monitor.state_dict()["mode"]
        if metric == "loss" and self._mode == "max":
            raise ValueError("metric='loss' is better when lower; make the monitor with mode='min'")
        if check_bool("save_best_only", save_best_only) and (monitor is None or snapshots is None):
            refuse(ValueError, "save_best_only", "False without monitor and snapshots", True)
        self._monitor = monitor
        self._data = validation_data
        self._metric = metric
        self._batch_size = None if batch_size is None else check_int("batch_size", batch_size, 1)
        self._snapshots = None if snapshots is None else _template(snapshots)
        self._save_best_only = save_best_only
        self._verbose = check_int("verbose", verbose, 0, 1)
        self._passed = self._known = self._batches = 0
        self.ends: list[dict[str, Any]] = []
        # The monitor's state and the policies before the first end and after each.
        self._history = [self._state(None)]

    def set_model(self, model: Any) -> None:
        """Let checkpoints of the model, such as those of `BackupAndRestore`, hold the state."""
        super().set_model(model)
        save_with_model(model, _State(self))

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Leave the model as any other."""
        forget_saved(unsynced_model(self))

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Refuse a model whose cycles cannot be counted."""
        self._first = True
        self._policy = _policy(self.model.optimizer)
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
        most = self._most_updates()
        judged = False
        while self._passed < most:
            cycle = self._policy.completes(self._passed + 1)
            if cycle is not None:
                made = optimizers.updates_made(self.model.optimizer)
                self._known, self._batches, most = made, 0, made
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
        made, most = optimizers.updates_made(self.model.optimizer), self._most_updates()
        if made > most:
            raise RuntimeError(
                f"CycleEnds counts at most one update per batch, but the optimizer has made {made} "
                f"instead of {most}; feed CycleMonitor in your own training loop instead"
            )

    def state_dict(self) -> dict[str, Any]:
        """The state as plain data: the ends, and the monitor's states and policies at each."""
        return copy.deepcopy({"version": VERSION, "ends": self.ends, "history": self._history})

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to a state that `state_dict` described; the next `fit` sets its bounds.

        Raises:
            TypeError: For data of the wrong type.
            ValueError: For another version, missing or unknown keys, and the state of a
                CycleEnds with a monitor if this has none, or without.
        """
        check_keys("state", state, ["version", "ends", "history"])
        check_version("state", state["version"], VERSION)
        ends, history = state["ends"], state["history"]
        for name, items in (("ends", ends), ("history", history)):
            if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
                refuse(TypeError, f"state[{name!r}]", "a list of dictionaries", items)
        if len(history) != len(ends) + 1:
            allowed = f"a list of {len(ends) + 1}, one more than the ends"
            refuse(ValueError, "state['history']", allowed, history)
        for i, end in enumerate(ends):
            check_int(f"state['ends'][{i}]['updates']", end.get("updates"))
        before = self._state(None)["monitor"]
        try:
            for i, item in enumerate(history):
                self._check_state(f"state['history'][{i}]", item)
        except BaseException:
            if self._monitor is not None:  # the state is refused as a whole
                self._monitor.load_state_dict(before)
            raise
        self.ends, self._history = copy.deepcopy(ends), copy.deepcopy(history)

    def _check_state(self, name: str, item: dict[str, Any]) -> None:
        """Refuse an item of the history; the monitor takes its state."""
        check_keys(name, item, ["monitor", "policies"])
        if (item["monitor"] is None) != (self._monitor is None):
            raise ValueError(
                f"{name}['monitor'] does not fit: make CycleEnds with a monitor if the state is "
                "of a CycleEnds with a monitor, and without if not"
            )
        for data in item["policies"] or []:
            if data is not None:
                clrcore.policy_from_dict(data)
        if self._monitor is not None:
            self._monitor.load_state_dict(item["monitor"])

    def _most_updates(self) -> int:
        """The most updates of the batches so far; skipped batches make none."""
        return self._known + -(-self._batches // self._accumulated)

    def _start(self, epoch: int) -> None:
        optimizer = self.model.optimizer
        # Updates that are known to hold no end that was not judged.
        self._passed = self._known = made = optimizers.updates_made(optimizer)
        self._batches = 0
        self._go_back(made)
        self._policy = _policy(self.model.optimizer)
        optimizers.warn_of_traps(optimizer, epoch)
        done = self._policy.locate(made).cycle
        judged = len(self.ends) if self._monitor is None else self._monitor.state_dict()["cycles"]
        if self._policy.completes(made) is not None and judged == done - 1:
            self._judge(done - 1, made)  # a callback before this one had saved the end already
        self._warn_of_monitor(done)

    def _go_back(self, made: int) -> None:
        """Forget the ends after update `made`, and restore state and bounds of that update."""
        self.ends = [end for end in self.ends if end["updates"] <= made]
        del self._history[len(self.ends) + 1 :]
        state = self._history[-1]
        if self._monitor is not None:
            self._monitor.load_state_dict(state["monitor"])
        if state["policies"] is None:
            state["policies"] = _dictionaries(self.model.optimizer)
        self._install([data and clrcore.policy_from_dict(data) for data in state["policies"]])

    def _state(self, optimizer: Any) -> dict[str, Any]:
        return {
            "monitor": None if self._monitor is None else self._monitor.state_dict(),
            "policies": None if optimizer is None else _dictionaries(optimizer),
        }

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
        self.ends.append(end)
        self._history.append(self._state(self.model.optimizer))
        if self._snapshots is not None and (best or not self._save_best_only):
            _save(self.model, self._snapshots.format(cycle=cycle, updates=made))
        if self._verbose:
            shown = ", ".join(f"{name} {value:g}" for name, value in end.get("metrics", {}).items())
            print(f"\nCycle {cycle}, {made} updates: {end.get('reason') or shown}")

    def _lower(self, factor: float) -> None:
        policies = _policies(self.model.optimizer)
        self._install([policy and policy.lowered(factor) for policy in policies])
        self._policy = _policy(self.model.optimizer)

    def _install(self, policies: list[clrcore.Policy | None]) -> None:
        """Give every simple optimizer its policy; None leaves it alone."""
        simple = optimizers.simple_optimizers(self.model.optimizer)
        if len(simple) != len(policies):
            raise ValueError(
                f"the state of CycleEnds is of {len(policies)} optimizers, the model has "
                f"{len(simple)}"
            )
        present = _policies(self.model.optimizer)
        changed = False
        for optimizer, policy, old in zip(simple, policies, present, strict=True):
            if policy is not None and old is not None and policy != old:
                every = rate_source(optimizer).gradient_accumulation_steps
                optimizer.learning_rate = PolicySchedule(policy, gradient_accumulation_steps=every)
                changed = True
        if changed:
            # A step that is compiled already keeps the rates it was compiled with.
            self.model.make_train_function(force=True)

    def _warn_of_monitor(self, done: int) -> None:
        """Warn of a monitor of other cycles, or a monitor that was not resumed."""
        if self._monitor is None:
            return
        if _cycles(self._monitor.policy) != _cycles(self._policy):
            warnings.warn(
                f"the monitor was made with {self._monitor.policy!r}, but the model trains with "
                f"{self._policy!r}, which has other cycles: make the monitor with the model's "
                "policy",
                UserWarning,
                stacklevel=2,
            )
        if done and not self._monitor.state_dict()["cycles"]:
            warnings.warn(
                f"the optimizer has completed {done} cycles, none of which the monitor has "
                "judged: to resume, save CycleEnds.state_dict() with the model and load it with "
                "CycleEnds.load_state_dict(...)",
                UserWarning,
                stacklevel=2,
            )


class _State(KerasSaveable):  # type: ignore[misc]
    """The state of a CycleEnds in the checkpoints of a model."""

    def __init__(self, ends: CycleEnds) -> None:
        self._ends = ends

    def _obj_type(self) -> str:
        return "Loss"  # Keras knows no others; it names attributes that are not searched

    def save_own_variables(self, store: Any) -> None:
        store["state"] = np.frombuffer(json.dumps(self._ends.state_dict()).encode(), np.uint8)

    def load_own_variables(self, store: Any) -> None:
        if "state" in store.keys():
            self._ends.load_state_dict(json.loads(bytes(np.asarray(store["state"]))))


def _policies(optimizer: Any) -> list[clrcore.Policy | None]:
    """The policy of each simple optimizer, None where the rate has another source."""
    return [
        source.policy if isinstance(source, PolicySchedule) else None
        for source in optimizers.rate_sources(optimizer)
    ]


def _dictionaries(optimizer: Any) -> list[dict[str, Any] | None]:
    return [None if policy is None else policy.to_dict() for policy in _policies(optimizer)]


def _policy(optimizer: Any) -> clrcore.Policy:
    """The policy whose cycles are counted."""
    policies = [schedule.policy for schedule in optimizers.policy_schedules(optimizer)]
    if not policies:
        raise ValueError(
            "CycleEnds needs a model compiled with a PolicySchedule, such as "
            "keras.optimizers.SGD(PolicySchedule(policy))"
        )
    if not policies[0].has_cycles:
        refuse(ValueError, "the optimizer's policy", "a policy with cycles", policies[0])
    if len(set(map(_cycles, policies))) > 1:
        raise ValueError(f"the policies of MultiOptimizer must share their cycles, got {policies}")
    return policies[0]


def _cycles(policy: clrcore.Policy) -> tuple[Any, ...]:
    """The facts that distinguish policies by their cycles; lowered bounds do not change them."""
    return policy.constructor, policy.period, policy.total_steps


def _template(snapshots: str | os.PathLike[str]) -> str:
    if not isinstance(snapshots, str | os.PathLike):
        refuse(TypeError, "snapshots", "a path", snapshots)
    path = os.fspath(snapshots)
    allowed = "a path ending in .keras or .weights.h5, with no fields but {cycle} and {updates}"
    if not path.endswith(SUFFIXES):
        refuse(ValueError, "snapshots", allowed, path)
    try:
        path.format(cycle=0, updates=0)
    except (AttributeError, LookupError, TypeError, ValueError):
        refuse(ValueError, "snapshots", allowed, path)
    return path


def _save(model: Any, path: str) -> None:
    suffix = next(suffix for suffix in SUFFIXES if path.endswith(suffix))
    save = model.save if suffix == ".keras" else model.save_weights
    with _files.replaced(Path(path), suffix) as draft:
        save(draft, overwrite=True)
