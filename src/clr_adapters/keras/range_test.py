"""`range_test`: the range test around `model.fit` (paper, section 3.3)."""

from __future__ import annotations

import math
import operator
import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np

import clrcore
from clrcore.arguments import check_bool, check_float, check_int, refuse

from .._interrupts import Interrupts
from .._sweep import default_sweep
from . import _optimizers as optimizers
from ._evaluation import check_held_out, evaluate, is_data, pick
from ._snapshot import global_seeds, untouched

# Batches in a row without an update, after which gradients will not become finite any more.
MOST_SKIPPED = 200
# Looks at held-out data in a sweep: enough to see where accuracy rises and falls.
LOOKS = 50
LARGEST_SEED = 2**31 - 1
EMPTY = (
    "x must give at least one batch, got an epoch without one: give more samples, a smaller "
    "batch_size, or a tf.data.Dataset batched with drop_remainder=False"
)


def range_test(
    model: Any,
    x: Any,
    y: Any = None,
    *,
    sweep: clrcore.Policy | None = None,
    validation_data: Any = None,
    validate_every: int = 0,
    accuracy: str | None = None,
    batch_size: int | None = None,
    validation_batch_size: int | None = None,
    sample_weight: Any = None,
    class_weight: dict[int, float] | None = None,
    shuffle: bool = True,
    steps_per_epoch: float | None = None,
    stop: bool = True,
    seeds: int | Sequence[int] | None = None,
    verbose: int | str = "auto",
) -> clrcore.Curve | list[clrcore.Curve]:
    """Train for one sweep of the rate, record what happens, and put everything back.

    model: built, and compiled with a float rate, whose value does not matter. MultiOptimizer:
        all its optimizers get the same rate.
    x, y, batch_size, sample_weight, class_weight, shuffle: as for `model.fit`: arrays,
        tf.data, PyDataset, DataLoader, or an endless generator.
    sweep: linear_sweep, exponential_sweep, or another policy with an end, in updates; by
        default 300 updates from 1e-6 to 10.
    validation_data: held-out data as for `model.fit`, looked at after every `validate_every`
        updates (0: 50 times in the sweep) and after the last. Then the curve's accuracy is
        theirs, otherwise that of the mini-batches.
    accuracy: name of the metric to record as accuracy; by default the first whose name ends in
        "accuracy", if there is one.
    validation_batch_size: as for `model.fit`.
    steps_per_epoch: updates in an epoch, for the curve's reader; known by itself for data that
        tell their length, which endless data and some tf.data.Dataset do not.
    stop: end once the loss has diverged. NaN and infinity end the test in any case.
    seeds: a number of seeds or a list of them; each gives the order of the batches and dropout
        anew, from the same weights, and a curve of its own.
    verbose: 1 or "auto" shows a progress bar, 2 a line at the end, 0 nothing.
    Returns a clrcore.Curve, or a list of them with `seeds`: the loss of each mini-batch before
    the update at its rate. An accumulated update gives one point, the mean over its batches.
    Raises TypeError or ValueError, naming the argument, for what cannot be tested; whatever
    else `fit` raises.

    However it ends, Ctrl-C included, weights, statistics, metrics, seed generators (Keras's global
    one included), and the optimizer's slots, counter and rate are bit for bit as before, and so are
    the states of Python's and NumPy's generators; on PyTorch also gradients, the mode of every
    module and the global generators. With `seeds`, the global seeds of Keras and TensorFlow stay at
    the last.

    >>> import clrcore, keras, numpy as np
    >>> from clr_adapters.keras import range_test
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile(keras.optimizers.SGD(0.01), loss="mse")
    >>> x = np.random.default_rng(0).normal(size=(64, 2))
    >>> sweep = clrcore.exponential_sweep(1e-4, 10.0, 50)
    >>> curve = range_test(model, x, x.sum(axis=1), sweep=sweep, batch_size=16, verbose=0)
    >>> curve.sweep, curve.steps_per_epoch
    ('exponential', 4.0)
    """
    _check_model(model)
    sweep = default_sweep() if sweep is None else sweep
    _check_data(x, sample_weight)
    held_out = _check_validation(validation_data, validate_every, labelled=y is not None)
    if accuracy is not None and not isinstance(accuracy, str):
        refuse(TypeError, "accuracy", "the name of a metric or None", accuracy)
    if steps_per_epoch is not None:
        steps_per_epoch = check_float("steps_per_epoch", steps_per_epoch, 0.0, above=True)
    for name, size in (
        ("batch_size", batch_size),
        ("validation_batch_size", validation_batch_size),
    ):
        if size is not None:
            check_int(name, size, 1)
    if class_weight is not None and not isinstance(class_weight, dict):
        refuse(TypeError, "class_weight", "a dictionary of weights by class or None", class_weight)
    check_bool("shuffle", shuffle)
    check_bool("stop", stop)
    verbose = _check_verbose(verbose)
    own_seeds = _check_seeds(seeds)
    # Checks the sweep, before anything is built.
    num_steps = clrcore.RangeTest(sweep).total_steps

    def fit(*callbacks: Any, **options: Any) -> None:
        batches = _Batches()
        with warnings.catch_warnings():
            # Where the data end too early, it is refused with a better message than Keras's.
            warnings.filterwarnings("ignore", message=".*ran out of data")
            try:
                model.fit(
                    x,
                    y,
                    batch_size=batch_size,
                    sample_weight=sample_weight,
                    class_weight=class_weight,
                    shuffle=shuffle,
                    verbose=0,
                    callbacks=[*callbacks, batches],
                    **options,
                )
            except (StopIteration, UnboundLocalError) as error:
                # Keras on JAX misses the logs of a last batch; other names are a caller's mistake.
                unbound = isinstance(error, UnboundLocalError) and "'logs'" not in str(error)
                if unbound or not batches.none:
                    raise
                raise ValueError(EMPTY) from error

    def run() -> clrcore.Curve:
        callback = _Sweep(
            sweep,
            steps_per_epoch=steps_per_epoch,
            stop=stop,
            validation=(validation_data, validation_batch_size) if held_out else None,
            validate_every=validate_every or max(1, num_steps // LOOKS),
            accuracy=accuracy,
            verbose=verbose,
            once=isinstance(x, Iterator),
        )
        fit(callback, epochs=sys.maxsize)
        return callback.test.curve

    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    with Interrupts() as interrupts:
        if own_seeds is None:
            with untouched(model):
                return interrupts.let_through(run)
        with untouched(model):
            # The first `fit` of a model looks at a batch beforehand, and so has another order.
            interrupts.let_through(fit, epochs=1, steps_per_epoch=1)
        curves = []
        for seed in own_seeds:
            with untouched(model):
                _sow(model, seed)
                curves.append(interrupts.let_through(run))
        return curves


class _Batches(keras.callbacks.Callback):  # type: ignore[misc]
    """Refuses an epoch without a batch, as there would be such epochs for ever."""

    none = True

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.none = True

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.none = False

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self.none:
            raise ValueError(EMPTY)


class _Sweep(keras.callbacks.Callback):  # type: ignore[misc]
    """Hands a rate to the optimizer before each update, and records what came of it.

    once: whether the data can be gone through only once.
    """

    test: clrcore.RangeTest

    def __init__(
        self,
        sweep: clrcore.Policy,
        *,
        steps_per_epoch: float | None,
        stop: bool,
        validation: tuple[Any, int | None] | None,
        validate_every: int,
        accuracy: str | None,
        verbose: int,
        once: bool,
    ) -> None:
        super().__init__()
        self._sweep = sweep
        self._steps_per_epoch = steps_per_epoch
        self._stop = stop
        self._validation = validation
        self._validate_every = validate_every
        self._accuracy = accuracy
        self._verbose = verbose
        self._once = once

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        optimizer = self.model.optimizer
        self._every = optimizers.batches_per_update(optimizer)
        batches = self.params["steps"]
        if self._steps_per_epoch is None and batches:
            self._steps_per_epoch = batches / self._every
        self.test = clrcore.RangeTest(
            self._sweep,
            steps_per_epoch=self._steps_per_epoch,
            held_out=self._validation is not None,
            stop_diverged=self._stop,
        )
        self._rates = iter(self.test)
        self._lr: float | None = None
        self._updates = optimizers.updates(optimizer)
        self._batches: list[dict[str, Any]] = []  # of the update that is being made
        self._bar = keras.utils.Progbar(
            self._sweep.total_steps,
            verbose=self._verbose,
            stateful_metrics=["lr", "loss", "accuracy"],
            unit_name="update",
        )

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        # Through self.model each time: JAX ignores what is done to an optimizer that was kept.
        model = self.model
        if self._lr is None:
            self._lr = next(self._rates)
            for part in optimizers.parts(model.optimizer):
                part.learning_rate = self._lr
        model.reset_metrics()  # Keras logs the mean since the last reset

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if not logs or "loss" not in logs:
            raise ValueError(
                "the model's train_step must return a dictionary with 'loss', got "
                f"{sorted(logs or {})}; return {{'loss': ..., ...}}"
            )
        self._batches.append(dict(logs))
        updates = optimizers.updates(self.model.optimizer)
        if updates == self._updates and math.isfinite(self._batches[-1]["loss"]):
            # Accumulated, or its gradients overflowed at this loss scale: the rate is not used.
            if len(self._batches) >= MOST_SKIPPED * self._every:
                raise RuntimeError(
                    f"the optimizer made no update in {len(self._batches)} batches at "
                    f"lr={self._lr!r}: are the gradients finite?"
                )
            return
        # An update is that of the mean of the losses it accumulates.
        accumulated = self._batches[-self._every :]
        means = {
            name: sum(float(one[name]) for one in accumulated) / len(accumulated)
            for name in accumulated[-1]
        }
        accuracy = self._measure(means)
        self.test.record(loss=means["loss"], accuracy=accuracy)
        self._show(means["loss"], accuracy)
        self._updates, self._batches, self._lr = updates, [], None
        if self.test.reason is not None:
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self._once and self.test.reason is None:
            raise ValueError(
                f"x must not end before the sweep, got a generator that ended after "
                f"{self.test.step_count} of {self._sweep.total_steps} updates: give arrays, a "
                "PyDataset or a repeated tf.data.Dataset, or a generator without an end"
            )

    def _measure(self, metrics: dict[str, float]) -> float | None:
        """The accuracy that belongs to the update just made, None if it is not measured."""
        if self._validation is None:
            if self._accuracy is None and not any(name.endswith("accuracy") for name in metrics):
                return None
            return metrics[pick(metrics, self._accuracy, "accuracy", "accuracy")]
        count = self.test.step_count + 1
        due = count % self._validate_every == 0 or count == self._sweep.total_steps
        if not due or not math.isfinite(metrics["loss"]):
            return None
        metrics = evaluate(self.model, *self._validation)
        return metrics[pick(metrics, self._accuracy, "accuracy", "accuracy")]

    def _show(self, loss: float, value: float | None) -> None:
        values = [("lr", self._lr), ("loss", loss)]
        if value is not None:
            values.append(("accuracy", value))
        over = self.test.reason is not None
        if over:
            self._bar.target = self.test.step_count
        self._bar.update(self.test.step_count, values, finalize=over)


def _check_model(model: Any) -> None:
    if not isinstance(model, keras.Model):
        refuse(TypeError, "model", "a keras.Model", model)
    optimizer = optimizers.require(model)
    # `model.build` alone may leave layers without weights; one that a call left so is not used.
    unbuilt = [layer.name for layer in model._flatten_layers() if not layer.built]
    if not model.built or (unbuilt and not model._called):
        which = f", but not built are {', '.join(unbuilt)}" if unbuilt else ""
        raise ValueError(
            f"model must be built, as its weights are put back at the end{which}: call it on a "
            "batch, or begin it with keras.Input"
        )
    if not model.trainable_variables:
        raise ValueError(
            "model has no trainable weights, so there is nothing to train: set "
            "layer.trainable = True and compile it again"
        )
    if model.steps_per_execution > 1:
        raise ValueError(
            "model must be compiled with steps_per_execution=1, got "
            f"{model.steps_per_execution}: a rate would last for that many updates; compile it "
            "anew for the range test"
        )
    optimizers.batches_per_update(optimizer)  # refuses parts that differ
    for part in optimizers.parts(optimizer):
        source = optimizers.rate_source(part)
        if not isinstance(source, keras.Variable):
            raise ValueError(
                f"model must be compiled with a float rate, got {source!r}, which sets the rate "
                f"itself: compile it anew for the range test, with {type(part).__name__}(0.01)"
            )
        if keras.backend.standardize_dtype(source.dtype) not in ("float32", "float64"):
            raise ValueError(
                f"the optimizer's rate must be float32, got {source.dtype}, in which small rates "
                "are rounded: keep keras.config.floatx() at 'float32', and set a dtype policy"
            )


def _check_data(x: Any, sample_weight: Any) -> None:
    if not is_data(x):
        allowed = "arrays, a PyDataset, a DataLoader, a tf.data.Dataset or an endless generator"
        refuse(TypeError, "x", allowed, x)
    if any(tuple(getattr(one, "shape", ()))[:1] == (0,) for one in keras.tree.flatten(x)):
        raise ValueError(EMPTY)
    if sample_weight is not None and not is_data(sample_weight):
        refuse(TypeError, "sample_weight", "an array with a weight per sample", sample_weight)


def _check_validation(data: Any, every: int, *, labelled: bool) -> bool:
    check_int("validate_every", every)
    if data is None and every:
        raise ValueError(f"validate_every={every} needs validation_data=(x, y)")
    if data is None:
        return False
    check_held_out(data, labelled=labelled)
    return True


def _check_verbose(verbose: int | str) -> int:
    if verbose == "auto":
        return 1
    if isinstance(verbose, str):
        refuse(ValueError, "verbose", "'auto', 0, 1 or 2", verbose)
    return check_int("verbose", verbose, 0, 2)


def _check_seeds(seeds: object) -> list[int] | None:
    """A list of seeds for a number or a list of them; None for None."""
    if seeds is None:
        return None
    if getattr(seeds, "shape", None) == ():  # an array of no dimension is a number
        try:
            seeds = operator.index(seeds)  # type: ignore[arg-type]
        except TypeError:
            refuse(TypeError, "seeds", "a number of seeds or a list of them", seeds)
    if isinstance(seeds, str | bytes) or not hasattr(seeds, "__iter__"):
        return list(range(check_int("seeds", seeds, 1)))
    checked = [check_int(f"seeds[{i}]", seed, 0, LARGEST_SEED) for i, seed in enumerate(seeds)]
    if not checked:
        refuse(ValueError, "seeds", "a number of seeds or a list of at least one", seeds)
    return checked


def _sow(model: Any, seed: int) -> None:
    """Start every generator that Keras knows from `seed`, those of the layers included."""
    keras.utils.set_random_seed(seed)
    states = np.random.default_rng(seed)
    for variable in [*model.variables, *global_seeds()]:
        if variable.name == "seed_generator_state":
            variable.assign(np.array([states.integers(LARGEST_SEED), 0]))
