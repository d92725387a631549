"""What batches give: loss and accuracy of a training batch, means over held-out batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any, NoReturn, TypeAlias

import numpy as np
import torch
from torch import nn

from clrcore.arguments import refuse

from ._agreement import Point
from ._batches import count_examples, move, split
from ._training import Training

Measured: TypeAlias = tuple[torch.Tensor, torch.Tensor | None]
"""The loss of an update, and an accuracy if there is one: tensors of no dimension."""


def share_of_right_classes(outputs: object, targets: object) -> torch.Tensor | None:
    """The fraction of examples whose largest output is the target's.

    Args:
        outputs: Floats of shape (batch, classes, ...), of at least two classes.
        targets: Integers of shape (batch, ...); negative targets, which PyTorch's losses ignore,
            do not count.

    Returns:
        A tensor of no dimension, or None where outputs and targets are not of this kind. It holds
        NaN where a target is no class: finding out at once would wait for the device.
    """
    if not (isinstance(outputs, torch.Tensor) and isinstance(targets, torch.Tensor)):
        return None
    integers = not (targets.is_floating_point() or targets.is_complex())
    if not integers or targets.dtype == torch.bool or outputs.is_complex():
        return None
    if outputs.ndim < 2 or outputs.shape[1] < 2:
        return None
    if targets.shape != outputs.shape[:1] + outputs.shape[2:]:
        return None
    if outputs.ndim > 2 and targets.shape == outputs.shape[:-1]:
        return None  # language models have their classes last: either axis may be theirs
    right = (outputs.detach().argmax(1) == targets).sum() / (targets >= 0).sum().clamp(min=1)
    return torch.where((targets < outputs.shape[1]).all(), right, torch.nan)


def as_scalar(name: str, value: Any) -> torch.Tensor:
    """What the function of that name returned, as a tensor of no dimension."""
    if isinstance(value, torch.Tensor):
        if value.numel() == 1 and not value.is_complex():
            return value.detach().reshape(()).float()
    elif not isinstance(value, complex) and not np.iscomplexobj(value) and np.ndim(value) == 0:
        with suppress(TypeError, ValueError):
            return torch.tensor(float(value))
    message = f"{name} must return one number, got {value!r:.200} ({type(value).__name__})"
    refuse(TypeError, name, "a function that returns one number", value, message=message)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode; every module has its own mode again afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


class Measures:
    """Measures batches on a model.

    Args:
        training: Its functions, and its held-out batches.
        model: The model.
        is_trial: Whether held-out loss is measured, and no accuracy.
    """

    def __init__(self, training: Training, model: nn.Module, *, is_trial: bool) -> None:
        self._training, self._model, self._is_trial = training, model, is_trial
        self.device = training.device_of(model)
        self.can_evaluate = bool(training.held_out) and not (is_trial and training.loss_fn is None)
        # Held-out data of which nothing is measured would be ignored silently.
        self._needs_accuracy = training.loss_fn is None or not training.held_out_loss_decides

    def forward_context(self) -> AbstractContextManager[Any]:
        """The autocast of a forward pass."""
        return self._training.forward_context(self.device)

    def measure(self, batch: Any) -> Measured:
        """The loss of a training batch, and its accuracy unless held-out data are measured."""
        training = self._training
        batch = move(batch, self.device)
        if training.train_step is not None:
            return _check_loss(training.train_step(batch)), None
        assert training.loss_fn is not None
        instead = "train_step=lambda batch: model(**batch).loss"
        if isinstance(batch, torch.Tensor):
            instead = "train_step=lambda x: loss_fn(model(x), x), and for whole tensors x and y "
            instead += "DataLoader(TensorDataset(x, y), batch_size=32) as train_loader"
        inputs, targets = split(batch, "loss_fn", instead)
        outputs = self._model(*inputs)
        loss = _check_loss(training.loss_fn(outputs, targets))
        if training.held_out or self._is_trial:
            return loss, None
        with torch.no_grad():
            return loss, self._accuracy(outputs, targets)

    def evaluate(self) -> torch.Tensor | None:
        """The mean over the held-out batches; batches of more examples weigh more.

        It is None where the held-out loss decides, and the outputs are not those of classes.
        """
        measure = self._held_out_loss if self._is_trial else self._held_out_accuracy
        weighted, count = [], 0
        with evaluating(self._model), torch.no_grad(), self.forward_context():
            for batch in self._training.held_out:
                batch = move(batch, self.device)
                size = count_examples(batch)
                value = measure(batch)
                if value is None:
                    self.can_evaluate = False
                    return None
                weighted.append(value * size)
                count += size
        return torch.stack(weighted).sum() / count

    def read(self, measured: Sequence[Measured]) -> list[Point]:
        """The values of several updates as numbers: only this waits for the device."""
        if not measured:
            return []
        losses = torch.stack([loss for loss, _ in measured]).tolist()
        known = [value for _, value in measured if value is not None]
        values = iter(torch.stack(known).tolist() if known else ())
        return [
            (loss, None if value is None else self._check_value(next(values)))
            for loss, (_, value) in zip(losses, measured, strict=True)
        ]

    def _check_value(self, value: float) -> float | None:
        """None instead of the NaN that stands for targets that are no classes."""
        training = self._training
        by_user = training.metric is not None or training.val_step is not None or self._is_trial
        if by_user or value == value:
            return value
        return _refuse_metric() if training.held_out and self._needs_accuracy else None

    def _held_out_loss(self, batch: Any) -> torch.Tensor | None:
        assert self._training.loss_fn is not None
        inputs, targets = split(batch, "loss_fn", "train_step and val_step")
        return as_scalar("loss_fn", self._training.loss_fn(self._model(*inputs), targets))

    def _held_out_accuracy(self, batch: Any) -> torch.Tensor | None:
        if self._training.val_step is not None:
            return as_scalar("val_step", self._training.val_step(batch))
        inputs, targets = split(batch, "val_loader without val_step", "val_step=...")
        accuracy = self._accuracy(self._model(*inputs), targets)
        return _refuse_metric() if accuracy is None and self._needs_accuracy else accuracy

    def _accuracy(self, outputs: Any, targets: Any) -> torch.Tensor | None:
        if self._training.metric is None:
            return share_of_right_classes(outputs, targets)
        return as_scalar("metric", self._training.metric(outputs, targets))


def _refuse_metric() -> NoReturn:
    message = "metric must be given: val_loader was, but the model's outputs and the targets are "
    message += "not those of a classification with outputs (batch, classes, ...)"
    allowed, advice = "a function of outputs and targets", "or leave val_loader out"
    refuse(ValueError, "metric", allowed, None, message=message, advice=advice)


def _check_loss(loss: Any) -> torch.Tensor:
    """The loss; refuse a loss without gradient."""
    if not isinstance(loss, torch.Tensor):
        message = f"the loss must be a tensor, got {type(loss).__name__}"
        refuse(TypeError, "the loss", "a tensor", loss, message=message, advice=_advice(loss))
    if loss.numel() != 1:
        message = f"the loss must be a tensor of one element, got the shape {tuple(loss.shape)}"
        allowed = "a tensor of one element"
        refuse(ValueError, "the loss", allowed, loss, message=message, advice="take its mean")
    if not loss.requires_grad:
        message = "the loss must have a graph behind it: leave out backward(), detach() "
        message += "and optimizer.step(), and do not compute it under no_grad()"
        refuse(ValueError, "the loss", "a tensor with a graph", loss, message=message)
    return loss


def _advice(output: object) -> str:
    """What to return instead of an output that is no tensor."""
    if output is None:
        return "end the function with `return loss`"
    if isinstance(output, int | float):
        return "leave out item()"
    if isinstance(output, Mapping) and "loss" in output:
        return 'return output["loss"]'
    return "return output.loss" if hasattr(output, "loss") else "return the loss alone"
