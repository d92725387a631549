"""Ignite: a policy that moves with the updates of an engine, ends of cycles, a range test."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, Unpack

from ._extras import needed

with needed("ignite", "clr_adapters.ignite needs PyTorch-Ignite"):
    import torch
    from ignite import distributed as idist
    from ignite.engine import Engine, Events
    from torch import nn
    from torch.optim import Optimizer

import clrcore
from clrcore.arguments import check_seeds, check_type, hint_at, refuse

from .torch import PolicyLR, trainers
from .torch._measures import as_scalar
from .torch._snapshot import Snapshot
from .torch._training import check_optimizer
from .torch.range_test import HINTS
from .torch.trainers import FindBoundsOptions, RangeTestOptions


def policy_lr(
    engine: Engine,
    optimizer: Optimizer,
    policy: clrcore.Policy | Sequence[clrcore.Policy],
    *,
    momentum: Any = None,
    proportional: bool = False,
) -> PolicyLR:
    """A `PolicyLR` that an engine moves after each update of the optimizer.

    It counts updates, not the iterations of an accumulation nor the updates that a scaler skips.
    Give it to Ignite's `Checkpoint` beside model, optimizer and engine.

    Args:
        engine: The engine that trains.
        optimizer: The optimizer.
        policy: A policy for all groups, or a list with a policy for each group.
        momentum: As in `PolicyLR`.
        proportional: As in `PolicyLR`.

    Raises:
        TypeError: `engine` is not an Engine, or as `PolicyLR` raises.
        ValueError: As `PolicyLR` does.
    """
    check_type("engine", engine, Engine, "an ignite.engine.Engine")
    scheduler = PolicyLR(optimizer, policy, momentum=momentum, proportional=proportional)
    updates: list[None] = []  # those of the present iteration

    def move() -> None:
        for _ in updates:
            scheduler.step()

    optimizer.register_step_post_hook(lambda *_: updates.append(None))
    engine.add_event_handler(Events.ITERATION_STARTED, updates.clear)
    engine.add_event_handler(Events.ITERATION_COMPLETED, move)
    return scheduler


class CycleEnds:
    """Evaluates, judges, saves, lowers the rates or stops each time a cycle is complete.

    Call `attach(engine)` after `policy_lr`, and give it to Ignite's `Checkpoint` beside the
    scheduler, as its state holds the lowerings.

    Args:
        scheduler: What `policy_lr` returned.
        monitor: Judges what `evaluate` returns: "lower" multiplies the rates from the next update
            on, "stop" terminates the engine. None judges nothing.
        evaluate: A function without arguments that returns the metric, such as a function that
            runs an evaluator. A monitor needs it. All processes must return the same metric.
        save: A handler that is called with the engine after each cycle, such as a `Checkpoint`.

    Attributes:
        ends: A dictionary per cycle: cycle (from 0), updates, and with a monitor metric, action,
            factor and reason.

    Raises:
        TypeError: An argument has a wrong type.
        ValueError: Of `monitor` and `evaluate`, a single argument is given.
    """

    def __init__(
        self,
        scheduler: PolicyLR,
        monitor: clrcore.CycleMonitor | None = None,
        *,
        evaluate: Callable[[], float] | None = None,
        save: Callable[[Engine], Any] | None = None,
    ) -> None:
        self._judge = trainers.CycleJudge(monitor, False)
        how = "use policy_lr of this module"
        self._scheduler = trainers.check_scheduler("scheduler", scheduler, how)
        if evaluate is not None and not callable(evaluate):
            refuse(TypeError, "evaluate", "a function without arguments or None", evaluate)
        if save is not None and not callable(save):
            refuse(TypeError, "save", "a function of the engine or None", save)
        if (monitor is None) != (evaluate is None):
            allowed = "given with a monitor, and None without"
            refuse(ValueError, "evaluate", allowed, evaluate)
        self._evaluate, self._save = evaluate, save
        self.ends = self._judge.ends
        self._lowerings: list[float] = []  # those that the scheduler has

    def attach(self, engine: Engine) -> None:
        """Judge the cycles of this engine's trainings."""
        check_type("engine", engine, Engine, "an ignite.engine.Engine")
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._judge_end)

    def state_dict(self) -> dict[str, Any]:
        """The state as plain data."""
        return self._judge.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to a state that `state_dict` returned; the next `run` lowers the rates as it did.

        Raises:
            TypeError: It is no such state.
            ValueError: It is no such state, or the scheduler has been lowered otherwise.
        """
        before = self._judge.state_dict()
        self._judge.load_state_dict(state)
        if self._judge.factors[: len(self._lowerings)] != self._lowerings:
            self._judge.load_state_dict(before)
            allowed = f"a list that begins with {self._lowerings}, as the rates are lowered already"
            advice = "make a new scheduler and a new CycleEnds"
            refuse(ValueError, "state['factors']", allowed, state["factors"], advice=advice)

    def _start(self, engine: Engine) -> None:
        """Lower the rates as in a loaded state, and judge an end that was saved before that."""
        for factor in self._judge.factors[len(self._lowerings) :]:
            self._scheduler.lower(factor)
        self._lowerings = [*self._judge.factors]
        self._judge_end(engine)

    def _judge_end(self, engine: Engine) -> None:
        if self._judge.ended(self._scheduler) is None:
            return
        metric = None if self._evaluate is None else self._evaluate()
        end = self._judge.judge(self._scheduler, None, metric)
        self._lowerings = [*self._judge.factors]
        if self._save is not None:
            self._save(engine)
        if end.get("action") == "stop":
            engine.terminate()


@hint_at(*RangeTestOptions.__annotations__, "output_transform", "preserve", **HINTS)
def range_test(
    engine: Engine,
    data: Any,
    model: nn.Module,
    optimizer: Optimizer,
    *,
    output_transform: Callable[[Any], Any] = lambda output: output,
    preserve: Sequence[object] = (),
    **options: Unpack[RangeTestOptions],
) -> clrcore.Curve | list[clrcore.Curve]:
    """Train under a rising rate with the engine's own process function, and put everything back.

    It runs in an engine of its own, without the handlers of `engine`.

    Args:
        engine: The engine that trains.
        data: As for `engine.run`.
        model: The model, which is put back.
        optimizer: The optimizer, whose rates are set, and which is put back.
        output_transform: From the output of the process function to the loss.
        preserve: Other objects to put back: a scaler, a second optimizer, a criterion.
        **options: sweep, steps_per_epoch (by default the iterations of an epoch), stop, progress
            and seeds, as in `clr_adapters.torch.range_test`.

    Returns:
        The curve with the losses before each update, or a list with a curve for each seed.

    Raises:
        TypeError: An argument has a wrong type.
        ValueError: An argument has a wrong value.

    Source: Smith, "Cyclical Learning Rates for Training Neural Networks", arXiv 1506.01186,
    section 3.3.
    """
    clrcore.RangeTest.check_data("data", data, check_seeds("seeds", options.get("seeds")))
    train = _training(engine, data, model, optimizer, output_transform, preserve)
    return trainers.run_range_test(train, **options)


@hint_at(*FindBoundsOptions.__annotations__, "output_transform", "preserve", **HINTS)
def find_bounds(
    engine: Engine,
    data: Any,
    model: nn.Module,
    optimizer: Optimizer,
    *,
    output_transform: Callable[[Any], Any] = lambda output: output,
    preserve: Sequence[object] = (),
    **options: Unpack[FindBoundsOptions],
) -> clrcore.Bounds:
    """Find the rates to train with: a range test, its suggestion, and trials that confirm it.

    Each run is as in `range_test`, from the same weights, and everything is put back.

    Args:
        engine: As in `range_test`.
        data: As in `range_test`; data that can be iterated over again.
        model: As in `range_test`.
        optimizer: As in `range_test`.
        output_transform: As in `range_test`.
        preserve: As in `range_test`.
        **options: sweep, max_updates, total_steps, kind, steps_per_epoch, progress and seeds, as
            in `clr_adapters.torch.find_bounds`.

    Returns:
        The bounds that held; `bounds.trials` has the trials.

    Raises:
        TypeError: An argument has a wrong type.
        ValueError: An argument has a wrong value.
        NoBoundsError: Neither the range test nor a trial gives an answer.
    """
    clrcore.RangeTest.check_data("data", data, [0, 1])
    train = _training(engine, data, model, optimizer, output_transform, preserve)
    return trainers.run_find_bounds(train, **options)


def _training(
    engine: Engine,
    data: Any,
    model: nn.Module,
    optimizer: Optimizer,
    output_transform: Callable[[Any], Any],
    preserve: Sequence[object],
) -> trainers.Train:
    """What trains without a trace; refuses wrong arguments."""
    check_type("engine", engine, Engine, "an ignite.engine.Engine")
    check_type("model", model, nn.Module, "a torch.nn.Module")
    check_optimizer("optimizer", optimizer, model)

    def train(run: trainers.TrainerSweep) -> None:
        snapshot = Snapshot()
        snapshot.take_generators()
        for value in (model, optimizer, *preserve):
            snapshot.take(value, "preserve")
        snapshot.take_loader(data)
        with trainers.no_trace(snapshot, []):
            batches = clrcore.RangeTest.epoch_length(data)
            run.begin(optimizer, batches=batches, rank=idist.get_rank(), mean=_mean)
            run.watch(optimizer)
            probe = Engine(engine._process_function)

            def end_batch() -> None:
                loss = output_transform(probe.state.output)
                if run.end_batch(as_scalar("output_transform", loss)):
                    probe.terminate()

            def end_epoch() -> None:
                if probe.state.iteration < probe.state.epoch * (probe.state.epoch_length or 0):
                    probe.terminate()  # the data cannot be iterated over again

            probe.add_event_handler(Events.ITERATION_COMPLETED, end_batch)
            probe.add_event_handler(Events.EPOCH_COMPLETED, end_epoch)
            probe.run(data, max_epochs=sys.maxsize)
            run.finish("data")

    return train


def _mean(losses: torch.Tensor) -> torch.Tensor:
    """The mean over all processes."""
    return torch.as_tensor(idist.all_reduce(losses.clone(), "SUM")) / idist.get_world_size()
