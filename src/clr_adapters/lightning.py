"""Lightning: a policy for `configure_optimizers`, a range test, and the ends of cycles.

It works with `lightning` and with `pytorch_lightning`.
"""

from __future__ import annotations

import math
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Unpack

from ._extras import needed

with needed("lightning", "clr_adapters.lightning needs Lightning"):
    import torch
    from torch import nn
    from torch.optim import Optimizer

import clrcore
from clrcore.arguments import check_seeds, check_type, hint_at, refuse

from .torch import PolicyLR, trainers
from .torch._snapshot import Snapshot
from .torch.range_test import HINTS
from .torch.trainers import FindBoundsOptions, RangeTestOptions

PACKAGES = ["lightning.pytorch", "pytorch_lightning"]
# The package that is in use, else the package that is installed.
first, second = sorted(PACKAGES, key=lambda name: name not in sys.modules)
try:
    lightning: Any = import_module(first)
except ImportError:
    with needed("lightning", "clr_adapters.lightning needs Lightning"):
        lightning = import_module(second)
DummyLogger = import_module(f"{lightning.__name__}.loggers.logger").DummyLogger


def policy_lr(
    optimizer: Optimizer,
    policy: clrcore.Policy | Sequence[clrcore.Policy],
    *,
    momentum: Any = None,
    proportional: bool = False,
) -> dict[str, Any]:
    """What `configure_optimizers` returns to move the rates after every update.

    A scheduler that is returned without an interval is moved once per epoch only. With manual
    optimization, call `self.lr_schedulers().step()` after each update.

    Args:
        optimizer: The optimizer.
        policy: A policy for all groups, or a list with a policy for each group.
        momentum: As in `PolicyLR`.
        proportional: As in `PolicyLR`.

    Returns:
        The optimizer, and a `PolicyLR` with its interval.

    Raises:
        TypeError: As `PolicyLR` does.
        ValueError: As `PolicyLR` does.
    """
    scheduler = PolicyLR(optimizer, policy, momentum=momentum, proportional=proportional)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


class CycleEnds(lightning.Callback):  # type: ignore[misc]
    """Judges, saves, lowers the rates, averages or stops each time a cycle is complete.

    The metric is judged after validation, so validation must come at the ends of cycles. For cycles
    of whole epochs that is `Trainer(check_val_every_n_epoch=epochs)`, otherwise
    `Trainer(val_check_interval=policy.period, check_val_every_n_epoch=None)`, times
    `accumulate_grad_batches` where that divides the batches of an epoch. The state travels with
    the trainer's checkpoints and holds the lowerings: give a resumed training a CycleEnds, too.

    Args:
        monitor: Judges the metric: "lower" multiplies the rates from the next update on, "stop"
            ends the training. None judges nothing.
        metric: Name of the logged metric to judge; a loss needs a monitor with mode="min".
        snapshots: Path of a checkpoint after each cycle; "{cycle}" and "{updates}" in it become
            numbers. None saves none.
        average: Whether to average the weights at the ends of cycles, in `average`, which
            `module.load_state_dict` takes.

    Attributes:
        ends: A dictionary per cycle: cycle (from 0), updates, and with a monitor metric, action,
            factor and reason.
        average: The averaged weights.

    Raises:
        TypeError: An argument has a wrong type.
        ValueError: A monitor with mode="max" is to judge a loss.
    """

    def __init__(
        self,
        monitor: clrcore.CycleMonitor | None = None,
        *,
        metric: str = "val_loss",
        snapshots: str | os.PathLike[str] | None = None,
        average: bool = False,
    ) -> None:
        super().__init__()
        check_type("metric", metric, str, "the name of a logged metric")
        self._judge, self._metric = trainers.CycleJudge(monitor, average, metric), metric
        self._snapshots = None if snapshots is None else os.fspath(snapshots)
        self._scheduler: Any = None
        self.ends, self.average = self._judge.ends, self._judge.average

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Find the scheduler, and judge a cycle whose end was saved before its validation."""
        configs = trainer.lr_scheduler_configs
        found = [config for config in configs if isinstance(config.scheduler, PolicyLR)]
        how = "return policy_lr(optimizer, policy) from configure_optimizers"
        if found and found[0].interval != "step" and pl_module.automatic_optimization:
            allowed = "moved after every update"
            refuse(ValueError, "the trainer's scheduler", allowed, found[0].interval, advice=how)
        scheduler = found[0].scheduler if found else None
        total, epochs = trainer.estimated_stepping_batches, trainer.max_epochs or 0
        self._scheduler = self._judge.start(scheduler, how, total, epochs)
        if self._judge.monitor is not None and self._is_due():
            # Lightning writes checkpoints between an update and the validation after it, and
            # validates after the next update of a resumed run at the earliest.
            trainer.validating = True
            trainer.fit_loop.epoch_loop.val_loop.run()
            trainer.training = True

    def on_train_batch_start(self, *_: Any) -> None:
        """Warn where a cycle has ended without the validation that was to judge it."""
        if self._judge.monitor is not None and self._is_due():
            warnings.warn(
                "a cycle has ended without validation, and was not judged; for cycles of whole "
                "epochs use Trainer(check_val_every_n_epoch=epochs), else val_check_interval="
                "policy.period * accumulate_grad_batches with check_val_every_n_epoch=None, and "
                "validation data",
                stacklevel=2,
            )

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        """Note the end of a cycle that nothing is to judge."""
        if self._judge.monitor is None and self._is_due():
            self._end(trainer, pl_module, None)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Judge the cycle that has just ended."""
        if trainer.sanity_checking or self._judge.monitor is None or not self._is_due():
            return
        metrics = trainer.callback_metrics
        if self._metric not in metrics:
            refuse(ValueError, "metric", f"a logged metric: {sorted(metrics)}", self._metric)
        self._end(trainer, pl_module, metrics[self._metric])

    def state_dict(self) -> dict[str, Any]:
        """The state, which travels with checkpoints."""
        return self._judge.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go to a state; its lowered rates are set when training starts."""
        self._judge.load_state_dict(state_dict)

    def _is_due(self) -> bool:
        return self._scheduler is not None and self._judge.ended(self._scheduler) is not None

    def _end(self, trainer: Any, module: nn.Module, metric: Any) -> None:
        end = self._judge.judge(self._scheduler, module, metric)
        if end.get("action") == "stop":
            trainer.should_stop = True
        if self._snapshots is not None:
            path = self._snapshots.format(cycle=end["cycle"], updates=end["updates"])
            try:
                trainer.save_checkpoint(path)
            except OSError as error:
                error.filename = error.filename or path  # a full disk names no file
                raise


@hint_at(*RangeTestOptions.__annotations__, **HINTS)
def range_test(
    trainer: Any,
    module: Any,
    train_dataloaders: Any = None,
    *,
    datamodule: Any = None,
    **options: Unpack[RangeTestOptions],
) -> clrcore.Curve | list[clrcore.Curve]:
    """Train under a rising rate with the trainer's own `fit`, and put everything back.

    Precision, accumulation, clipping and processes are the trainer's. Its callbacks, those of the
    module, its loggers, schedulers, limits and validation are left out. Strategies that start new
    processes for each call (`ddp_spawn`) and several optimizers are refused.

    Args:
        trainer: The Trainer.
        module: The LightningModule; with manual optimization, each backward pass counts as the
            loss of a batch.
        train_dataloaders: As for `fit`.
        datamodule: As for `fit`.
        **options: sweep, steps_per_epoch (by default the trainer's count), stop, progress and
            seeds, as in `clr_adapters.torch.range_test`.

    Returns:
        The curve with the losses before each update, or a list with a curve for each seed.

    Raises:
        TypeError: An argument has a wrong type.
        ValueError: An argument has a wrong value.

    Source: Smith, "Cyclical Learning Rates for Training Neural Networks", arXiv 1506.01186,
    section 3.3.
    """
    seeds = check_seeds("seeds", options.get("seeds"))
    clrcore.RangeTest.check_data("train_dataloaders", train_dataloaders, seeds)
    train = _training(trainer, module, train_dataloaders, datamodule)
    return trainers.run_range_test(train, **options)


@hint_at(*FindBoundsOptions.__annotations__, **HINTS)
def find_bounds(
    trainer: Any,
    module: Any,
    train_dataloaders: Any = None,
    *,
    datamodule: Any = None,
    **options: Unpack[FindBoundsOptions],
) -> clrcore.Bounds:
    """Find the rates to train with: a range test, its suggestion, and trials that confirm it.

    Each run is a `fit` of the trainer, as in `range_test`, from the same weights, and
    everything is put back.

    Args:
        trainer: As in `range_test`.
        module: As in `range_test`.
        train_dataloaders: As in `range_test`; data that can be iterated over again.
        datamodule: As in `range_test`.
        **options: sweep, max_updates, total_steps, kind, steps_per_epoch, progress and seeds, as
            in `clr_adapters.torch.find_bounds`.

    Returns:
        The bounds that held; `bounds.trials` has the trials.

    Raises:
        TypeError: An argument has a wrong type.
        ValueError: An argument has a wrong value.
        NoBoundsError: Neither the range test nor a trial gives an answer.
    """
    clrcore.RangeTest.check_data("train_dataloaders", train_dataloaders, [0, 1])
    train = _training(trainer, module, train_dataloaders, datamodule)
    return trainers.run_find_bounds(train, **options)


def _training(trainer: Any, module: Any, data: Any, datamodule: Any) -> trainers.Train:
    """What trains without a trace; refuses wrong arguments."""
    if not hasattr(trainer, "fit_loop"):
        refuse(TypeError, "trainer", "a Trainer of Lightning", trainer)
    launcher = trainer.strategy.launcher
    if launcher is not None and "Subprocess" not in type(launcher).__name__:
        refuse(ValueError, "trainer", "a Trainer that starts no processes in fit", launcher)

    def train(run: trainers.TrainerSweep) -> None:
        if run.test is None and hasattr(data, "__next__"):  # no batch to spare to find them out
            run.facts = trainers.Facts(math.nan, None, trainer.global_rank)
            return
        with _no_trace(trainer, module, data, datamodule):
            recorder = _Recorder(trainer, run)
            try:
                trainer.fit(module, data, datamodule=datamodule)
            except SystemExit as end:  # the trainer turns a Ctrl-C into it
                raise recorder.failure or end from None
            run.finish("train_dataloaders")

    return train


class _Recorder(lightning.Callback):  # type: ignore[misc]
    """The only callback during a range test: it sets the rates and takes the losses."""

    failure: BaseException | None = None

    def __init__(self, trainer: Any, run: trainers.TrainerSweep) -> None:
        self.run, loop = run, trainer.fit_loop
        # New loops: the progress of the old loops is not touched.
        trainer.fit_loop = type(loop)(trainer, max_epochs=loop.max_epochs)
        trainer.fit_loop.epoch_loop = type(loop.epoch_loop)(trainer, max_steps=loop.max_steps)
        trainer.state, trainer.callbacks = type(trainer.state)(), [self]
        trainer.loggers = [DummyLogger()] if trainer.loggers else []
        trainer.limit_val_batches = trainer.num_sanity_val_steps = 0

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        trainer.callbacks[:] = [self]  # the module's own were added a moment ago

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        if len(trainer.optimizers) != 1:
            allowed = "a module with a single optimizer; clr_adapters.torch.range_test takes others"
            refuse(ValueError, "module", allowed, len(trainer.optimizers))
        # Only now: the module may have asked for the length of the training to make them.
        trainer.strategy.lr_scheduler_configs = []
        trainer.fit_loop.max_epochs = trainer.fit_loop.epoch_loop.max_steps = -1
        self._updates = 0
        self.run.begin(
            trainer.optimizers[0],
            batches=trainer.num_training_batches,
            accumulate=trainer.accumulate_grad_batches,
            rank=trainer.global_rank,
            mean=lambda losses: trainer.strategy.reduce(losses, reduce_op="mean"),
        )

    def on_train_batch_start(self, *_: Any) -> None:
        self.run.set_rate()

    def on_before_backward(self, trainer: Any, pl_module: Any, loss: torch.Tensor) -> None:
        scaler = getattr(trainer.precision_plugin, "scaler", None)
        if scaler is not None:
            loss = loss / scaler.get_scale()
        if pl_module.automatic_optimization:  # the trainer has divided it by their number
            loss = loss * trainer.accumulate_grad_batches
        self.run.add_loss(loss)

    def on_before_optimizer_step(self, trainer: Any, *_: Any) -> None:
        self._updates += 1
        self.run.set_rate()  # a module may make several updates per batch by hand
        trainer.should_stop = self.run.count_update()

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        if not self._updates:
            trainer.should_stop = True  # the data cannot be iterated over again
        self._updates = 0

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        self.failure = exception


@contextmanager
def _no_trace(trainer: Any, module: Any, data: Any, datamodule: Any) -> Iterator[None]:
    """Put the trainer, the module and the data back at the end."""
    snapshot = Snapshot()
    snapshot.take_generators()
    snapshot.take(module)
    for loader in _loaders(data):
        snapshot.take_loader(loader)
    owners = [*_parts(trainer), module, *([] if datamodule is None else [datamodule])]
    handler = signal.getsignal(signal.SIGINT)
    with trainers.no_trace(snapshot, owners):
        try:
            yield
        finally:
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGINT, handler)  # the trainer ignores it after a Ctrl-C


def _parts(trainer: Any) -> list[Any]:
    """The trainer and its parts: loops, connectors, strategy, precision, state."""
    found, names = [trainer], ("lightning", "pytorch_lightning")
    for part in found:  # it grows during the loop
        for value in vars(part).values():
            is_part = type(value).__module__.startswith(names) and not isinstance(value, str)
            if is_part and hasattr(value, "__dict__") and all(value is not each for each in found):
                found.append(value)
    return [part for part in found if not isinstance(part, nn.Module)]


def _loaders(data: Any) -> list[Any]:
    """The loaders in the data of `fit`."""
    if isinstance(data, dict):
        data = list(data.values())
    data = getattr(data, "flattened", data)
    return [] if data is None else list(data) if isinstance(data, list | tuple) else [data]
