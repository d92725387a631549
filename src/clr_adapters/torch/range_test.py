"""`range_test`: the range test of a PyTorch model, after which everything is as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

import clrcore
from clrcore.arguments import check_bool, check_int, check_seeds, hint_at

from ._agreement import agreement, refused_together
from ._evaluation import Metric
from ._progress import progress_bar, tqdm_class
from ._record import record
from ._run import started
from ._training import Autocast, Training

HINTS = clrcore.RangeTest.HINTS | {
    "criterion": "pass it as loss_fn",
    "accumulation_steps": "pass it as accumulate",
}


@hint_at(**HINTS)
def range_test(
    model: nn.Module | Callable[[], nn.Module],
    optimizer: Optimizer | Callable[[nn.Module], Optimizer],
    train_loader: Iterable[Any],
    loss_fn: Callable[[Any, Any], torch.Tensor] | None = None,
    *,
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
    steps_per_epoch: float | None = None,
    preserve: Sequence[object] = (),
    seeds: int | Sequence[int] | None = None,
    stop: bool = True,
    progress: bool = True,
    snapshot: str = "device",
    block_size: int | None = None,
) -> clrcore.Curve | list[clrcore.Curve]:
    """Train under a rising rate, record what happens, and put everything back.

    Parameters, buffers and gradients of the model, optimizer, scaler, the loaders' samplers and
    generators, modes, and the random state of Python, NumPy and torch are bit for bit as before,
    also after an exception or Ctrl-C. So is everything in `preserve`. Batches drawn from a
    one-shot iterator are gone, and what data sets, modules and optimizers keep in plain objects is
    not seen.

    In a torch.distributed job every rank calls this with the same arguments and its own data.
    Losses are averaged over the ranks, all end at the same update, and if one fails all raise.

    Args:
        model: The model to train, on its device; or a function that makes one, called once per
            seed after seeding.
        optimizer: The model's optimizer; or, with a function for the model, a function that makes
            the optimizer of the model it is given. Groups keep the ratio of their initial rates
            (`initial_lr` where a scheduler has left it) to the first group's, and are multiplied
            by their `lr_scale`.
        train_loader: Batches, iterated over as often as needed. A one-shot iterator serves until
            it ends; a warning says so.
        loss_fn: Takes outputs and targets of a batch (inputs..., targets), returns the mean loss.
        train_step: Instead of loss_fn, for batches of any kind: takes a batch, returns its loss.
            Leave backward() and optimizer.step() out of it.
        sweep: The rates, a policy with an end; by default 300 updates from 1e-6 to 10.
        val_loader: Held-out batches. With them, the curve's accuracy is held-out accuracy,
            otherwise that of the training batches.
        metric: Takes outputs and targets, returns the accuracy of a batch; by default the share
            of right classes where outputs are of shape (batch, classes, ...) and targets are
            classes, and nothing elsewhere.
        val_step: Instead of metric, for held-out batches of any kind: takes a batch, returns its
            accuracy.
        validate_every: Updates from one evaluation of held-out accuracy to the next, >= 1; by
            default 50 evaluations in the sweep. The last update is always evaluated.
        val_batches: Held-out batches in an evaluation, >= 1, always the same.
        accumulate: Batches whose mean loss makes one update, >= 1.
        autocast: torch.bfloat16, torch.float16, a torch.autocast, or a function that makes the
            context for a forward pass.
        scaler: A GradScaler for float16. Updates that it skips are no points of the curve.
        max_grad_norm: Clip the gradients to this norm, as the training does; > 0.
        device: Where batches are moved; by default to the model's first parameter.
        steps_per_epoch: Updates in an epoch, > 0; by default from the length of train_loader.
        preserve: Further objects to put back: a second optimizer, the average of a model, a
            sampler or generator of one's own, anything with state_dict and load_state_dict.
            Generators in it are seeded too.
        seeds: A number of seeds or a sequence of them; each seed gives another data order and
            dropout, from the same weights, and a curve of its own.
        stop: Whether to end once the loss has diverged. NaN and infinity end the test in any case.
        progress: Whether to show a progress bar with rate and smoothed loss, on rank 0 only.
        snapshot: "device" or "host": where copies of the tensors are kept meanwhile.
        block_size: Updates whose losses are read together, >= 1; by default 20 on an accelerator,
            which reading makes wait, and in a distributed job; else 1. Updates past the end of the
            test are cut off.

    Returns:
        The curve: raw losses of the batches before their updates, and accuracy as above; with
        `seeds` a list of curves.

    Raises:
        TypeError: For an argument of the wrong type; the message names it.
        ValueError: For a value that is not allowed; where the data do not make one update.
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
    with agreement() as agreed:
        with refused_together(agreed):
            training = Training(
                model=model,
                optimizer=optimizer,
                train_loader=train_loader,
                loss_fn=loss_fn,
                train_step=train_step,
                val_loader=val_loader,
                metric=metric,
                val_step=val_step,
                val_batches=val_batches,
                accumulate=accumulate,
                autocast=autocast,
                scaler=scaler,
                max_grad_norm=max_grad_norm,
                device=device,
                preserve=preserve,
                snapshot=snapshot,
            )
            check_bool("stop", stop)
            if steps_per_epoch is None:
                steps_per_epoch = clrcore.RangeTest.epoch_length(train_loader, training.accumulate)
            options: dict[str, Any] = {
                "validate_every": validate_every,
                "steps_per_epoch": steps_per_epoch,
                "held_out": val_loader is not None,
                "stop_diverged": stop,
            }
            test = clrcore.RangeTest(sweep, **options)
            seed_list = check_seeds("seeds", seeds)
            test.check_data("train_loader", train_loader, seed_list)
            if block_size is not None:
                block_size = check_int("block_size", block_size, 1)
            if check_bool("progress", progress):
                tqdm_class()  # refuses where it is not installed
        settings = {
            "updates": test.total_steps,
            "accumulate": accumulate,
            "whether train_step is given": train_step is not None,
            "whether val_loader is given": val_loader is not None,
            "validate_every": validate_every,
            "block_size": block_size,
            "seeds": seed_list,
            "stop": stop,
        }
        rates = test.sweep.values(0, test.total_steps).tolist()
        agreed.same(settings | {f"the rate at step {i}": lr for i, lr in enumerate(rates)})
        options["steps_per_epoch"] = agreed.of_first(steps_per_epoch)
        curves = []
        for seed in [None] if seed_list is None else seed_list:
            test = clrcore.RangeTest(sweep, **options)
            name = "range test" if seed is None else f"range test, seed {seed}"
            show = progress and agreed.rank == 0
            with (
                started(training, seed, agreed) as run,
                progress_bar(test.total_steps, name, show=show) as bar,
            ):
                record(test, run, block_size, bar)
            curves.append(test.curve)
    return curves[0] if seed_list is None else curves
