"""skorch: a callback that moves the rate after every update, and a range test."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Unpack

from ._extras import needed

with needed("skorch", "clr_adapters.skorch needs skorch"):
    import skorch
    import torch

from skorch.callbacks import Callback, GradientNormClipping, ParamMapper
from skorch.history import History

import clrcore
from clrcore.arguments import check_type, hint_at

from .torch import PolicyLR, trainers
from .torch._snapshot import Snapshot
from .torch.range_test import HINTS
from .torch.trainers import FindBoundsOptions, RangeTestOptions

# Callbacks that change the updates themselves; a range test keeps them.
KEPT = (GradientNormClipping, ParamMapper)


class PolicySchedule(Callback):  # type: ignore[misc]
    """A callback that sets the rate of every update: `callbacks=[PolicySchedule(policy)]`.

    It counts the updates of the net's `optimizer_` and notes them, with the rate, in each batch of
    the history. There `Checkpoint` saves them, and a run with `LoadInitState`, or another
    `partial_fit`, goes on with the next rate. Leave out skorch's `LRScheduler`: its argument
    `policy` means another thing, and after a resume it counts from the start.

    Args:
        policy: A policy for all groups, or a list with a policy for each group.
        momentum: As in `clr_adapters.torch.PolicyLR`.
        proportional: As in `clr_adapters.torch.PolicyLR`.

    Attributes:
        scheduler_: The `PolicyLR` of the training.

    Raises:
        TypeError: As `PolicyLR` does, when the training starts.
        ValueError: As `PolicyLR` does, when the training starts.
    """

    def __init__(
        self,
        policy: clrcore.Policy | Sequence[clrcore.Policy],
        momentum: Any = None,
        proportional: bool = False,
    ) -> None:
        self.policy, self.momentum, self.proportional = policy, momentum, proportional

    def initialize(self) -> PolicySchedule:
        """Start without a scheduler."""
        self.scheduler_: PolicyLR | None = None
        self.hook_: Any = None
        return self

    def on_train_begin(self, net: Any, X: Any = None, y: Any = None, **_: Any) -> None:
        """Forget the scheduler of an earlier training."""
        self.on_train_end(net)
        self.scheduler_ = None

    def on_epoch_begin(self, net: Any, **_: Any) -> None:
        """Make the scheduler in the first epoch, when every callback has loaded its state."""
        if self.scheduler_ is None:
            options = {"momentum": self.momentum, "proportional": self.proportional}
            scheduler = self.scheduler_ = PolicyLR(net.optimizer_, self.policy, **options)
            scheduler.jump(_updates(net.history))
            self.hook_ = net.optimizer_.register_step_post_hook(lambda *_: scheduler.step())

    def on_batch_begin(self, net: Any, batch: Any = None, training: bool = False, **_: Any) -> None:
        """Note the rate of the batch."""
        if training:
            net.history.record_batch("lr", float(net.optimizer_.param_groups[0]["lr"]))

    def on_batch_end(self, net: Any, batch: Any = None, training: bool = False, **_: Any) -> None:
        """Note the updates made so far."""
        if training and self.scheduler_ is not None:
            net.history.record_batch("updates", self.scheduler_.last_epoch)

    def on_train_end(self, net: Any, X: Any = None, y: Any = None, **_: Any) -> None:
        """Let go of the optimizer."""
        if self.hook_ is not None:
            self.hook_.remove()
            self.hook_ = None


def _updates(history: History) -> int:
    """The updates that a history has noted, 0 where it has none."""
    batches = (batch for epoch in reversed(history) for batch in reversed(epoch["batches"]))
    return next((batch["updates"] for batch in batches if "updates" in batch), 0)


@hint_at(*RangeTestOptions.__annotations__, **HINTS)
def range_test(
    net: skorch.NeuralNet, X: Any, y: Any = None, **options: Unpack[RangeTestOptions]
) -> clrcore.Curve | list[clrcore.Curve]:
    """Train under a rising rate with the net's own `fit_loop`, and put everything back.

    A net that is not initialized is initialized as `fit` does it, and is left uninitialized.
    Validation and callbacks are left out, except for those that clip gradients or freeze
    parameters.

    Args:
        net: The net.
        X: As for `fit`.
        y: As for `fit`.
        **options: sweep, steps_per_epoch (by default the batches of an epoch), stop, progress and
            seeds, as in `clr_adapters.torch.range_test`.

    Returns:
        The curve with the losses before each update, or a list with a curve for each seed.

    Raises:
        TypeError: An argument has a wrong type.
        ValueError: An argument has a wrong value.

    Source: Smith, "Cyclical Learning Rates for Training Neural Networks", arXiv 1506.01186,
    section 3.3.
    """
    return trainers.run_range_test(_training(net, X, y), **options)


@hint_at(*FindBoundsOptions.__annotations__, **HINTS)
def find_bounds(
    net: skorch.NeuralNet, X: Any, y: Any = None, **options: Unpack[FindBoundsOptions]
) -> clrcore.Bounds:
    """Find the rates to train with: a range test, its suggestion, and trials that confirm it.

    Each run is as in `range_test`, from the same weights, and everything is put back.

    Args:
        net: The net.
        X: As for `fit`.
        y: As for `fit`.
        **options: sweep, max_updates, total_steps, kind, steps_per_epoch, progress and seeds, as
            in `clr_adapters.torch.find_bounds`.

    Returns:
        The bounds that held; `bounds.trials` has the trials.

    Raises:
        TypeError: An argument has a wrong type.
        ValueError: An argument has a wrong value.
        NoBoundsError: Neither the range test nor a trial gives an answer.
    """
    return trainers.run_find_bounds(_training(net, X, y), **options)


def _training(net: Any, X: Any, y: Any) -> trainers.Train:
    """What trains without a trace; refuses other things than a net."""
    check_type("net", net, skorch.NeuralNet, "a skorch.NeuralNet")

    def train(run: trainers.TrainerSweep) -> None:
        snapshot = Snapshot()
        snapshot.take_generators()
        for name in ("module_", "criterion_", "optimizer_") if net.initialized_ else ():
            snapshot.take(getattr(net, name))
        snapshot.take_loader(net.get_iterator(net.get_dataset(X, y), training=True))
        with trainers.no_trace(snapshot, [net]), suppress(trainers.Enough):
            if not net.initialized_:
                net.initialize()
            recorder = ("range test", _Recorder(run))
            kept = [item for item in net.callbacks_ if isinstance(item[1], KEPT)]
            run_single_epoch = net.run_single_epoch

            def only_training(iterator: Any, training: bool, **others: Any) -> None:
                if training:
                    run_single_epoch(iterator, training=True, **others)

            # Past the net's own setattr, which would note them as parameters.
            vars(net).update(
                callbacks_=[*kept, recorder], history_=History(), run_single_epoch=only_training
            )
            net.notify("on_train_begin", X=X, y=y)
            net.fit_loop(X, y, epochs=sys.maxsize)

    return train


class _Recorder(Callback):  # type: ignore[misc]
    """Takes the losses of a range test, and ends it."""

    def __init__(self, run: trainers.TrainerSweep) -> None:
        self.run, self._has_begun, self._batches = run, False, 0

    def on_epoch_begin(self, net: Any, dataset_train: Any = None, **_: Any) -> None:
        if not self._has_begun:
            loader = net.get_iterator(dataset_train, training=True)
            batches = clrcore.RangeTest.epoch_length(loader)
            self.run.begin(net.optimizer_, batches=batches)
            self.run.watch(net.optimizer_)
            self._has_begun = True

    def on_batch_end(
        self, net: Any, batch: Any = None, training: bool = False, **step: Any
    ) -> None:
        self._batches += 1
        if self.run.end_batch(torch.as_tensor(step["loss"])):
            raise trainers.Enough

    def on_epoch_end(self, net: Any, **_: Any) -> None:
        if not self._batches:  # the data cannot be iterated over again
            self.run.finish("X")
            raise trainers.Enough
        self._batches = 0
