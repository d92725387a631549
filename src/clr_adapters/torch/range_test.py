"""`range_test`: the range test of a PyTorch model, after which everything is as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import islice
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

import clrcore
from clrcore.arguments import check_bool, check_int, check_seeds

from .._interrupts import Interrupts
from ._agreement import Agreement, Measured, agreement, ranks
from ._evaluation import Metric
from ._progress import Bar, check_installed
from ._training import Autocast, Training

# Updates between two looks at the losses where a look makes the device or other processes wait.
BLOCK = 20


def range_test(
    model: nn.Module | Callable[[], nn.Module],
    optimizer: Optimizer | Callable[[nn.Module], Optimizer],
    train_loader: Iterable[Any],
    *,
    loss_fn: Callable[[Any, Any], torch.Tensor] | None = None,
    train_step: Callable[[Any], torch.Tensor] | None = None,
    sweep: clrcore.Policy | None = None,
    val_loader: Iterable[Any] | None = None,
    metric: Metric | None = None,
    val_step: Callable[[Any], Any] | None = None,
    validate_every: int | None = None,
    val_batches: int = 10,
    accumulate: int = 1,
    autocast: Autocast | None = None,
    scaler: torch.amp.GradScaler | None = None,
    max_grad_norm: float | None = None,
    device: str | torch.device | None = None,
    progress: bool = True,
    stop: bool = True,
    seeds: int | Sequence[int] | None = None,
    steps_per_epoch: float | None = None,
    snapshot: str = "device",
    block_size: int | None = None,
) -> clrcore.Curve | list[clrcore.Curve]:
    """Train under a rising rate, record what happens, and put everything back.

    model: the model to train, on its device; or a function that makes one, called once per
        seed after seeding.
    optimizer: of that model; or, with a function for the model, one that makes an optimizer of
        the model it is given. Groups keep the ratio of their initial rates (`initial_lr` where
        a scheduler has left it) to the first group's, and are multiplied by their `lr_scale`.
    train_loader: batches; gone through again as often as needed. A one-shot iterator serves
        until it ends, which is told by a warning.
    loss_fn: takes outputs and targets of a batch (inputs..., targets), returns the mean loss.
    train_step: instead of loss_fn, for batches of any kind: takes a batch, returns its loss.
        Leave backward() and optimizer.step() to this function.
    sweep: the rates, a policy with an end; by default 300 updates from 1e-6 to 10.
    val_loader: held-out batches, `val_batches` of which are looked at after every
        `validate_every` updates (by default 50 times in the sweep) and after the last. Then the
        curve's accuracy is theirs, otherwise that of the training batches.
    metric: takes outputs and targets, returns the accuracy of a batch; by default the share of
        right classes where outputs are of shape (batch, classes, ...), and nothing elsewhere.
    val_step: instead of metric, for held-out batches of any kind: takes a batch, returns its
        accuracy.
    accumulate: batches whose mean loss makes one update.
    autocast: torch.bfloat16, torch.float16, a torch.autocast, or a function that makes the
        context for a forward pass.
    scaler: a GradScaler for float16. Updates that it skips are no points of the curve.
    max_grad_norm: clip the gradients to this norm, as the training does; > 0.
    device: where batches are moved; by default to the model's first parameter.
    progress: show a progress bar with rate and smoothed loss; on rank 0 only.
    stop: end once the loss has diverged. NaN and infinity end the test in any case.
    seeds: a number of seeds or a list of them; each gives data order and dropout anew, from the
        same weights, and a curve of its own.
    steps_per_epoch: updates in an epoch; by default from the length of train_loader.
    snapshot: "device" or "host": where copies of the tensors are kept meanwhile.
    block_size: updates whose losses are read together, >= 1; by default 20 on an accelerator,
        which reading makes wait, and in a distributed job; else 1. What was made past the end
        of the test is cut off.

    Returns the Curve: raw losses of the batches before their updates, and accuracy as above; a
    list of them with `seeds`. Parameters, buffers and gradients of the model, optimizer, scaler,
    the loaders' samplers, modes, and the random state of Python, NumPy and torch are bit for bit
    as before, also after an exception or Ctrl-C; data drawn from a one-shot iterator are gone, and
    what data sets, modules and optimizers keep in plain objects is not seen.

    In a torch.distributed job every rank calls this with the same arguments and its own data.
    Losses are averaged over the ranks, all end at the same update, and if one fails all raise.

    Raises TypeError or ValueError, naming the argument, for wrong arguments; whatever the model
    raises; RuntimeError on the other ranks of one that failed.

    Source: Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017, arXiv
    1506.01186, section 3.3.

    >>> import clrcore, torch
    >>> from clr_adapters.torch import range_test
    >>> data = [(torch.randn(8, 4), torch.randint(3, (8,))) for _ in range(20)]
    >>> model = torch.nn.Linear(4, 3)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> curve = range_test(
    ...     model, optimizer, data, loss_fn=torch.nn.functional.cross_entropy, progress=False,
    ...     sweep=clrcore.exponential_sweep(1e-4, 1.0, 50),
    ... )
    >>> len(curve), optimizer.param_groups[0]["lr"]
    (50, 0.1)
    """
    with agreement() as agreed:
        with agreed.checks():
            check_bool("stop", stop)
            test = clrcore.RangeTest(
                sweep,
                validate_every=validate_every,
                steps_per_epoch=steps_per_epoch,
                held_out=val_loader is not None,
                stop_diverged=stop,
            )
            sweep = test.sweep
            if check_bool("progress", progress):
                check_installed()
            own_seeds = check_seeds("seeds", seeds)
            test.check_data("train_loader", train_loader, own_seeds)
            due = [test.validation_due(step) for step in range(test.total_steps)]
            training = Training(
                model,
                optimizer,
                train_loader,
                loss_fn=loss_fn,
                train_step=train_step,
                val_loader=val_loader,
                metric=metric,
                val_step=val_step,
                due=due,
                val_batches=val_batches,
                accumulate=accumulate,
                autocast=autocast,
                scaler=scaler,
                max_grad_norm=max_grad_norm,
                device=device,
                snapshot=snapshot,
            )
            if block_size is None:
                length = BLOCK if training.waits or ranks() > 1 else 1
            else:
                length = check_int("block_size", block_size, 1)
            rates = [sweep(step) for step in range(test.total_steps)]
        agreed.same(
            {
                "updates": len(rates),
                "accumulate": accumulate,
                "whether train_step is given": train_step is not None,
                "whether val_loader is given": val_loader is not None,
                "validate_every": [step + 1 for step, now in enumerate(due) if now],
                "block_size": length,
                "seeds": own_seeds,
                "stop": stop,
                **{f"the rate at step {step}": rate for step, rate in enumerate(rates)},
            }
        )
        curves: list[clrcore.Curve] = []
        if steps_per_epoch is None:
            steps_per_epoch = test.epoch_length(train_loader, accumulate)
        # 0 stands for no length.
        steps_per_epoch = agreed.of_first(steps_per_epoch or 0.0) or None
        for seed in [None] if own_seeds is None else own_seeds:
            test = clrcore.RangeTest(
                sweep,
                steps_per_epoch=steps_per_epoch,
                held_out=val_loader is not None,
                stop_diverged=stop,
            )
            name = "range test" if seed is None else f"range test, seed {seed}"
            with (
                Interrupts() as interrupts,
                closing(training.updates(rates, seed, agreed.rank, interrupts)) as updates,
                Bar(len(rates), name, show=progress and agreed.leads) as bar,
            ):
                _record(test, updates, agreed, length, bar)
            if not test.step_count:
                test.end_early(training.cut_short or "another rank ran out of batches")
            elif training.cut_short is not None:
                test.end_early(training.cut_short)
            curves.append(test.curve)
    return curves if seeds is not None else curves[0]


def _record(
    test: clrcore.RangeTest,
    updates: Iterator[Measured],
    agreed: Agreement,
    length: int,
    bar: Bar,
) -> None:
    """Go through the updates, block by block, until the test or the updates end."""
    while test.reason is None:
        wanted = min(length, test.total_steps - test.step_count)
        measured: list[Measured] = []
        failure: BaseException | None = None
        try:
            for one in islice(updates, wanted):
                measured.append(one)
        except BaseException as error:
            failure = error
        points, failure = agreed.settle(measured, failure, length)
        for (loss, accuracy), lr in zip(points, test, strict=False):
            test.record(loss=loss, accuracy=accuracy)
            bar.advance(lr, loss)
        # What fails after the end of the test, before it was seen, fails because of that end.
        over = test.reason is not None and isinstance(failure, Exception)
        if failure is not None and not over:
            raise failure
        if len(points) < wanted:
            return
