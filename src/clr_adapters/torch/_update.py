"""One update of a model at a given rate, and what was measured on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeAlias

import torch
from torch import nn
from torch.optim import Optimizer

from ._agreement import Measured
from ._groups import check_groups, check_sharing, initial_rate, rate_scale, set_rates

# A scaler halves its scale when it skips: this many in a row pass all the scales there are.
MOST_SKIPS = 64

Step: TypeAlias = Callable[[Any], tuple[Any, "torch.Tensor | None"]]
"""From a batch to its loss, with a graph behind it, and its accuracy if it has one."""


class SkippedUpdates(Exception):
    """The scaler has skipped so many updates in a row that it will skip them all."""


class Update:
    """Makes updates, one per call; draws as many batches as it needs.

    model: whose gradients are not averaged between processes until the last micro-batch.
    step: forward pass of one micro-batch.
    accumulate: micro-batches whose mean loss is one update's.
    autocast: makes the context of the forward passes.
    scaler: a GradScaler, or None.
    max_grad_norm: to which the norm of all gradients is clipped, or None.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        step: Step,
        batches: Iterator[Any],
        *,
        ratios: Sequence[float],
        accumulate: int,
        autocast: Callable[[], AbstractContextManager[Any]],
        scaler: torch.amp.GradScaler | None,
        max_grad_norm: float | None,
    ) -> None:
        self._model, self._optimizer, self._step = model, optimizer, step
        self._batches, self._ratios = batches, ratios
        self._accumulate, self._autocast = accumulate, autocast
        self._scaler, self._max_grad_norm = scaler, max_grad_norm

    def __call__(self, lr: float) -> Measured:
        """Make one update at this rate; the loss is that before it.

        Raises OutOfBatches, SkippedUpdates, and whatever the model raises.
        """
        set_rates(self._optimizer.param_groups, [lr * ratio for ratio in self._ratios])
        for _ in range(MOST_SKIPS):
            measured = self._gradients()
            made = self._apply()
            # Inside an autocast of the caller's, it would keep the weights of the first update.
            torch.clear_autocast_cache()
            # Where the loss itself is not finite, no scale helps: that is what happens here.
            if made or not bool(torch.isfinite(measured[0])):
                return measured
        raise SkippedUpdates(f"the scaler skipped {MOST_SKIPS} updates in a row at lr={lr:g}")

    def _gradients(self) -> Measured:
        """The gradients of the mean loss of the micro-batches, which is returned."""
        self._optimizer.zero_grad(set_to_none=True)
        measured = []
        for left in reversed(range(self._accumulate)):
            batch = next(self._batches)
            with self._without_averaging() if left else nullcontext():
                with self._autocast():
                    loss, accuracy = self._step(batch)
                check_loss(loss)
                self._backward(loss)
            measured.append((loss.detach().reshape(()), accuracy))
        if len(measured) == 1:
            return measured[0]
        losses = torch.stack([loss for loss, _ in measured])
        known = [accuracy for _, accuracy in measured if accuracy is not None]
        return losses.mean(), torch.stack(known).mean() if known else None

    def _backward(self, loss: torch.Tensor) -> None:
        if self._accumulate > 1:
            loss = loss / self._accumulate
        if self._scaler is not None:
            loss = self._scaler.scale(loss)
        loss.backward()  # type: ignore[no-untyped-call]

    def _apply(self) -> bool:
        """Take the optimizer's step; False if the scaler found infinite gradients and did not."""
        if self._max_grad_norm is not None:
            if self._scaler is not None:
                self._scaler.unscale_(self._optimizer)
            parameters = [p for group in self._optimizer.param_groups for p in group["params"]]
            nn.utils.clip_grad_norm_(parameters, self._max_grad_norm)
        if self._scaler is None:
            self._optimizer.step()
            return True
        scale = self._scaler.get_scale()
        self._scaler.step(self._optimizer)
        self._scaler.update()
        # It lowers its scale where it skipped, whoever looked at the gradients.
        return self._scaler.get_scale() >= scale

    def _without_averaging(self) -> AbstractContextManager[Any]:
        no_sync: Callable[[], AbstractContextManager[Any]] | None
        no_sync = getattr(self._model, "no_sync", None)
        return nullcontext() if no_sync is None else no_sync()


def ratios(optimizer: Optimizer) -> list[float]:
    """What each group's rate is to the swept one: the group's own ratio to the first group's.

    The rates a scheduler began with count, not those it has come to; a group's `lr_scale` does.
    Raises TypeError or ValueError for groups whose rate cannot be set so.
    """
    groups = optimizer.param_groups
    check_groups(groups, [None] * len(groups))
    rates = [initial_rate(i, group) for i, group in enumerate(groups)]
    scales = [rate_scale(i, group) for i, group in enumerate(groups)]
    differ = len(set(rates)) > 1
    if differ and not rates[0] > 0:
        raise ValueError(
            f"optimizer must have a rate > 0 in its first group, to which the others keep their "
            f"ratio, got rates {rates}"
        )
    own = [rate / rates[0] if differ else 1.0 for rate in rates]
    ratios = [one * scale for one, scale in zip(own, scales, strict=True)]
    check_sharing(groups, ratios, [None] * len(groups))
    return ratios


def check_loss(loss: object) -> None:
    """Refuse what cannot be differentiated."""
    if not isinstance(loss, torch.Tensor):
        hint = "; return output.loss" if hasattr(loss, "loss") else ""
        raise TypeError(f"the loss must be a tensor, got {type(loss).__name__}{hint}")
    if loss.numel() != 1:
        raise ValueError(
            f"the loss must be a tensor of one element, got one of shape {tuple(loss.shape)}: "
            "take its mean"
        )
    if not loss.requires_grad:
        raise ValueError(
            "the loss must have a graph behind it: leave backward(), detach() and "
            "optimizer.step() to range_test, and do not compute it under no_grad()"
        )
