"""`range_test`: the range test of a PyTorch model, after which everything is as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Unpack

import torch
from torch import nn
from torch.optim import Optimizer

import clrcore
from clrcore.arguments import check_seeds, hint_at

from ._agreement import agreement, raise_together
from ._progress import check_progress
from ._record import record_all
from ._training import Options, Training


def sweep_settings(sweep: clrcore.Policy) -> dict[str, object]:
    """The rates of a sweep, for all ranks to compare."""
    rates = enumerate(sweep.values(0, sweep.total_steps or 0).tolist())
    return {"updates": sweep.total_steps} | {f"the rate at step {i}": lr for i, lr in rates}


SWEEP_HINT = clrcore.RangeTest.HINTS["num_iter"]
HINTS = clrcore.RangeTest.HINTS | {
    "criterion": "pass it as loss_fn",
    "accumulation_steps": "pass it as accumulate",
    "gradient_accumulation_steps": "pass it as accumulate",
    "seed": "pass a list, such as seeds=[42]",
    "clip": "pass it as max_grad_norm",
    "val_data": "pass its batches as val_loader",
}


@hint_at(*Options.__annotations__, **HINTS, max_updates=SWEEP_HINT)
def range_test(
    model: nn.Module | Callable[[], nn.Module],
    optimizer: Optimizer | Callable[[nn.Module], Optimizer],
    train_loader: Iterable[Any],
    loss_fn: Callable[[Any, Any], torch.Tensor] | None = None,
    *,
    sweep: clrcore.Policy | None = None,
    validate_every: int | None = None,
    seeds: int | Sequence[int] | None = None,
    stop: bool = True,
    progress: bool = True,
    **options: Unpack[Options],
) -> clrcore.Curve | list[clrcore.Curve]:
    """Train under a rising rate, record the metrics, and put everything back.

    Parameters, buffers and gradients of the model, optimizer, scaler, the loaders' samplers and
    generators, modes, and the random state of Python, NumPy and torch are bit for bit as before,
    also after an exception or Ctrl-C. So is everything in `preserve`. Batches drawn from a
    one-shot iterator, and the state of plain objects in data sets, modules and optimizers, are not
    put back.

    In a torch.distributed job every rank calls this with the same arguments and its own data.
    Losses are averaged over the ranks, all end at the same update, and if one fails all raise.

    Args:
        model: The model to train, on its device; or a function that makes the model, called once
            per seed after seeding.
        optimizer: The model's optimizer; or, with a function for the model, a function that makes
            the optimizer of the model it is given. Groups keep the ratio of their initial rates
            (`initial_lr` where a scheduler has left it) to the first group's, and are multiplied
            by their `lr_scale`.
        train_loader: Batches, iterated over as often as needed. Where a one-shot iterator ends
            before the sweep, the curve ends there, with a warning.
        loss_fn: Takes outputs and targets of a batch (inputs..., targets), returns the mean loss.
        sweep: The rates, a policy with an end; by default 300 updates from 1e-6 to 10.
        validate_every: Updates from one evaluation of held-out accuracy to the next, >= 1; by
            default 50 evaluations in the sweep. The last update is always evaluated.
        seeds: A number of seeds or a sequence of them. Each seed gives a curve from the same
            weights, with its own data order and dropout.
        stop: Whether to end once the loss has diverged. NaN and infinity end the test in any case.
        progress: Whether to show a progress bar with rate and smoothed loss, on rank 0 only.
        train_step: Instead of loss_fn, for batches of any kind: takes a batch, returns its loss.
            Leave backward() and optimizer.step() out of it.
        val_loader: Held-out batches. With them, the curve's accuracy is held-out accuracy,
            otherwise that of the training batches.
        metric: Takes outputs and targets, returns the accuracy of a batch; by default the share
            of right classes where outputs are of shape (batch, classes, ...) and targets are
            classes, and nothing elsewhere.
        val_step: Instead of metric, for held-out batches of any kind: takes a batch, returns its
            accuracy.
        val_batches: Held-out batches in an evaluation, >= 1, always the same; by default 10.
        accumulate: Batches whose mean loss makes one update, >= 1; by default 1.
        autocast: torch.bfloat16, torch.float16, a torch.autocast, or a function that makes the
            context for a forward pass.
        scaler: A GradScaler for float16. Updates that it skips are no points of the curve.
        max_grad_norm: Clip the gradients to this norm, as the training does; > 0.
        device: Where batches are moved; by default to the model's first parameter.
        steps_per_epoch: Updates in an epoch, > 0; by default from the length of train_loader.
        preserve: Further objects to put back: a second optimizer, the average of a model, a
            sampler or generator of your own, anything with state_dict and load_state_dict.
            Generators in it are seeded too.
        snapshot: "device" (the default) or "host": place of the copies of the tensors.
        block_size: Updates whose losses are read together, >= 1; by default 20 on an accelerator,
            which reading makes wait, and in a distributed job; else 1. Updates past the end of the
            test are cut off.
        **options: The arguments from train_step on, by their names.

    Returns:
        The curve: raw losses of the batches before their updates, and accuracy as above; with
        `seeds` a list of curves.

    Raises:
        TypeError: For an argument of the wrong type; the message names it.
        ValueError: For a value that is not allowed; where the data do not make an update.
        RuntimeError: On the other ranks of a rank that failed, with its reason.
        Exception: Whatever the model, the loss or the data raise.

    Source:
        Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017, arXiv 1506.01186,
        section 3.3.

    Example:
        >>> import clrcore, torch
        >>> from clr_adapters.torch import range_test
        >>> data = [(torch.randn(8, 4), torch.randint(3, (8,))) for _ in range(20)]
        >>> model = torch.nn.Linear(4, 3)
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        >>> curve = range_test(
        ...     model, optimizer, data, torch.nn.functional.cross_entropy, progress=False,
        ...     sweep=clrcore.exponential_sweep(1e-4, 1.0, 50),
        ... )
        >>> len(curve), optimizer.param_groups[0]["lr"]
        (50, 0.1)
    """
    with agreement() as ranks:
        with raise_together(ranks):
            training = Training(model, optimizer, train_loader, loss_fn, **options)
        training.steps_per_epoch = ranks.of_first(training.steps_per_epoch)
        with raise_together(ranks):
            runs = clrcore.SeededRangeTests(
                sweep,
                seeds=seeds,
                validate_every=validate_every,
                steps_per_epoch=training.steps_per_epoch,
                held_out=training.val_loader is not None,
                stop=stop,
            )
            seed_list = check_seeds("seeds", seeds)
            clrcore.RangeTest.check_data("train_loader", train_loader, seed_list)
            check_progress(progress)
        settings = {"validate_every": validate_every, "stop": stop, "seeds": seed_list}
        ranks.check_same({**settings, **training.settings(), **sweep_settings(runs.tests[0].sweep)})
        record_all(runs, training, ranks, progress)
    return runs.curve_or_curves
