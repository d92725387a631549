"""`find_bounds`: range test, suggestion and confirmation of a Keras model in a call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import clrcore
from clrcore.arguments import check_float

from . import _optimizers as optimizers
from ._training import Options, Training, around_fit


@around_fit
def find_bounds(
    model: Any,
    x: Any,
    y: Any = None,
    *,
    sweep: clrcore.Policy | None = None,
    max_updates: int = 1500,
    total_steps: int | None = None,
    kind: str = "constant",
    seeds: int | Sequence[int] | None = None,
    validation_data: Any = None,
    validate_every: int | None = None,
    accuracy: str | None = None,
    batch_size: int | None = None,
    steps_per_epoch: float | None = None,
    progress: bool = True,
    **options: Unpack[Options],
) -> clrcore.Bounds:
    """Find the rates to train with: a range test, its suggestion, and trials that confirm it.

    The range test is that of `range_test`. Short trial runs at rates around its suggestion follow,
    each from the same weights. With held-out data the held-out loss decides between them,
    otherwise the training loss. Everything is put back as after `range_test`, however it ends.

    Args:
        model: As in `range_test`. Where the range test gives no answer, the trials start from
            the optimizer's rate, which must be > 0.
        x: As in `range_test`; data that can be iterated over again.
        y: As in `range_test`.
        sweep: Rates of the range test; by default 300 updates from 1e-6 to 10, fewer where a
            quarter of max_updates does not hold them.
        max_updates: The most updates of all runs together.
        total_steps: Updates of the planned training, if known.
        kind: "constant", or the schedule of the planned training, which the trials rehearse: a
            kind of `Bounds.policy(total_steps=...)`.
        seeds: Seeds of the range test, as in `range_test`; the trials use the first.
        validation_data: As in `range_test`.
        validate_every: As in `range_test`.
        accuracy: As in `range_test`.
        batch_size: As in `range_test`.
        steps_per_epoch: As in `range_test`.
        progress: As in `range_test`.
        **options: As in `range_test`.

    Returns:
        The bounds that held; `bounds.trials` has the trials.

    Raises:
        TypeError: For an argument of the wrong type; the message names it.
        ValueError: For a value that is not allowed, such as a max_updates that leaves no trials,
            or a model that cannot be tested.
        NoBoundsError: Where neither the range test nor a trial gives an answer.

    Example:
        >>> import keras, numpy as np
        >>> from clr_adapters.keras import find_bounds
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
        >>> model.compile(keras.optimizers.SGD(0.01), loss="mse")
        >>> x = np.random.default_rng(0).normal(size=(1000, 4))
        >>> y = x.sum(axis=1, keepdims=True)
        >>> bounds = find_bounds(
        ...     model, x, y, batch_size=100, max_updates=400, progress=False
        ... )
        >>> 0.01 < bounds.lr < 1
        True
    """
    training = Training(model, x, y, validation_data, accuracy, batch_size, progress, **options)
    clrcore.RangeTest.check_data("x", x, [0, 1])
    rate = float(optimizers.to_numpy(optimizers.rate_sources(model.optimizer)[0]))
    search = clrcore.BoundsSearch(
        check_float("the optimizer's learning_rate", rate, 0.0, above=True),
        sweep=sweep,
        max_updates=max_updates,
        total_steps=total_steps,
        kind=kind,
        seeds=seeds,
        validate_every=validate_every,
        steps_per_epoch=training.steps_per_epoch if steps_per_epoch is None else steps_per_epoch,
        held_out=training.validation_data is not None,
    )
    training.run(search)
    return search.bounds
