"""`range_test`: the range test around `model.fit` (paper, section 3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import clrcore
from clrcore.arguments import check_seeds

from ._training import Options, Training, around_fit


@around_fit
def range_test(
    model: Any,
    x: Any,
    y: Any = None,
    *,
    sweep: clrcore.Policy | None = None,
    validation_data: Any = None,
    validate_every: int | None = None,
    accuracy: str | None = None,
    batch_size: int | None = None,
    steps_per_epoch: float | None = None,
    stop: bool = True,
    seeds: int | Sequence[int] | None = None,
    progress: bool = True,
    **options: Unpack[Options],
) -> clrcore.Curve | list[clrcore.Curve]:
    """Train for a sweep of the rate, record the metrics, and put everything back.

    However it ends, Ctrl-C included, weights, statistics, metrics, seed generators (Keras's
    global generator included), and the optimizer's slots, counter and rate are bit for bit as
    before. So are the states of the generators of Python, NumPy and, where it is imported,
    PyTorch; on the PyTorch backend also gradients and the mode of every module. With `seeds`,
    the global seeds of Keras and TensorFlow stay at the last.

    Args:
        model: Built, and compiled with a float rate, whose value does not matter. All the
            optimizers of a MultiOptimizer get the same rate.
        x: As for `model.fit`: arrays, tf.data, PyDataset, DataLoader, or a generator; or any
            other iterable of batches that are tuples of arrays.
        y: As for `model.fit`.
        sweep: `linear_sweep`, `exponential_sweep`, or another policy with an end; by default 300
            updates from 1e-6 to 10.
        validation_data: Held-out data as for `model.fit`. Then the curve's accuracy is that of
            held-out data, otherwise that of the mini-batches.
        validate_every: Updates from one evaluation of held-out data to the next, an integer
            >= 1; by default 50 evaluations in the sweep. The last update is always evaluated.
        accuracy: Name of the metric to record as accuracy; by default the first whose name ends
            in "accuracy", if there is one.
        batch_size: As for `model.fit`.
        steps_per_epoch: Updates in an epoch; known by itself for data with a length.
        stop: Whether to end once the loss has diverged. NaN and infinity end the test in any
            case.
        seeds: A number n for the seeds 0 to n - 1, or the seeds. Each seed gives a
            curve from the same weights, with its own order of the batches and dropout.
        progress: Whether to show Keras's progress bar.
        **options: Further arguments as for `model.fit`: validation_split (in place of
            validation_data), validation_batch_size, sample_weight, class_weight, shuffle,
            callbacks, and verbose (0, 1, 2 or "auto") in place of progress. Callbacks get the
            metrics of the last batch; what they write or change outside of the model stays, and
            callbacks that save the weights of a training are refused.

    Returns:
        A curve, or with `seeds` a list of curves: the loss of each mini-batch before the update
        at its rate. An accumulated update gives one point, the mean over its batches. Where the
        data end before the sweep, the curve has the updates recorded so far, and a UserWarning
        gives their number.

    Raises:
        TypeError: For an argument of the wrong type; the message names it.
        ValueError: For a value that is not allowed, or a model that cannot be tested.

    Source: Smith, arXiv 1506.01186, section 3.3.

    Example:
        >>> import clrcore, keras, numpy as np
        >>> from clr_adapters.keras import range_test
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> model.compile(keras.optimizers.SGD(0.01), loss="mse")
        >>> x = np.random.default_rng(0).normal(size=(64, 2))
        >>> sweep = clrcore.exponential_sweep(1e-4, 10.0, 50)
        >>> curve = range_test(
        ...     model, x, x.sum(axis=1), sweep=sweep, batch_size=16, progress=False
        ... )
        >>> curve.sweep, curve.steps_per_epoch
        ('exponential', 4.0)
    """
    training = Training(model, x, y, validation_data, accuracy, batch_size, progress, **options)
    clrcore.RangeTest.check_data("x", x, check_seeds("seeds", seeds))
    runs = clrcore.SeededRangeTests(
        sweep,
        seeds=seeds,
        validate_every=validate_every,
        steps_per_epoch=training.steps_per_epoch if steps_per_epoch is None else steps_per_epoch,
        held_out=training.validation_data is not None,
        stop=stop,
    )
    training.run(runs)
    return runs.curve_or_curves
