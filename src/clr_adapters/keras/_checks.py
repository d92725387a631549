"""Checks of a model and of arguments of `fit`, before anything is built."""

from __future__ import annotations

from typing import Any

import keras

from clrcore.arguments import check_int, check_type, refuse

from . import _optimizers as optimizers
from ._private import all_layers, was_called

# Their files are of the training; a sweep would replace or remove them.
SAVING = (keras.callbacks.BackupAndRestore, keras.callbacks.ModelCheckpoint)


def check_model(model: Any) -> None:
    """Refuse a model that cannot be trained and put back, or whose rate is not free."""
    check_type("model", model, keras.Model, "a keras.Model")
    optimizer = optimizers.compiled_optimizer(model)
    # `model.build` alone may leave layers without weights. After a call they are not used.
    unbuilt = [layer.name for layer in all_layers(model)[1:] if not layer.built]
    if not model.built or (unbuilt and not was_called(model)):
        which = f", but not built are {', '.join(unbuilt)}" if unbuilt else ""
        advice = "call it on a batch, or begin it with keras.Input"
        allowed = f"built, as its weights are put back at the end{which}"
        refuse(ValueError, "model", allowed, model, advice=advice)
    if not model.trainable_variables:
        advice = "set layer.trainable = True and compile it again"
        message = "model has no trainable weights, so there is nothing to train"
        allowed = "a model with trainable weights"
        refuse(ValueError, "model", allowed, model, message=message, advice=advice)
    if (steps := model.steps_per_execution) > 1:
        advice = "a rate would last for that many updates: compile it anew for the range test"
        refuse(ValueError, "model", "compiled with steps_per_execution=1", steps, advice=advice)
    optimizers.batches_per_update(optimizer)  # refuses optimizers that differ
    for simple in optimizers.simple_optimizers(optimizer):
        (source,) = optimizers.rate_sources(simple)
        if not isinstance(source, keras.Variable):
            allowed = "compiled with a float rate, as another sets the rate itself"
            advice = f"compile it anew for the range test, with {type(simple).__name__}(0.01)"
            refuse(ValueError, "model", allowed, source, advice=advice)
        if keras.backend.standardize_dtype(source.dtype) not in ("float32", "float64"):
            name, got = "the optimizer's rate", source.dtype
            message = f"{name} must be float32, got {got}, in which small rates are rounded"
            advice = "keep keras.config.floatx() at 'float32', and set a dtype policy"
            refuse(ValueError, name, "float32", got, message=message, advice=advice)


def check_callbacks(callbacks: Any) -> list[Any]:
    """The callbacks as a list."""
    items = [] if callbacks is None else keras.tree.flatten(callbacks)
    whole = keras.callbacks.CallbackList  # which is a callback, but not for a list
    if not all(
        isinstance(item, keras.callbacks.Callback) and not isinstance(item, whole) for item in items
    ):
        refuse(TypeError, "callbacks", "a list of keras.callbacks.Callback or None", callbacks)
    saving = [item for item in items if isinstance(item, SAVING)]
    if saving:
        allowed = "callbacks that save no weights"
        advice = "leave it out, as it would save the weights of the sweep over those of a training"
        refuse(ValueError, "callbacks", allowed, saving[0], advice=advice)
    return items


def check_verbose(verbose: int | str | None, progress: bool) -> int:
    """What `fit` calls verbose, as a number."""
    if verbose is None:
        return int(progress)
    if verbose == "auto":
        return 1
    if isinstance(verbose, str):
        refuse(ValueError, "verbose", "'auto', 0, 1 or 2", verbose)
    return check_int("verbose", verbose, 0, 2)
