"""What a range test recorded, and reading and writing it."""

from __future__ import annotations

import math
import os

import numpy as np

from . import tables
from ._plain import from_plain, to_plain
from ._values import Value
from .arguments import check_bool, check_choice, check_float, check_keys, check_version, refuse
from .smoothing import finite_until, smooth

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO, Any

    from numpy.typing import ArrayLike, NDArray

    Numbers = NDArray[np.float64]

VERSION = 1
SWEEPS = ("linear", "exponential")
# Rates may lie this part of the sweep's span from an even ramp and still be called one: those of
# foreign files are often rounded to a few digits, or held for an epoch.
UNEVEN = 0.1


class Curve(Value):
    """A range test's raw points: rates, and losses and/or accuracies. Immutable.

    lr: 1-D, finite, >= 0. loss: of the mini-batch before the update at lr[k]. accuracy: of
    that mini-batch, or of held-out data after the update; NaN where it was not measured.
    Loss and accuracy have the length of lr and may hold NaN and infinity.
    sweep: "linear" or "exponential"; by default inferred from lr, None if it is neither.
    steps_per_epoch: updates in an epoch, > 0, or None if unknown.
    held_out: whether accuracy is of held-out data, or None if unknown.
    Raises TypeError or ValueError, naming the argument, for anything else.

    >>> import clrcore
    >>> curve = clrcore.Curve([0.001, 0.01, 0.1], loss=[2.3, 1.1, 0.4])
    >>> len(curve), curve.sweep, float(curve.loss[1])
    (3, 'exponential', 1.1)
    """

    __slots__ = ("accuracy", "held_out", "loss", "lr", "steps_per_epoch", "sweep")
    lr: Numbers
    loss: Numbers | None
    accuracy: Numbers | None
    sweep: str | None
    steps_per_epoch: float | None
    held_out: bool | None

    def __init__(
        self,
        lr: ArrayLike,
        loss: ArrayLike | None = None,
        accuracy: ArrayLike | None = None,
        *,
        sweep: str | None = None,
        steps_per_epoch: float | None = None,
        held_out: bool | None = None,
    ) -> None:
        rates = _column("lr", lr)
        bad = np.flatnonzero(~(np.isfinite(rates) & (rates >= 0)))
        if bad.size:
            i = int(bad[0])
            refuse(ValueError, f"lr[{i}]", "a finite number >= 0", float(rates[i]))
        if loss is None and accuracy is None:
            raise TypeError("a Curve needs loss=..., accuracy=..., or both; got neither")
        if steps_per_epoch is not None:
            steps_per_epoch = check_float("steps_per_epoch", steps_per_epoch, 0.0, above=True)
        self._set(
            lr=rates,
            loss=None if loss is None else _column("loss", loss, rates.size),
            accuracy=None if accuracy is None else _column("accuracy", accuracy, rates.size),
            sweep=_kind(rates) if sweep is None else check_choice("sweep", sweep, SWEEPS),
            steps_per_epoch=steps_per_epoch,
            held_out=None if held_out is None else check_bool("held_out", held_out),
        )

    def __len__(self) -> int:
        return int(self.lr.size)

    def __repr__(self) -> str:
        metrics = [name for name in ("loss", "accuracy") if getattr(self, name) is not None]
        span = f"lr {self.lr[0]:g}..{self.lr[-1]:g}" if len(self) else "empty"
        return f"Curve({len(self)} points of {' and '.join(metrics)}, {span}, sweep={self.sweep!r})"

    def smoothed(self, metric: str = "loss") -> Numbers:
        """The metric "loss" or "accuracy", smoothed without lag in log rate; shape of lr.

        Gaps are bridged; NaN from the blow-up on, and before the first and after the last
        value. Raises ValueError for a metric that was not recorded.
        """
        values = getattr(self, check_choice("metric", metric, ("loss", "accuracy")))
        if values is None:
            refuse(ValueError, "metric", "one that was recorded", metric)
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
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Curve:
        """The curve that `to_dict` described.

        Raises TypeError or ValueError for another version, missing and unknown keys, and
        what `Curve` refuses.
        """
        check_keys("data", data, ["version", *cls.__slots__])
        check_version("data", data["version"], VERSION)
        return cls(
            _parsed("lr", data["lr"]),
            None if data["loss"] is None else _parsed("loss", data["loss"]),
            None if data["accuracy"] is None else _parsed("accuracy", data["accuracy"]),
            sweep=data["sweep"],
            steps_per_epoch=data["steps_per_epoch"],
            held_out=data["held_out"],
        )

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write columns lr, loss, and accuracy or val_accuracy (held out), digits exact.

        Either the whole file is written or none of it. What is not a column (sweep,
        steps_per_epoch, held_out=False) is not in the file; `to_dict` keeps all.
        """
        name = "val_accuracy" if self.held_out else "accuracy"
        columns = {"lr": self.lr, "loss": self.loss, name: self.accuracy}
        tables.write(path, {key: x.tolist() for key, x in columns.items() if x is not None})

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
    ) -> Curve:
        """Read a curve from a file of columns with a header line, ours or another tool's.

        path: a path, or an open file; UTF-8, cells separated by comma, semicolon or tab. Lines
            that begin with # are left out.
        lr, loss, accuracy: names of the columns; by default the usual ones, in any case and
            order (lr, learning_rate, loss, train_loss, accuracy, val_acc, ...). Other columns
            are ignored. Cells of loss and accuracy that are empty or NA are NaN.
        The other arguments are those of `Curve`; a column named val_... is held out.
        Raises ValueError that names the line, and OSError for what cannot be read.
        """
        text, where = tables.text(path)
        names = {"lr": lr, "loss": loss, "accuracy": accuracy}
        columns, found_held_out = tables.read(text, where, names)
        return cls(
            **columns,
            sweep=sweep,
            steps_per_epoch=steps_per_epoch,
            held_out=found_held_out if held_out is None else held_out,
        )

    def _key(self) -> tuple[Any, ...]:
        arrays = (self.lr, self.loss, self.accuracy)
        bits = [None if array is None else array.tobytes() for array in arrays]
        return (*bits, self.sweep, self.steps_per_epoch, self.held_out)

    def __setstate__(self, state: dict[str, Any]) -> None:
        arrays = {key: _frozen(x) for key, x in state.items() if isinstance(x, np.ndarray)}
        super().__setstate__(state | arrays)


def _column(name: str, values: ArrayLike, size: int | None = None) -> Numbers:
    """A float64 copy of 1-D numbers that cannot be written to."""
    if isinstance(values, np.ma.MaskedArray) and values.dtype.kind in "iuf":
        values = np.where(np.ma.getmaskarray(values), np.nan, values.data)  # masked is missing
    try:
        array = np.asarray(values)
    except ValueError:  # rows of different lengths
        refuse(ValueError, name, "1-D", values)
    if array.ndim != 1:
        refuse(ValueError, name, f"1-D, not of shape {array.shape}", values)
    if array.dtype.kind not in "iuf" and array.size:
        refuse(TypeError, name, "a 1-D array of numbers", values)
    if size is not None and array.size != size:
        raise ValueError(f"{name} must have as many values as lr, {size}, got {array.size}")
    column = array.astype(np.float64)
    column[np.isnan(column)] = np.nan  # one NaN, so that equal curves have equal bits
    return _frozen(column)


def _frozen(column: Numbers) -> Numbers:
    """The same numbers in memory that NumPy does not let anyone make writeable again."""
    return np.frombuffer(column.tobytes(), dtype=np.float64)


def _kind(lr: Numbers) -> str | None:
    """What sweep the rates look like: the ramp they lie nearest to."""
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
    return None if values is None else [to_plain(value) for value in values.tolist()]


def _parsed(name: str, values: object) -> list[float]:
    if not isinstance(values, list | tuple):
        refuse(TypeError, name, "a list of numbers", values)
    numbers = [from_plain(f"{name}[{i}]", value) for i, value in enumerate(values)]
    return [math.nan if number is None else number for number in numbers]
