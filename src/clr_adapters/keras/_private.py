"""Every private name of Keras that this package uses. A test fails when one is gone."""

from __future__ import annotations

from typing import Any

from keras.src.saving.keras_saveable import KerasSaveable as KerasSaveable
from keras.src.trainers.data_adapters.array_slicing import train_validation_split

try:
    from keras.src.backend.common import global_state
except ImportError:  # without it the generator of unseeded `keras.random` is not put back
    global_state = None

GLOBAL_SEED = "global_seed_generator"
# The attributes that `fit` sets on a model, public or not.
SET_BY_FIT = ("stop_training", "history", "_initial_epoch")


def rate_source(optimizer: Any) -> Any:
    """The variable, schedule or function that the rate comes from; `learning_rate` is its value."""
    return optimizer._learning_rate


def all_layers(model: Any) -> list[Any]:
    """The model and its layers, nested layers included."""
    return list(model._flatten_layers(include_self=True, recursive=True))


def was_called(model: Any) -> bool:
    """Whether the model was called on data; layers that are not built then are not used."""
    return bool(model._called)


def reads_a_batch_first(model: Any) -> bool:
    """Whether the next `fit` reads a batch in advance, to build metrics and losses."""
    return not all(
        item is None or item.built for item in (model._compile_metrics, model._compile_loss)
    )


def unsynced_model(callback: Any) -> Any:
    """The model of a callback without its values, which `callback.model` copies back on JAX."""
    return callback._model


def split_off_validation(arrays: Any, share: float) -> tuple[Any, Any]:
    """The first rows of all arrays, and the last, as `fit(validation_split=share)` has them."""
    first, last = train_validation_split(arrays, share)
    return first, last


def global_seed_generator() -> Any:
    """The generator of unseeded `keras.random`; None before its first use."""
    return global_state and global_state.get_global_attribute(GLOBAL_SEED)


def set_global_seed_generator(generator: Any) -> None:
    """Make this the generator of unseeded `keras.random`; None: create it at its next use."""
    if global_state is not None:
        global_state.set_global_attribute(GLOBAL_SEED, generator)


def save_with_model(model: Any, saveable: KerasSaveable) -> None:
    """Save and load this together with the model's weights, by its own methods."""
    # Keras saves the attributes of a model; its tracking of layers is not needed.
    object.__setattr__(model, "_clr_adapters_state", saveable)


def forget_saved(model: Any) -> None:
    """Undo `save_with_model`."""
    if hasattr(model, "_clr_adapters_state"):
        object.__delattr__(model, "_clr_adapters_state")
