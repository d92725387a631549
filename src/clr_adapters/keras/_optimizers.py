"""What the callbacks and the range test ask of an optimizer, which may hold others.

On JAX a model's variables hold no values in the middle of an epoch; `Callback.model` puts them
back. So optimizers are taken from `self.model` in every hook, and never kept.
"""

from __future__ import annotations

import warnings
from typing import Any

import keras
from keras import ops

import clrcore
from clrcore.arguments import refuse

from ._private import rate_source
from .schedule import PolicySchedule


def simple_optimizers(optimizer: Any) -> list[Any]:
    """The optimizers that hold a rate: inside MultiOptimizer and LossScaleOptimizer."""
    if hasattr(optimizer, "optimizers"):
        return [simple for inner in optimizer.optimizers for simple in simple_optimizers(inner)]
    if hasattr(optimizer, "inner_optimizer"):
        return simple_optimizers(optimizer.inner_optimizer)
    return [optimizer]


def rate_sources(optimizer: Any) -> list[Any]:
    """What the rate of each simple optimizer comes from: a variable, a schedule or a function."""
    return [rate_source(simple) for simple in simple_optimizers(optimizer)]


def to_numpy(variable: Any) -> Any:
    """A variable or tensor as a NumPy array, which may share its memory."""
    # By the tensor, as NumPy 2 warns of the way it must take with a Keras variable itself.
    tensor = variable.value if isinstance(variable, keras.Variable) else variable
    return ops.convert_to_numpy(tensor)


def updates_made(optimizer: Any) -> int:
    """Completed updates: the most of any simple optimizer, as some have no variables."""
    return max(int(to_numpy(simple.iterations)) for simple in simple_optimizers(optimizer))


def accumulated_batches(simple: Any) -> int:
    """The batches that a simple optimizer accumulates in an update; 1 where it does not."""
    return simple.gradient_accumulation_steps or 1


def batches_per_update(optimizer: Any) -> int:
    """The batches that make an update.

    Raises:
        ValueError: Where the optimizers of a MultiOptimizer differ.
    """
    each = [accumulated_batches(simple) for simple in simple_optimizers(optimizer)]
    if len(set(each)) > 1:
        message = "the optimizers of a MultiOptimizer must accumulate the same number of batches "
        message += f"per update, got {each}"
        name, advice = "gradient_accumulation_steps", "give each the same "
        refuse(ValueError, name, "all equal", each, message=message, advice=advice + name)
    return each[0]


def policy_schedules(optimizer: Any) -> list[PolicySchedule]:
    """The schedules of policies in an optimizer; may be none."""
    sources = rate_sources(optimizer)
    for source in sources:
        if isinstance(source, clrcore.Policy):
            advice = "give the optimizer PolicySchedule(policy)"
            refuse(ValueError, "learning_rate", "a PolicySchedule", source, advice=advice)
    return [source for source in sources if isinstance(source, PolicySchedule)]


def warn_of_traps(optimizer: Any, epoch: int) -> None:
    """Warn of schedules that count other things than updates, or were not resumed.

    Args:
        optimizer: The optimizer of the model.
        epoch: The first epoch of a call of `fit`. After epoch 0 there must have been updates.
    """
    for simple in simple_optimizers(optimizer):
        schedule = rate_source(simple)
        if not isinstance(schedule, PolicySchedule):
            continue
        accumulated = accumulated_batches(simple)
        if schedule.gradient_accumulation_steps != accumulated:
            warnings.warn(
                f"the optimizer accumulates {accumulated} batches per update, but its "
                f"PolicySchedule expects {schedule.gradient_accumulation_steps}: the policy does "
                f"not count updates; pass gradient_accumulation_steps={accumulated} to "
                "PolicySchedule",
                stacklevel=2,
            )
        if epoch > 0 and updates_made(simple) == 0:
            warnings.warn(
                f"training starts at epoch {epoch}, but the optimizer has made no update, so the "
                "policy starts from its beginning: to resume, call "
                "model.optimizer.build(model.trainable_variables) before model.load_weights(...), "
                "or load a whole model saved as .keras",
                stacklevel=2,
            )


def compiled_optimizer(model: Any) -> Any:
    """The optimizer of a compiled model.

    Raises:
        ValueError: For a model without an optimizer.
    """
    optimizer = getattr(model, "optimizer", None)
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        allowed = "compiled with a Keras optimizer"
        refuse(ValueError, "model", allowed, optimizer, advice="call model.compile(...) first")
    return optimizer
