"""Hugging Face's Trainer: a policy in `create_scheduler`, a range test, and the ends of cycles."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.optim.lr_scheduler import LambdaLR

import clrcore
from clrcore.arguments import check_bool, refuse

from ._extras import install

try:
    import transformers
except ImportError as error:
    raise ImportError(
        f"clr_adapters.transformers needs it: {install('transformers')} ({error})"
    ) from error

from .torch import PolicyLR
from .torch._groups import initial_rate
from .torch._snapshot import Snapshot
from .torch.trainers import (
    CycleJudge,
    Facts,
    Known,
    Train,
    TrainerSweep,
    run_find_bounds,
    run_range_test,
)

# Where a checkpoint keeps the state of CycleEnds.
STATE = "clrcore.CycleEnds"


class PolicyMixin:
    """Gives a Trainer class a policy: `class MyTrainer(PolicyMixin, Trainer)`.

    The Trainer makes its optimizer with its own parameter groups, and the scheduler for it.

    Args:
        policy: A policy for all groups, a list with a policy for each group, or a function that
            takes the number of updates of the training and returns a policy.
        momentum: As in `PolicyLR`.
        proportional: As in `PolicyLR`.

    Raises:
        ValueError: `optimizers` holds a scheduler; its optimizer would not be the Trainer's.
    """

    def __init__(
        self,
        *args: Any,
        policy: clrcore.Policy | Sequence[clrcore.Policy] | Callable[[int], clrcore.Policy],
        momentum: Any = None,
        proportional: bool = False,
        **options: Any,
    ) -> None:
        if options.get("optimizers", (None, None))[1] is not None:
            allowed = "a pair of an optimizer and None, as the policy gives the scheduler"
            refuse(ValueError, "optimizers", allowed, options["optimizers"])
        self.policy, self._options = policy, {"momentum": momentum, "proportional": proportional}
        super().__init__(*args, **options)

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """The Trainer's hook: a `PolicyLR` of its optimizer."""
        trainer: Any = self
        if trainer.lr_scheduler is None:
            policy = self.policy
            if callable(policy) and not isinstance(policy, clrcore.Policy):
                policy = policy(num_training_steps)
            optimizer = trainer.optimizer if optimizer is None else optimizer
            trainer.lr_scheduler = PolicyLR(optimizer, policy, **self._options)
            trainer._created_lr_scheduler = True  # the Trainer makes another for its next training
        return trainer.lr_scheduler


class PolicyTrainer(PolicyMixin, transformers.Trainer):
    """`transformers.Trainer` with a policy: `PolicyTrainer(model, args, policy=policy, ...)`."""


class CycleEnds(transformers.TrainerCallback):
    """Evaluates, judges, saves, lowers the rates or stops each time a cycle is complete.

    The state travels with the Trainer's checkpoints.

    Args:
        monitor: Judges the metric of an evaluation at the end of each cycle: "lower" multiplies
            the rates from the next update on, "stop" ends the training. None judges nothing.
        metric: Name of the metric to judge, as `evaluate` returns it.
        save: Whether to save a checkpoint at the end of each cycle.

    Attributes:
        ends: A dictionary per cycle: cycle (from 0), updates, and with a monitor metric, action,
            factor and reason.

    Raises:
        TypeError: An argument has a wrong type.
    """

    def __init__(
        self,
        monitor: clrcore.CycleMonitor | None = None,
        *,
        metric: str = "eval_loss",
        save: bool = False,
    ) -> None:
        if not isinstance(metric, str):
            refuse(TypeError, "metric", "the name of a metric of evaluate", metric)
        self._judge = CycleJudge(monitor, average=False)
        self._metric, self._save = metric, check_bool("save", save)
        self.ends = self._judge.ends

    def on_train_begin(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Refuse other schedulers, and load the state of a checkpoint."""
        if STATE in state.stateful_callbacks:
            self._judge.load_state_dict(state.stateful_callbacks[STATE])
        scheduler = self._judge.start(others["lr_scheduler"])
        if scheduler.optimizer is not others["optimizer"]:
            allowed = "a scheduler of the Trainer's own optimizer; use PolicyTrainer"
            refuse(ValueError, "optimizers", allowed, scheduler)

    def on_step_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Ask for an evaluation and a checkpoint where a cycle has ended."""
        if self._judge.ended(others["lr_scheduler"]) is None:
            return
        control.should_save = control.should_save or self._save
        if self._judge.monitor is None:
            self._end(state, None, others)
        else:
            control.should_evaluate = True

    def on_evaluate(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Judge the cycle that has just ended."""
        metrics = others["metrics"]
        if self._judge.monitor is None or self._judge.ended(others["lr_scheduler"]) is None:
            return
        if self._metric not in metrics:
            refuse(ValueError, "metric", f"one of {sorted(metrics)}", self._metric)
        if self._end(state, metrics[self._metric], others).get("action") == "stop":
            control.should_training_stop = True

    def _end(self, state: Any, metric: Any, others: dict[str, Any]) -> dict[str, Any]:
        end = self._judge.judge(others["lr_scheduler"], others["model"], metric)
        state.stateful_callbacks[STATE] = self._judge.state_dict()
        return end


def range_test(
    trainer: transformers.Trainer,
    *,
    sweep: clrcore.Policy | None = None,
    steps_per_epoch: float | None = None,
    stop: bool = True,
    progress: bool = True,
    seeds: int | Sequence[int] | None = None,
) -> clrcore.Curve | list[clrcore.Curve]:
    """Train under a rising rate with the Trainer's own `train`, and put everything back.

    Loss, precision, accumulation, clipping and processes are the Trainer's. Its callbacks, its
    scheduler, evaluation, logs and checkpoints are left out.

    Args:
        trainer: The Trainer.
        sweep: The rates, a policy with an end; by default 300 updates from 1e-6 to 10.
        steps_per_epoch: Updates in an epoch; by default the Trainer's count.
        stop: Whether to end once the loss has diverged.
        progress: Whether to show a progress bar.
        seeds: A number of seeds or a sequence; each gives another data order and dropout
            from the same weights, and a curve.

    Returns:
        The curve with the losses before each update, or a list with a curve for each seed.

    Raises:
        TypeError: An argument has a wrong type.
        ValueError: An argument has a wrong value.

    Source: Smith, "Cyclical Learning Rates for Training Neural Networks", arXiv 1506.01186,
    section 3.3.
    """
    return run_range_test(
        _checked(trainer),
        sweep=sweep,
        steps_per_epoch=steps_per_epoch,
        stop=stop,
        progress=progress,
        seeds=seeds,
    )


def find_bounds(
    trainer: transformers.Trainer,
    *,
    sweep: clrcore.Policy | None = None,
    max_updates: int = 1500,
    total_steps: int | None = None,
    kind: str = "constant",
    steps_per_epoch: float | None = None,
    progress: bool = True,
    seeds: int | Sequence[int] | None = None,
) -> clrcore.Bounds:
    """Find the rates to train with: a range test, its suggestion, and trials that confirm it.

    Each run is a `train` of the trainer, as in `range_test`, from the same weights, and
    everything is put back.

    Args:
        trainer: The Trainer.
        sweep: Rates of the range test; by default 300 updates from 1e-6 to 10, fewer where a
            quarter of max_updates does not hold them.
        max_updates: The most updates of all runs together.
        total_steps: Updates of the planned training, if known.
        kind: "constant", or the schedule of the planned training, which the trials rehearse.
        steps_per_epoch: As in `range_test`.
        progress: Whether to show a progress bar.
        seeds: As in `range_test`; the trials use the first.

    Returns:
        The bounds that held; `bounds.trials` has the trials.

    Raises:
        TypeError: An argument has a wrong type.
        ValueError: An argument has a wrong value.
        NoBoundsError: Neither the range test nor a trial gives an answer.
    """
    return run_find_bounds(
        _checked(trainer),
        sweep=sweep,
        max_updates=max_updates,
        total_steps=total_steps,
        kind=kind,
        steps_per_epoch=steps_per_epoch,
        progress=progress,
        seeds=seeds,
    )


def _checked(trainer: Any) -> Train:
    """What trains without a trace; refuses other things than a Trainer."""
    if not isinstance(trainer, transformers.Trainer):
        refuse(TypeError, "trainer", "a transformers.Trainer", trainer)

    def train(test: clrcore.RangeTest | clrcore.Trial | None, bar: Any) -> Facts:
        with _no_trace(trainer):
            recorder = _Recorder(trainer, test, bar)
            try:
                trainer.train()
            except Known as known:
                return known.facts
            recorder.run.finish("the Trainer's train_dataset")
            return recorder.facts

    return train


class _Recorder(transformers.TrainerCallback):
    """The only callback during a range test: it sets the rates and takes the losses."""

    run: TrainerSweep
    facts: Facts

    def __init__(
        self, trainer: Any, test: clrcore.RangeTest | clrcore.Trial | None, bar: Any
    ) -> None:
        self._trainer, self._test, self._bar = trainer, test, bar
        self._training_step = trainer.training_step
        callbacks = [transformers.trainer_callback.DefaultFlowCallback(), self]
        trainer.callback_handler = type(trainer.callback_handler)(
            callbacks, trainer.model, trainer.processing_class, trainer.optimizer, None
        )
        trainer.control, trainer.args = type(trainer.control)(), copy.copy(trainer.args)
        trainer.create_scheduler, trainer.training_step = self.create_scheduler, self.training_step
        none = dict.fromkeys(["eval_strategy", "save_strategy", "logging_strategy"], "no")
        flags = dict.fromkeys(["load_best_model_at_end", "eval_on_start"], False)
        steps = 1 if test is None else test.total_steps
        vars(trainer.args).update(none | flags, max_steps=steps)

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> None:
        # The Trainer steps a scheduler after each update; the rate is set before the next update.
        self._trainer.lr_scheduler = LambdaLR(self._trainer.optimizer, lambda step: 1.0)

    def on_train_begin(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        length = clrcore.RangeTest.epoch_length(
            others["train_dataloader"], args.gradient_accumulation_steps
        )
        lr = initial_rate(0, self._trainer.optimizer.param_groups[0])
        self.facts = Facts(lr, length and math.ceil(length), args.process_index)
        if self._test is None:
            raise Known(self.facts)
        self.run = TrainerSweep(
            self._test,
            self._trainer.optimizer,
            mean=lambda losses: self._trainer.accelerator.reduce(losses, "mean"),
            bar=self._bar,
        )

    def training_step(self, *args: Any, **options: Any) -> torch.Tensor:
        loss: torch.Tensor = self._training_step(*args, **options)
        # It is divided by the number of micro-batches.
        self.run.add_loss(loss * self._trainer.current_gradient_accumulation_steps)
        return loss

    def on_step_begin(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        self.run.set_rate()

    def on_step_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        control.should_training_stop = self.run.count_update()


@contextmanager
def _no_trace(trainer: Any) -> Iterator[None]:
    """Put the Trainer, the model and the data back at the end."""
    snapshot = Snapshot()
    snapshot.take_generators()
    for value in (trainer.model, trainer.optimizer, trainer.accelerator.scaler):
        if value is not None:
            snapshot.take(value)
    owners = [trainer, trainer.accelerator, trainer.accelerator.gradient_state, trainer.model]
    held = [(owner, dict(vars(owner))) for owner in owners]
    lists = [(x, list(x)) for x in vars(trainer.accelerator).values() if isinstance(x, list)]
    try:
        yield
    finally:
        for owner, attributes in held:
            vars(owner).clear()
            vars(owner).update(attributes)
        for values, old in lists:
            values[:] = old
        snapshot.restore()
