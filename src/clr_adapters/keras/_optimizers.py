"""What the callbacks and the range test ask of an optimizer, wrapped or manifold as it may be.

On JAX a model's variables hold nothing in the middle of an epoch; `Callback.model` puts their
values back. So optimizers are taken from `self.model` in every hook, and never kept.
"""

from __future__ import annotations

import warnings
from typing import Any

import keras
from keras import ops

from .schedule import PolicySchedule


def parts(optimizer: Any) -> list[Any]:
    """The optimizers that hold a rate: inside MultiOptimizer and LossScaleOptimizer."""
    if hasattr(optimizer, "optimizers"):
        return [part for inner in optimizer.optimizers for part in parts(inner)]
    if hasattr(optimizer, "inner_optimizer"):
        return parts(optimizer.inner_optimizer)
    return [optimizer]


def rate_source(part: Any) -> Any:
    """Where a part has its rate from: a Keras variable, a schedule, or a function."""
    return part._learning_rate  # `learning_rate` is the rate itself


def array(tensor: Any) -> Any:
    """A variable or tensor as a NumPy array; may share its memory."""
    # By the tensor, as NumPy 2 warns of the way it must take with a Keras variable itself.
    return ops.convert_to_numpy(tensor.value if isinstance(tensor, keras.Variable) else tensor)


def updates(optimizer: Any) -> int:
    """Updates made; a part without variables makes none, so the most of any part."""
    return max(int(array(part.iterations)) for part in parts(optimizer))


def batches_per_update(optimizer: Any) -> int:
    """How many batches an update accumulates; 1 where none are.

    Raises ValueError where the parts of a MultiOptimizer differ, and so have no common update.
    """
    every = [part.gradient_accumulation_steps or 1 for part in parts(optimizer)]
    if len(set(every)) > 1:
        raise ValueError(
            "the optimizers of a MultiOptimizer must accumulate the same number of batches per "
            f"update, got {every}: give each the same gradient_accumulation_steps"
        )
    return every[0]


def policy_schedules(optimizer: Any) -> list[PolicySchedule]:
    """The policies' schedules of an optimizer; may be none."""
    sources = map(rate_source, parts(optimizer))
    return [source for source in sources if isinstance(source, PolicySchedule)]


def warn_of_traps(optimizer: Any, epoch: int) -> None:
    """Warn of schedules that count other things than updates, or were not resumed.

    epoch: the first epoch of a call of `fit`; what went before it the optimizer must know.
    """
    for part in parts(optimizer):
        schedule = rate_source(part)
        if not isinstance(schedule, PolicySchedule):
            continue
        every = part.gradient_accumulation_steps or 1
        if schedule.gradient_accumulation_steps != every:
            warnings.warn(
                f"the optimizer accumulates {every} batches per update, but its PolicySchedule "
                f"was made for {schedule.gradient_accumulation_steps}: the policy does not count "
                f"updates; pass gradient_accumulation_steps={every} to PolicySchedule",
                UserWarning,
                stacklevel=2,
            )
        if epoch > 0 and updates(part) == 0:
            warnings.warn(
                f"training starts at epoch {epoch}, but the optimizer has made no update, so the "
                "policy starts from its beginning: to resume, call "
                "model.optimizer.build(model.trainable_variables) before model.load_weights(...), "
                "or load a whole model saved as .keras",
                UserWarning,
                stacklevel=2,
            )


def require(model: Any) -> Any:
    """The optimizer of a compiled model; raises ValueError for a model without one."""
    optimizer = getattr(model, "optimizer", None)
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        raise ValueError(
            f"model must be compiled with a Keras optimizer, got optimizer={optimizer!r}; call "
            "model.compile(...) first"
        )
    return optimizer
