"""`find_bounds`: range test, suggestion and confirmation of a PyTorch model in a call."""

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
from ._run import started
from ._training import Options, Training
from .range_test import HINTS, sweep_settings


@hint_at(*Options.__annotations__, **HINTS)
def find_bounds(
    model: nn.Module | Callable[[], nn.Module],
    optimizer: Optimizer | Callable[[nn.Module], Optimizer],
    train_loader: Iterable[Any],
    loss_fn: Callable[[Any, Any], torch.Tensor] | None = None,
    *,
    sweep: clrcore.Policy | None = None,
    max_updates: int = 1500,
    total_steps: int | None = None,
    kind: str = "constant",
    seeds: int | Sequence[int] | None = None,
    validate_every: int | None = None,
    progress: bool = True,
    **options: Unpack[Options],
) -> clrcore.Bounds:
    """Find the rates to train with: a range test, its suggestion, and trials that confirm it.

    The range test is that of `range_test`. Short trial runs at rates around its suggestion follow,
    each from the same weights. With held-out data and loss_fn, the held-out loss decides between
    them, otherwise the training loss. Everything is put back as after `range_test`, however it
    ends, and the ranks of a torch.distributed job agree.

    Args:
        model: As in `range_test`.
        optimizer: As in `range_test`. Where the range test gives no answer, the trials start from
            its rate, which must be > 0.
        train_loader: Batches that can be iterated over again.
        loss_fn: As in `range_test`.
        sweep: Rates of the range test; by default 300 updates from 1e-6 to 10, fewer where a
            quarter of max_updates does not hold them.
        max_updates: The most updates of all runs together.
        total_steps: Updates of the planned training, if known.
        kind: "constant", or the schedule of the planned training, which the trials rehearse: a
            kind of `Bounds.policy(total_steps=...)`.
        seeds: Seeds of the range test, as in `range_test`; the trials use the first.
        validate_every: As in `range_test`.
        progress: Whether to show a progress bar, on rank 0 only.
        **options: Further arguments of `range_test`: train_step, val_loader, metric, val_step,
            val_batches, accumulate, autocast, scaler, max_grad_norm, device, steps_per_epoch,
            preserve, snapshot, block_size.

    Returns:
        The bounds that held, as rates of the first group; `bounds.trials` has the trials. Where
        groups have different rates, train with `PolicyLR(..., proportional=True)`.

    Raises:
        TypeError: For an argument of the wrong type; the message names it.
        ValueError: For a value that is not allowed, such as a max_updates that leaves no trials.
        NoBoundsError: Where neither the range test nor a trial gives an answer.
        RuntimeError: On the other ranks of a rank that failed, with its reason.
        Exception: Whatever the model, the loss or the data raise.

    Example:
        >>> import torch
        >>> from clr_adapters.torch import find_bounds
        >>> _ = torch.manual_seed(0)
        >>> x = torch.randn(256, 4)
        >>> data = [(rows, rows.sum(1, keepdim=True)) for rows in x.split(16)]
        >>> model = torch.nn.Linear(4, 1)
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        >>> mse = torch.nn.functional.mse_loss
        >>> bounds = find_bounds(model, optimizer, data, mse, max_updates=400, progress=False)
        >>> 0.01 < bounds.lr < 1
        True
    """
    with agreement() as ranks:
        with raise_together(ranks):
            training = Training(model, optimizer, train_loader, loss_fn, **options)
            training.held_out_loss_decides = True
            clrcore.RangeTest.check_data("train_loader", train_loader, [0, 1])
            check_progress(progress)
        training.steps_per_epoch = ranks.of_first(training.steps_per_epoch)
        with started(training, None, ranks) as run:
            default_lr = run.default_lr
        plan = {"max_updates": max_updates, "total_steps": total_steps, "kind": kind}
        with raise_together(ranks):
            search = clrcore.BoundsSearch(
                default_lr,
                sweep=sweep,
                seeds=seeds,
                validate_every=validate_every,
                steps_per_epoch=training.steps_per_epoch,
                held_out=training.val_loader is not None,
                **plan,  # type: ignore[arg-type]
            )
        settings = {"validate_every": validate_every, "seeds": check_seeds("seeds", seeds)}
        ranks.check_same({**plan, **settings, **training.settings(), "default rate": default_lr})
        if sweep is not None:
            ranks.check_same(sweep_settings(sweep))
        record_all(search, training, ranks, progress)
    return search.bounds
