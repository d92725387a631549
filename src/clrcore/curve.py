"""What a range test recorded, and reading and writing it."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import IO, Any, NoReturn, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _html, tables
from ._plain import from_plain, to_plain
from ._values import Value
from .arguments import (
    LARGEST_COUNT,
    check_bool,
    check_choice,
    check_float,
    check_int,
    check_optional,
    check_state,
    refuse,
    shown,
)
from .smoothing import finite_until, smooth

Numbers: TypeAlias = NDArray[np.float64]
Counts: TypeAlias = NDArray[np.int64]

VERSION = 1
SWEEPS = ("linear", "exponential")
METRICS = ("loss", "accuracy")
# A sweep is linear or exponential where its rates lie within this fraction of its span from an
# even ramp: those of foreign files are often rounded to a few digits, or held for an epoch.
UNEVEN = 0.1


class Curve(Value):
    """The points that a range test recorded: rates, and losses or accuracies or both. Immutable.

    Attributes `lr`, `loss` and `accuracy` are float64 arrays, `updates` is an int64 array; none of
    them can be written to.

    Args:
        lr: Rates, 1-D, finite, >= 0.
        loss: Losses of the mini-batch, each before the update at its rate. It may hold NaN and
            infinity.
        accuracy: Accuracies of that mini-batch, or of held-out data after the update; NaN where
            none was measured.
        sweep: "linear" or "exponential". By default it is inferred from the rates, and None where
            they are neither.
        steps_per_epoch: Updates in an epoch, > 0, if known.
        held_out: Whether the accuracy is of held-out data, if known.
        updates: Updates before each point, integers >= 0 that rise; or a single integer, the
            updates from one point to the next, for logs that note every n-th. By default every
            update has its point.

    Raises:
        TypeError: For an argument of the wrong type; the message names it.
        ValueError: For a value or a length that is not allowed.

    Example:
        >>> import clrcore
        >>> curve = clrcore.Curve([0.001, 0.01, 0.1], loss=[2.3, 1.1, 0.4], updates=50)
        >>> len(curve), curve.sweep, float(curve.loss[1]), curve.updates.tolist()
        (3, 'exponential', 1.1, [0, 50, 100])
    """

    __slots__ = ("accuracy", "held_out", "loss", "lr", "steps_per_epoch", "sweep", "updates")
    lr: Numbers
    loss: Numbers | None
    accuracy: Numbers | None
    sweep: str | None
    steps_per_epoch: float | None
    held_out: bool | None
    updates: Counts

    def __init__(
        self,
        lr: ArrayLike,
        loss: ArrayLike | None = None,
        accuracy: ArrayLike | None = None,
        *,
        sweep: str | None = None,
        steps_per_epoch: float | None = None,
        held_out: bool | None = None,
        updates: ArrayLike | None = None,
    ) -> None:
        rates = _column("lr", lr)
        bad = np.flatnonzero(~(np.isfinite(rates) & (rates >= 0)))
        if bad.size:
            i = int(bad[0])
            refuse(ValueError, f"lr[{i}]", "a finite number >= 0", float(rates[i]))
        if loss is None and accuracy is None:
            message = "a Curve needs loss=..., accuracy=..., or both; got neither"
            refuse(TypeError, "loss", "given where accuracy is not", None, message=message)
        length = check_optional(check_float, "steps_per_epoch", steps_per_epoch, 0.0, above=True)
        self._set(
            lr=rates,
            loss=check_optional(_column, "loss", loss, rates.size),
            accuracy=check_optional(_column, "accuracy", accuracy, rates.size),
            sweep=_kind(rates) if sweep is None else check_choice("sweep", sweep, SWEEPS),
            steps_per_epoch=length,
            held_out=check_optional(check_bool, "held_out", held_out),
            updates=_counts(updates, rates.size),
        )

    def __len__(self) -> int:
        return int(self.lr.size)

    def __repr__(self) -> str:
        metrics = [name for name in METRICS if getattr(self, name) is not None]
        span = f"lr {self.lr[0]:.3g} to {self.lr[-1]:.3g}" if len(self) else "empty"
        points = f"{len(self)} points"
        if self.num_updates != len(self):
            points += f" in {self.num_updates} updates"
        return f"Curve({points}, {' and '.join(metrics)}, {span}, sweep={self.sweep!r})"

    def _repr_html_(self) -> str:
        rows = [("points", str(len(self))), ("updates", str(self.num_updates))]
        for name, values in self._columns().items():
            if name != "updates" and values.size:
                rows.append((name, f"{values[0]:.3g} to {values[-1]:.3g}"))
        return _html.table([*rows, ("sweep", str(self.sweep))])

    @property
    def plot(self) -> NoReturn:
        """There is none: `clr_adapters.plot.plot_range_test(curve)` draws the curve."""
        raise AttributeError("a Curve has no plot: use clr_adapters.plot.plot_range_test(curve)")

    @property
    def num_updates(self) -> int:
        """Updates of the sweep, up to the point that would follow the last."""
        if len(self) < 2:
            return len(self)
        steps = np.diff(self.updates)
        return int(self.updates[-1] - self.updates[0] + np.median(steps))

    def smoothed(self, metric: str = "loss") -> Numbers:
        """The metric without its noise and without lag in log rate; an array of the shape of lr.

        Gaps are bridged. The result is NaN from the blow-up on, and before the first and after
        the last value.

        Args:
            metric: "loss" or "accuracy".

        Raises:
            ValueError: For a metric that was not recorded.
        """
        values = getattr(self, check_choice("metric", metric, METRICS))
        if values is None:
            refuse(ValueError, "metric", "a metric that was recorded", metric)
        if self.loss is not None:
            values = np.where(np.arange(len(self)) < finite_until(self.loss), values, np.nan)
        return smooth(self.lr, values)

    def to_dict(self) -> dict[str, Any]:
        """The curve as plain data, valid as JSON; NaN and infinity are words in it."""
        return {
            "version": VERSION,
            "lr": self.lr.tolist(),
            "loss": _listed(self.loss),
            "accuracy": _listed(self.accuracy),
            "sweep": self.sweep,
            "steps_per_epoch": self.steps_per_epoch,
            "held_out": self.held_out,
            "updates": None if self._is_dense() else self.updates.tolist(),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Curve:
        """The curve that `to_dict` described.

        Raises:
            TypeError: For data that are not a dictionary of lists.
            ValueError: For another version, missing or unknown keys, or values refused by `Curve`.
        """
        if isinstance(data, dict):
            data = {"updates": None, **data}  # dictionaries of 0.1.0 lack it
        check_state("data", data, VERSION, cls.__slots__)
        metrics = {name: check_optional(_parsed, name, data[name]) for name in METRICS}
        fields = {name: data[name] for name in cls.__slots__}
        return cls(**fields | metrics | {"lr": _parsed("lr", data["lr"])})

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write columns lr, loss, and accuracy or val_accuracy (held out), digits exact.

        A column of updates is added where they were not all recorded. Either the whole file is
        written or none of it. Sweep, steps_per_epoch and held_out=False are not in the file;
        `to_dict` keeps all.

        Args:
            path: The file to write; an existing file is replaced.
        """
        tables.write(path, {name: values.tolist() for name, values in self._columns().items()})

    def to_pandas(self) -> Any:
        """The columns of `to_csv` as a pandas DataFrame.

        Raises:
            ImportError: Without pandas.
        """
        try:
            import pandas
        except ImportError as error:
            message = f"Curve.to_pandas needs pandas: run pip install pandas ({error})"
            raise ImportError(message) from error
        return pandas.DataFrame(self._columns())

    def _columns(self) -> dict[str, Numbers | Counts]:
        """What was recorded, by the names of the columns of a table."""
        name = "val_accuracy" if self.held_out else "accuracy"
        updates = None if self._is_dense() else self.updates
        columns = {"updates": updates, "lr": self.lr, "loss": self.loss, name: self.accuracy}
        return {key: values for key, values in columns.items() if values is not None}

    @classmethod
    def from_csv(
        cls,
        path: str | os.PathLike[str] | IO[str] | IO[bytes],
        *,
        lr: str | None = None,
        loss: str | None = None,
        accuracy: str | None = None,
        sweep: str | None = None,
        steps_per_epoch: float | None = None,
        held_out: bool | None = None,
        updates: str | ArrayLike | None = None,
    ) -> Curve:
        """Read a curve from a table with a header line, ours or another tool's.

        Args:
            path: A path, or an open file; UTF-8, cells separated by comma, semicolon or tab.
                Lines that begin with # are left out.
            lr: Name of the column of rates. By default this and the next three are the usual
                names in any case and order (lr, learning_rate, loss, train_loss, val_acc, step,
                ...). Other columns are ignored.
            loss: Name of the column of losses. Cells that are empty or NA are NaN.
            accuracy: Name of the column of accuracies. A column whose name starts with "val" is
                held out.
            sweep: As for `Curve`.
            steps_per_epoch: As for `Curve`.
            held_out: As for `Curve`.
            updates: Name of the column of updates, or as for `Curve`.

        Raises:
            TableError: The content is not such a table; the error has file, line and column.
            OSError: For a file that cannot be read.
            TypeError: For an argument of the wrong type.
            ValueError: For values that `Curve` refuses.
        """
        names = {"lr": lr, "loss": loss, "accuracy": accuracy, "updates": updates}
        facts = {"sweep": sweep, "steps_per_epoch": steps_per_epoch, "held_out": held_out}
        return cls._read(partial(tables.read, *tables.text(path)), names, facts)

    @classmethod
    def from_records(
        cls,
        records: Sequence[dict[str, Any]],
        *,
        lr: str | None = None,
        loss: str | None = None,
        accuracy: str | None = None,
        sweep: str | None = None,
        steps_per_epoch: float | None = None,
        held_out: bool | None = None,
        updates: str | ArrayLike | None = None,
    ) -> Curve:
        """Read a curve from a list of dictionaries, as many tools log.

        Records that hold neither rate nor loss nor accuracy are left out. The arguments after
        `records` are those of `from_csv`.

        Args:
            records: Dictionaries with names as keys and numbers as values.
            lr: Name of the rates.
            loss: Name of the losses.
            accuracy: Name of the accuracies.
            sweep: As for `Curve`.
            steps_per_epoch: As for `Curve`.
            held_out: As for `Curve`.
            updates: Name of the updates, or as for `Curve`.

        Raises:
            TableError: With the number of the record, from 1, that cannot be read.
            TypeError: For an argument of the wrong type.
            ValueError: For values that `Curve` refuses.

        Example:
            >>> import clrcore
            >>> log = [{"step": 50 * k, "learning_rate": 0.1 * k, "loss": 2.0} for k in range(4)]
            >>> clrcore.Curve.from_records(log)
            Curve(4 points in 200 updates, loss, lr 0 to 0.3, sweep='linear')
        """
        names = {"lr": lr, "loss": loss, "accuracy": accuracy, "updates": updates}
        facts = {"sweep": sweep, "steps_per_epoch": steps_per_epoch, "held_out": held_out}
        return cls._read(partial(tables.read_records, records), names, facts)

    @classmethod
    def _read(
        cls, read: Callable[[dict[str, Any]], Any], names: dict[str, Any], facts: dict[str, Any]
    ) -> Curve:
        """The curve in the columns that `read` finds; updates that are no name are as given."""
        updates = names["updates"]
        given = {} if isinstance(updates, str | None) else {"updates": updates}
        columns, held_out = read(names | dict.fromkeys(given))
        facts["held_out"] = held_out if facts["held_out"] is None else facts["held_out"]
        return cls(**columns | given | facts)

    def _is_dense(self) -> bool:
        """Whether every update has its point."""
        return bool(np.array_equal(self.updates, np.arange(len(self))))

    def _key(self) -> tuple[Any, ...]:
        arrays = (self.lr, self.loss, self.accuracy, self.updates)
        bits = [None if array is None else array.tobytes() for array in arrays]
        return (*bits, self.sweep, self.steps_per_epoch, self.held_out)

    def __setstate__(self, state: dict[str, Any]) -> None:
        arrays = {key: _frozen(x) for key, x in state.items() if isinstance(x, np.ndarray)}
        super().__setstate__(state | arrays)


def _column(name: str, values: ArrayLike, size: int | None = None) -> Numbers:
    """A float64 copy of 1-D numbers that cannot be written to."""
    if isinstance(values, np.ma.MaskedArray) and values.dtype.kind in "iuf":
        values = np.where(np.ma.getmaskarray(values), np.nan, values.data)  # masked is missing
    array = _array(name, values, size)
    if array.dtype.kind not in "iuf" and array.size:
        refuse(TypeError, name, "a 1-D array of numbers", values)
    column = array.astype(np.float64)
    column[np.isnan(column)] = np.nan  # one NaN, so that equal curves have equal bits
    return _frozen(column)


def _array(name: str, values: ArrayLike, size: int | None) -> NDArray[Any]:
    """Values as a 1-D array of that size."""
    items = values if isinstance(values, list | tuple) else ()
    kinds = set(map(type, items))
    if any(issubclass(kind, bool | np.bool_ | np.ma.core.MaskedConstant) for kind in kinds):
        refuse(TypeError, name, "a 1-D array of numbers, none True, False or masked", values)
    # NumPy would make every value as long as the longest text.
    if any(issubclass(kind, str | bytes) for kind in kinds):
        at = next(i for i, x in enumerate(items) if isinstance(x, str | bytes))
        advice = f"{name}[{at}] is text, {shown(items[at], 40)}"
        refuse(TypeError, name, "a 1-D array of numbers", values, advice=advice)
    if any(issubclass(kind, list | tuple) for kind in kinds):  # whatever text they contain
        refuse(ValueError, name, "1-D, without lists in it", values)
    try:
        array = np.asarray(values)
    except ValueError:  # arrays of different lengths
        refuse(ValueError, name, "1-D", values)
    except (RuntimeError, TypeError) as error:  # tensors with a graph, or on a device
        advice = "record numbers: loss.item() instead of the tensor"
        refuse(TypeError, name, "a 1-D array of numbers", values, advice=advice, cause=error)
    if not array.ndim and array.dtype.kind not in "iuf":
        refuse(TypeError, name, "a 1-D array of numbers", values)
    if array.ndim != 1:
        refuse(ValueError, name, f"1-D, not of shape {array.shape}", values)
    if size is not None and array.size != size:
        message = f"{name} must have as many values as lr, {size}, got {array.size}"
        refuse(ValueError, name, f"as long as lr, {size}", values, message=message)
    return array


def _counts(values: object, size: int) -> Counts:
    """Updates before each point, a read-only int64 array."""
    allowed = "integers >= 0 that rise, one for each rate, or a single integer >= 1"
    if values is None:
        return _frozen(np.arange(size, dtype=np.int64))
    if not isinstance(values, list | tuple) and np.ndim(values) == 0:  # type: ignore[arg-type]
        apart = check_int("updates", values, 1, LARGEST_COUNT // max(size, 1))
        return _frozen(np.arange(size, dtype=np.int64) * apart)
    array = _array("updates", values, size)  # type: ignore[arg-type]
    if array.size and array.dtype.kind not in "iuf":
        refuse(TypeError, "updates", allowed, values)
    whole = np.all(array == np.floor(array)) and np.all(array >= 0)
    if not (whole and np.all(array <= LARGEST_COUNT) and np.all(array[1:] > array[:-1])):
        refuse(ValueError, "updates", allowed, values)
    return _frozen(array.astype(np.int64))


def _frozen(column: NDArray[Any]) -> NDArray[Any]:
    """The same numbers in memory that NumPy does not let anyone make writeable again."""
    return np.frombuffer(column.tobytes(), dtype=column.dtype)


def _kind(lr: Numbers) -> str | None:
    """The kind of sweep: the ramp that the rates are nearest to, if they are near."""
    if lr.size < 3 or not lr[-1] > lr[0] or np.any(np.diff(lr) < 0):
        return None
    ramps = {"linear": lr}
    if lr[0] > 0:
        ramps["exponential"] = np.log(lr)
    off = {}
    for kind, rates in ramps.items():
        even = np.linspace(rates[0], rates[-1], rates.size)
        off[kind] = float(np.abs(rates - even).max() / (rates[-1] - rates[0]))
    best = min(off, key=lambda kind: off[kind])
    return best if off[best] < UNEVEN else None


def _listed(values: Numbers | None) -> list[float | str | None] | None:
    return None if values is None else to_plain(values.tolist())


def _parsed(name: str, values: object) -> list[float]:
    return [math.nan if number is None else number for number in from_plain(name, values)]
