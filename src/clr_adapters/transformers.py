"""Hugging Face's Trainer: a policy in `create_scheduler`, a range test, and the ends of cycles."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Unpack

from ._extras import needed

with needed("transformers", "clr_adapters.transformers needs Transformers"):
    import torch
    import transformers
    from torch.optim.lr_scheduler import LambdaLR

import clrcore
from clrcore.arguments import check_bool, check_type, hint_at, refuse

from .torch import PolicyLR, trainers
from .torch._snapshot import Snapshot
from .torch.range_test import HINTS
from .torch.trainers import FindBoundsOptions, RangeTestOptions

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
        metric: Name of the metric to judge, as `evaluate` returns it; a loss needs a monitor
            with mode="min".
        save: Whether to save a checkpoint at the end of each cycle.

    Attributes:
        ends: A dictionary per cycle: cycle (from 0), updates, and with a monitor metric, action,
            factor and reason.

    Raises:
        TypeError: An argument has a wrong type.
        ValueError: A monitor with mode="max" is to judge a loss.
    """

    def __init__(
        self,
        monitor: clrcore.CycleMonitor | None = None,
        *,
        metric: str = "eval_loss",
        save: bool = False,
    ) -> None:
        check_type("metric", metric, str, "the name of a metric of evaluate")
        self._judge = trainers.CycleJudge(monitor, False, metric)
        self._metric, self._save = metric, check_bool("save", save)
        self.ends = self._judge.ends

    def on_train_begin(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Refuse other schedulers, and load the state of a checkpoint."""
        if STATE in state.stateful_callbacks:
            self._judge.load_state_dict(state.stateful_callbacks[STATE])
        how = "use PolicyTrainer(..., policy=policy)"
        total, epochs = state.max_steps, state.num_train_epochs
        scheduler = self._judge.start(others["lr_scheduler"], how, total, epochs)
        own = trainers.innermost(others["optimizer"])
        if trainers.innermost(scheduler.optimizer) is not own:
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


@hint_at(*RangeTestOptions.__annotations__, **HINTS)
def range_test(
    trainer: transformers.Trainer, **options: Unpack[RangeTestOptions]
) -> clrcore.Curve | list[clrcore.Curve]:
    """Train under a rising rate with the Trainer's own `train`, and put everything back.

    Loss, precision, accumulation, clipping and processes are the Trainer's. Its callbacks, its
    scheduler, evaluation, logs and checkpoints are left out.

    Args:
        trainer: The Trainer.
        **options: sweep, steps_per_epoch (by default the Trainer's count), stop, progress and
            seeds, as in `clr_adapters.torch.range_test`.

    Returns:
        The curve with the losses before each update, or a list with a curve for each seed.

    Raises:
        TypeError: An argument has a wrong type.
        ValueError: An argument has a wrong value.

    Source: Smith, "Cyclical Learning Rates for Training Neural Networks", arXiv 1506.01186,
    section 3.3.
    """
    return trainers.run_range_test(_training(trainer), **options)


@hint_at(*FindBoundsOptions.__annotations__, **HINTS)
def find_bounds(
    trainer: transformers.Trainer, **options: Unpack[FindBoundsOptions]
) -> clrcore.Bounds:
    """Find the rates to train with: a range test, its suggestion, and trials that confirm it.

    Each run is a `train` of the trainer, as in `range_test`, from the same weights, and
    everything is put back.

    Args:
        trainer: The Trainer.
        **options: sweep, max_updates, total_steps, kind, steps_per_epoch, progress and seeds, as
            in `clr_adapters.torch.find_bounds`.

    Returns:
        The bounds that held; `bounds.trials` has the trials.

    Raises:
        TypeError: An argument has a wrong type.
        ValueError: An argument has a wrong value.
        NoBoundsError: Neither the range test nor a trial gives an answer.
    """
    return trainers.run_find_bounds(_training(trainer), **options)


def _training(trainer: Any) -> trainers.Train:
    """What trains without a trace; refuses other things than a Trainer."""
    check_type("trainer", trainer, transformers.Trainer, "a transformers.Trainer")

    def train(run: trainers.TrainerSweep) -> None:
        with _no_trace(trainer):
            _Recorder(trainer, run)
            trainer.train()
            run.finish("the Trainer's train_dataset")

    return train


class _Recorder(transformers.TrainerCallback):
    """The only callback during a range test: it sets the rates and takes the losses."""

    def __init__(self, trainer: Any, run: trainers.TrainerSweep) -> None:
        self._trainer, self.run = trainer, run
        self._training_step = trainer.training_step
        callbacks = [transformers.trainer_callback.DefaultFlowCallback(), self]
        trainer.callback_handler = type(trainer.callback_handler)(
            callbacks, trainer.model, trainer.processing_class, trainer.optimizer, None
        )
        trainer.control, trainer.args = type(trainer.control)(), copy.copy(trainer.args)
        trainer.create_scheduler, trainer.training_step = self.create_scheduler, self.training_step
        none = dict.fromkeys(["eval_strategy", "save_strategy", "logging_strategy"], "no")
        flags = dict.fromkeys(["load_best_model_at_end", "eval_on_start"], False)
        steps = 1 if run.test is None else run.test.total_steps
        vars(trainer.args).update(none | flags, max_steps=steps)

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> None:
        # The Trainer steps a scheduler after each update; the rate is set before the next update.
        self._trainer.lr_scheduler = LambdaLR(self._trainer.optimizer, lambda step: 1.0)

    def on_train_begin(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        self.run.begin(
            self._trainer.optimizer,
            batches=clrcore.RangeTest.epoch_length(others["train_dataloader"]),
            accumulate=args.gradient_accumulation_steps,
            rank=args.process_index,
            mean=lambda losses: self._trainer.accelerator.reduce(losses, "mean"),
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
    lists = [(x, list(x)) for x in vars(trainer.accelerator).values() if isinstance(x, list)]
    with trainers.no_trace(snapshot, owners):
        try:
            yield
        finally:
            for values, old in lists:
                values[:] = old
