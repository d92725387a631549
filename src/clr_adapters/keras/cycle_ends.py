"""`CycleEnds`: judge, save, lower or stop where cycles end (paper, section 3.2)."""

from __future__ import annotations

import copy
import os
import warnings
from typing import Any

import keras

import clrcore
from clrcore.arguments import check_int, check_keys, check_version, refuse

from . import _optimizers as optimizers
from ._evaluation import check_held_out, evaluate, pick
from .schedule import PolicySchedule

VERSION = 1
SUFFIXES = (".keras", ".weights.h5")
STEPS = ("train_step", "test_step")


class CycleEnds(keras.callbacks.Callback):  # type: ignore[misc]
    """Evaluates, saves, lowers the bounds or stops each time a cycle of the policy is complete.

    For models compiled with `PolicySchedule`. Cycles are counted in updates, by the optimizer,
    and may end within an epoch. With steps_per_execution > 1 they are noticed at the end of the
    execution. The optimizers of a MultiOptimizer must accumulate alike.

    monitor: a clrcore.CycleMonitor, which judges the metric; "lower" multiplies the bounds from
        the next update on (the training step is compiled anew), "stop" ends `fit`. None judges
        nothing.
    validation_data: held-out data, (x, y), (x, y, sample_weight), or a data set that
        `model.evaluate` takes; needed for a monitor.
    metric: name of the metric to judge, as `model.evaluate` has it; by default the first
        accuracy for a monitor of mode "max", "loss" for "min".
    batch_size: of validation data given as arrays.
    snapshots: path to save the model to after each cycle, ending in .keras (whole model) or
        .weights.h5; "{cycle}" and "{updates}" in it become numbers. Snapshots hold the
        bounds that training goes on with.
    verbose: 1 prints a line per cycle.
    Raises TypeError or ValueError, naming the argument, for anything else.

    `ends` is a list with a dictionary per cycle: cycle (from 0), updates, metrics, and the
    verdict's action, factor and reason.
    """

    def __init__(
        self,
        monitor: clrcore.CycleMonitor | None = None,
        *,
        validation_data: Any = None,
        metric: str | None = None,
        batch_size: int | None = None,
        snapshots: str | os.PathLike[str] | None = None,
        verbose: int = 0,
    ) -> None:
        super().__init__()
        if monitor is not None and not isinstance(monitor, clrcore.CycleMonitor):
            refuse(TypeError, "monitor", "a clrcore.CycleMonitor or None", monitor)
        if monitor is not None and validation_data is None:
            raise ValueError(
                "monitor needs validation_data=(x, y): at the end of a cycle the running means "
                "of the epoch say little about the model"
            )
        if monitor is None and validation_data is None and snapshots is None:
            raise ValueError("CycleEnds needs monitor, validation_data or snapshots; got none")
        if validation_data is not None:
            check_held_out(validation_data)
        if metric is not None and not isinstance(metric, str):
            refuse(TypeError, "metric", "the name of a metric or None", metric)
        self._best = None if monitor is None else monitor.state_dict()["mode"]
        if metric == "loss" and self._best == "max":
            raise ValueError("metric='loss' is better when lower; make the monitor with mode='min'")
        self._monitor = monitor
        self._data = validation_data
        self._metric = metric
        self._batch_size = None if batch_size is None else check_int("batch_size", batch_size, 1)
        self._snapshots = None if snapshots is None else _template(snapshots)
        self._verbose = check_int("verbose", verbose, 0, 1)
        self._loaded: list[dict[str, Any] | None] | None = None
        self._policy: clrcore.Policy | None = None
        self._passed = self._known = self._batches = 0
        self.ends: list[dict[str, Any]] = []

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Give the optimizer the bounds of a loaded state, and take its policy."""
        self._first = True
        if self._loaded is not None:
            self._install(
                [None if one is None else clrcore.policy_from_dict(one) for one in self._loaded]
            )
            self._loaded = None
        self._policy = _policy(self.model.optimizer)
        self._every = optimizers.batches_per_update(self.model.optimizer)
        self._picked = self._monitor is None

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Once per `fit`, start where the optimizer is, and warn of what was not resumed."""
        self._last_batch = -1
        if self._first:
            # Not in on_train_begin: a BackupAndRestore further back in the list loads there.
            self._start(epoch)
        self._first = False

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """See whether a cycle is complete; the optimizer is asked only when one may be."""
        assert self._policy is not None
        if not self._picked:
            self._check_metric(logs or {})
        self._batches += batch - self._last_batch
        self._last_batch = batch
        # Skipped and accumulated batches make fewer updates, never more.
        most = self._known + (self._batches + self._every - 1) // self._every
        judged = False
        while self._passed < most:
            cycle = self._policy.completes(self._passed + 1)
            if cycle is not None:
                made = optimizers.updates(self.model.optimizer)
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
        """Refuse models whose updates cannot be told from batches.

        Raises RuntimeError for more than one update per batch.
        """
        most = self._known + (self._batches + self._every - 1) // self._every
        made = optimizers.updates(self.model.optimizer)
        if made > most:
            raise RuntimeError(
                f"CycleEnds counts at most one update per batch, but the optimizer has made {made} "
                f"instead of {most}; feed CycleMonitor in your own training loop instead"
            )

    def state_dict(self) -> dict[str, Any]:
        """The state as plain data: the ends so far, the monitor's state, the policies in use."""
        return {
            "version": VERSION,
            "ends": copy.deepcopy(self.ends),
            "monitor": None if self._monitor is None else self._monitor.state_dict(),
            "policies": self._policies(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to a state that `state_dict` described; the next `fit` sets its bounds.

        Raises TypeError or ValueError for another version, missing or unknown keys, and a state
        with a monitor where there is none, or without one.
        """
        check_keys("state", state, ["version", "ends", "monitor", "policies"])
        check_version("state", state["version"], VERSION)
        if not isinstance(state["ends"], list):
            refuse(TypeError, "state['ends']", "a list", state["ends"])
        if (state["monitor"] is None) != (self._monitor is None):
            raise ValueError(
                "state['monitor'] does not fit: make CycleEnds with a monitor if the state is of "
                "one with a monitor, and without if not"
            )
        loaded = state["policies"]
        if loaded is not None and not isinstance(loaded, list):
            refuse(TypeError, "state['policies']", "a list or None", loaded)
        for one in loaded or []:
            if one is not None:
                clrcore.policy_from_dict(one)
        if self._monitor is not None:
            self._monitor.load_state_dict(state["monitor"])
        self.ends = copy.deepcopy(state["ends"])
        self._loaded = copy.deepcopy(loaded)

    def _start(self, epoch: int) -> None:
        optimizer = self.model.optimizer
        self._policy = _policy(optimizer)
        # Updates that are known to hold no end that was not judged.
        self._passed = self._known = optimizers.updates(optimizer)
        self._batches = 0
        optimizers.warn_of_traps(optimizer, epoch)
        self._warn_of_lost_cycles()

    def _check_metric(self, logs: dict[str, Any]) -> None:
        """Refuse in the first batch, not at the end of the first cycle, what is not compiled."""
        self._picked = True
        # A step of one's own may log other metrics than `evaluate`, which decides in the end.
        kind = type(self._model)
        if all(getattr(kind, step) is getattr(keras.Model, step) for step in STEPS):
            self._pick(logs)

    def _pick(self, metrics: dict[str, Any]) -> str:
        default = "accuracy" if self._best == "max" else "loss"
        return pick(metrics, self._metric, default, "metric")

    def _judge(self, cycle: int, made: int) -> None:
        end: dict[str, Any] = {"cycle": cycle, "updates": made}
        if self._data is not None:
            end["metrics"] = evaluate(self.model, self._data, self._batch_size)
        if self._monitor is not None:
            verdict = self._monitor.update(end["metrics"][self._pick(end["metrics"])])
            end |= verdict._asdict()
            if verdict.action == "lower":
                self._lower(verdict.factor)
            elif verdict.action == "stop":
                self.model.stop_training = True
        self.ends.append(end)
        if self._snapshots is not None:
            _save(self.model, self._snapshots.format(cycle=cycle, updates=made))
        if self._verbose:
            shown = ", ".join(f"{name} {value:g}" for name, value in end.get("metrics", {}).items())
            print(f"\nCycle {cycle}, {made} updates: {end.get('reason') or shown}")

    def _lower(self, factor: float) -> None:
        sources = map(optimizers.rate_source, optimizers.parts(self.model.optimizer))
        self._install(
            [
                source.policy.lowered(factor) if isinstance(source, PolicySchedule) else None
                for source in sources
            ]
        )
        self._policy = _policy(self.model.optimizer)

    def _install(self, policies: list[clrcore.Policy | None]) -> None:
        """Give every part of the optimizer its policy; None leaves a part alone."""
        parts = optimizers.parts(self.model.optimizer)
        if len(parts) != len(policies):
            raise ValueError(
                f"the state of CycleEnds is of {len(policies)} optimizers, the model has "
                f"{len(parts)}"
            )
        changed = False
        for part, policy in zip(parts, policies, strict=True):
            source = optimizers.rate_source(part)
            if policy is None or not isinstance(source, PolicySchedule) or source.policy == policy:
                continue
            every = source.gradient_accumulation_steps
            part.learning_rate = PolicySchedule(policy, gradient_accumulation_steps=every)
            changed = True
        if changed:
            # A step that is compiled already keeps the rates it was compiled with.
            self.model.make_train_function(force=True)

    def _policies(self) -> list[dict[str, Any] | None] | None:
        """The policies in use, as plain data; None before there is a model."""
        if self._loaded is not None:
            return copy.deepcopy(self._loaded)
        if self._policy is None:
            return None
        sources = map(optimizers.rate_source, optimizers.parts(self.model.optimizer))
        return [
            source.policy.to_dict() if isinstance(source, PolicySchedule) else None
            for source in sources
        ]

    def _warn_of_lost_cycles(self) -> None:
        assert self._policy is not None
        done = self._policy.locate(self._known).cycle
        if self._monitor is None or self._monitor.state_dict()["cycles"] > 0 or done == 0:
            return
        warnings.warn(
            f"the optimizer has completed {done} cycles, of which the monitor has seen none: to "
            "resume, save CycleEnds.state_dict() with the model and load it with "
            "CycleEnds.load_state_dict(...)",
            UserWarning,
            stacklevel=2,
        )


def _policy(optimizer: Any) -> clrcore.Policy:
    """The policy whose cycles are counted."""
    policies = [schedule.policy for schedule in optimizers.policy_schedules(optimizer)]
    if not policies:
        raise ValueError(
            "CycleEnds needs a model compiled with a PolicySchedule, such as "
            "keras.optimizers.SGD(PolicySchedule(policy))"
        )
    if not policies[0].has_cycles:
        refuse(ValueError, "the optimizer's policy", "one with cycles", policies[0])
    if len({(policy.constructor, policy.period) for policy in policies}) > 1:
        raise ValueError(f"the policies of MultiOptimizer must share their cycles, got {policies}")
    return policies[0]


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
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    if path.endswith(".keras"):
        model.save(path)
    else:
        model.save_weights(path)
