"""Curves from the logs of other tools.

`Curve.from_csv` and `Curve.from_records` find columns by the names that tools give them. This
module opens the containers around them: JSON, JSON lines, histories, TensorBoard events.
"""

from __future__ import annotations

import ast
import csv
import io
import json
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

import clrcore
from clrcore.arguments import check_float, check_list, float_from_scalar, listed, refuse

from ._extras import needed

Records: TypeAlias = list[dict[str, Any]]
"""The lines of a log: a dictionary of columns for each."""

# Columns of a log with a line per metric and step, as MLflow exports it.
METRIC_NAMES = ("metric", "key", "tag", "metricname")
VALUE_NAMES = ("value", "metricvalue")
# A line of a metric in MLflow's own folders: time, value, step.
MLFLOW_LINE = re.compile(rb"\d{13} \S+ \d+\s*")
# Deepest dictionary in a record that is opened.
DEEPEST = 10
# Weight that the running averages of Lightning and fastai give to the past.
PAST_WEIGHT = 0.98
# Digits that a recorded average needs: undoing it multiplies rounding by 50.
DIGITS = 9


def read_log(source: Any, **arguments: Any) -> clrcore.Curve:
    """The range-test curve in the log of another tool.

    Args:
        source: A path or the object itself. A table with commas, semicolons, tabs or spaces
            (Lightning's metrics.csv, Keras's CSVLogger, exports of W&B and MLflow); JSON: a list
            of records, a dictionary of lists, Hugging Face's trainer_state.json, pandas'
            `to_json`, `Curve.to_dict`; JSON lines, also among other lines of text; a folder or
            file of TensorBoard events; the folder of a run of MLflow; a list of records,
            a dictionary of lists, a pandas DataFrame, a Keras `History`. Dictionaries inside
            records are opened: {"train": {"lr": 0.1}} has the column "train/lr".
        arguments: Arguments of `Curve.from_csv`: the columns lr, loss and accuracy, where they
            are not found or several fit, updates, held_out, and the others.

    Returns:
        The curve. Lines of the same step are joined.

    Raises:
        TypeError: For a source of the wrong type.
        ValueError: For a log that cannot be read; the message names the columns and what to do.
        ImportError: For TensorBoard events without the package tensorboard.
        OSError: For a file that cannot be opened.

    Example:
        >>> from clr_adapters.logs import read_log
        >>> records = [{"step": 5 * k, "train/lr": 10.0 ** (k / 9 - 4), "train/loss": 2.0}
        ...            for k in range(1, 21)]
        >>> curve = read_log(records)
        >>> len(curve), curve.updates[:2].tolist()
        (20, [5, 10])
    """
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        if path.is_dir() and not any(path.glob("*.tfevents.*")):
            return clrcore.Curve.from_records(_mlflow(path), **arguments)
        if path.is_dir() or ".tfevents." in path.name:
            return clrcore.Curve.from_records(_tensorboard(path), **arguments)
        return read_text(path.read_bytes(), **arguments)
    if hasattr(source, "history") and isinstance(source.history, Mapping):  # Keras
        source = source.history
    if hasattr(source, "to_dict") and hasattr(source, "columns"):  # pandas
        source = source.to_dict("list")
    if not isinstance(source, Mapping | list | tuple):
        allowed = "a path, a list of records, a dictionary of lists, or a history"
        refuse(TypeError, "source", allowed, source)
    return _from_data(source, **arguments)


def read_text(content: bytes, **arguments: Any) -> clrcore.Curve:
    """The curve in the content of a file: a table, JSON, or JSON lines.

    Args:
        content: The bytes of the file.
        arguments: Arguments of `Curve.from_csv`.

    Raises:
        ValueError: For content that cannot be read.
    """
    if content.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] not in (b"{", b"["):
        if MLFLOW_LINE.fullmatch(content.partition(b"\n")[0]):
            raise ValueError(
                "a file of MLflow holds one metric: pass its folder, which also holds the rate"
            )
        if printed := _printed(content):
            return _from_data(printed, **arguments)
        if _names_metrics(content.partition(b"\n")[0].decode(errors="replace").split(",")):
            return clrcore.Curve.from_records(_by_metric(_read_lines(content)), **arguments)
        return clrcore.Curve.from_csv(io.BytesIO(content), **arguments)
    return _from_data(read_json(content), **arguments)


def read_json(content: bytes) -> Any:
    """The data in JSON, or the list of those in JSON lines.

    Args:
        content: The bytes of the file.

    Raises:
        ValueError: For content that is neither.
    """
    text = _decoded(content)
    try:
        return _from_json(text)
    except ValueError as error:
        problem = error
    records = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            records += [_record_of(line)] if line.strip() else []
        except ValueError as error:
            # Without a first record, the text is no JSON lines.
            reason = getattr(error, "msg", error)  # without its place in this line
            message = f"line {number}: {reason}" if records else problem
            raise ValueError(f"no valid JSON: {message}") from None
    return records


def _from_json(text: str) -> Any:
    """The data in JSON."""
    try:
        # Python's own limit on digits has a message about Python.
        return json.loads(
            text, parse_int=lambda digits: float(digits) if digits[20:] else int(digits)
        )
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _decoded(content: bytes) -> str:
    """The text of a file."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("not UTF-8 text; save the file as UTF-8") from None


def _read_lines(content: bytes) -> Records:
    """The lines of a table as records."""
    try:
        return [*csv.DictReader(io.StringIO(_decoded(content)), strict=True)]
    except csv.Error as error:
        raise ValueError(f"no valid table: {error}") from None


def _record_of(line: str) -> Any:
    """The data in a line of JSON, or in a printed dictionary of Python (Hugging Face's logs)."""
    try:
        return _from_json(line)
    except json.JSONDecodeError:
        with suppress(SyntaxError, ValueError, MemoryError, RecursionError):
            return ast.literal_eval(line.strip())
        raise


def _printed(content: bytes) -> Records:
    """The dictionaries at the ends of lines among other text, as Hugging Face prints them."""
    lines = map(str.rstrip, content.decode("utf-8-sig", errors="replace").splitlines())
    texts = [line[line.index("{") :] for line in lines if line.endswith("}") and "{" in line]
    records = []
    for text in texts:
        with suppress(ValueError):
            records.append(_record_of(text))
    return [record for record in records if isinstance(record, dict)]


def from_lightning(results: Mapping[str, Sequence[float]]) -> clrcore.Curve:
    """The curve of Lightning's learning-rate finder, with its running average undone.

    Lightning records s_k, an average of the losses that starts at half the first loss. With
    b = 0.98, a_k = s_k (1 - b^(k+2)) and loss_k = (a_k - b a_(k-1)) / (1 - b).

    Args:
        results: `Tuner.lr_find(...).results`: lists of equal length under "lr" and "loss".

    Returns:
        The curve of the losses of each batch.

    Raises:
        TypeError: For anything but such a dictionary.
        ValueError: For lists of different lengths, and for rounded values: undoing the average
            would multiply the rounding by 50.

    Example:
        >>> from clr_adapters.logs import from_lightning
        >>> averages = [2.3 * (1 - 0.98 ** (k + 1)) / (1 - 0.98 ** (k + 2)) for k in range(5)]
        >>> curve = from_lightning({"lr": [1e-3, 1e-2, 1e-1, 1.0, 10.0], "loss": averages})
        >>> curve.loss.round(6).tolist()
        [2.3, 2.3, 2.3, 2.3, 2.3]
    """
    lr, averages = _record("results", results, "lr", "loss")
    weights = [1.0 - PAST_WEIGHT ** (k + 2) for k in range(len(averages))]
    return clrcore.Curve(lr, _undone(averages, PAST_WEIGHT, weights, 0.0))


def from_fastai(recorder: Any) -> clrcore.Curve:
    """The curve of fastai's learning-rate finder, with its running average undone.

    fastai records s_k, an average of the losses. With b = 0.98, a_k = s_k (1 - b^(k+1)) and
    loss_k = (a_k - b a_(k-1)) / (1 - b).

    Args:
        recorder: `learn.recorder` after `learn.lr_find()`, or its lists of equal length under
            "lrs" and "losses".

    Returns:
        The curve of the losses of each batch.

    Raises:
        TypeError: For anything else.
        ValueError: For lists of different lengths, and for rounded values.

    Example:
        >>> from clr_adapters.logs import from_fastai
        >>> curve = from_fastai({"lrs": [1e-3, 1e-2, 1e-1], "losses": [2.3000000001] * 3})
        >>> curve.loss.round(6).tolist()
        [2.3, 2.3, 2.3]
    """
    lr, averages = _record("recorder", recorder, "lrs", "losses")
    weights = [1.0 - PAST_WEIGHT ** (k + 1) for k in range(len(averages))]
    return clrcore.Curve(lr, _undone(averages, PAST_WEIGHT, weights, 0.0))


def from_torch_lr_finder(
    history: Mapping[str, Sequence[float]], smooth_f: float = 0.05
) -> clrcore.Curve:
    """The curve of torch-lr-finder or of Ignite's finder, with its smoothing undone.

    They record s_0 = loss_0 and s_k = f loss_k + (1 - f) s_(k-1), where f is `smooth_f`.

    Args:
        history: `LRFinder.history`, or Ignite's `get_results()`: lists of equal length under "lr"
            and "loss".
        smooth_f: The finder's argument, in (0, 1]. Files of smooth_f=0 are read by `read_log`.

    Returns:
        The curve of the losses of each batch.

    Raises:
        TypeError: For anything but such a dictionary.
        ValueError: For lists of different lengths, a smooth_f outside (0, 1], and rounded values.

    Example:
        >>> from clr_adapters.logs import from_torch_lr_finder
        >>> history = {"lr": [0.1, 0.2, 0.3], "loss": [2.0, 1.95, 1.90250000001]}
        >>> from_torch_lr_finder(history).loss.round(6).tolist()
        [2.0, 1.0, 1.0]
    """
    past = 1.0 - check_float("smooth_f", smooth_f, 0.0, 1.0, above=True)
    lr, averages = _record("history", history, "lr", "loss")
    return clrcore.Curve(lr, _undone(averages, past, [1.0] * len(averages), *averages[:1]))


def _record(name: str, record: Any, lr: str, loss: str) -> tuple[list[Any], list[float]]:
    """The rates and the averages that a finder has recorded, with digits enough to undo them."""
    if hasattr(record, lr) and hasattr(record, loss):
        record = {lr: getattr(record, lr), loss: getattr(record, loss)}
    if not isinstance(record, Mapping) or not {lr, loss} <= set(record):
        allowed = f"the record of the finder, {{{lr!r}: [...], {loss!r}: [...]}}"
        refuse(TypeError, name, allowed, record)
    rates = check_list(f"{name}[{lr!r}]", record[lr], "a list of rates")
    losses = check_list(f"{name}[{loss!r}]", record[loss], "a list of losses")
    averages = [
        # The name is written only where it may be needed.
        x if type(x) is float else float_from_scalar(f"{name}[{loss!r}][{i}]", x)
        for i, x in enumerate(losses)
    ]
    if len(rates) != len(averages):
        refuse(ValueError, name, "lists of equal length", (len(rates), len(averages)))
    if averages and max(map(_digits, set(averages))) < DIGITS:
        refuse(
            ValueError,
            name,
            f"recorded with at least {DIGITS} digits",
            averages[:3],
            advice="undoing the running average multiplies rounding by 50: pass the finder's own "
            "numbers as they are",
        )
    return rates, averages


def _undone(
    averages: Sequence[float], past: float, weights: Sequence[float], before: float = 0.0
) -> list[float]:
    """The losses of a running average: average * weight = past * the last + (1 - past) * loss."""
    losses = []
    for average, weight in zip(averages, weights, strict=True):
        losses.append((average * weight - past * before) / (1.0 - past))
        before = average * weight
    return losses


def _digits(value: float) -> int:
    """Significant digits that a number was written with."""
    return len(repr(value).partition("e")[0].replace(".", "").strip("-0"))


def _from_data(data: Any, **arguments: Any) -> clrcore.Curve:
    """The curve in JSON data: a list of records, or a dictionary of columns."""
    if isinstance(data, Mapping) and {"columns", "data"} <= set(data):  # pandas, orient="split"
        data = _from_split(data["columns"], data["data"])
    elif isinstance(data, Mapping) and "version" in data:  # Curve.to_dict
        names = ("lr", "loss", "accuracy")
        facts = {key: value for key, value in arguments.items() if key not in names}
        return clrcore.Curve.from_dict({**data, **facts})
    elif isinstance(data, Mapping):
        # The list of Hugging Face's trainer_state.json, of pandas' orient="table", of MLflow.
        data = _only_records(data) or _rows(data)
    elif data and isinstance(data, list | tuple) and all(isinstance(row, list) for row in data):
        data = _pairs(data)  # pandas, orient="values"
    elif _has_batches(data):  # skorch
        data = [batch for epoch in data for batch in epoch["batches"]]
    if isinstance(data, list | tuple):
        data = [dict(_flat(row)) if isinstance(row, dict) else row for row in data]
    return clrcore.Curve.from_records(_by_metric(data), **arguments)


def _only_records(data: Mapping[str, Any]) -> list[Any]:
    """The list of records among other things, empty where there is none or other lists."""
    lists = [value for value in data.values() if isinstance(value, list) and value]
    found = lists[0] if len(lists) == 1 else []
    return found if any(isinstance(record, Mapping) for record in found) else []


def _flat(record: Mapping[Any, Any], groups: tuple[str, ...] = ()) -> Iterator[tuple[Any, Any]]:
    """The items of a dictionary and those inside: {"train": {"lr": 1}} has "train/lr"."""
    for name, value in record.items():
        if isinstance(value, Mapping) and isinstance(name, str) and len(groups) < DEEPEST:
            yield from _flat(value, (*groups, name))
        else:
            yield "/".join((*groups, name)) if isinstance(name, str) else name, value


def _from_split(columns: Any, rows: Any) -> Records:
    """Records from the names of columns and a list of rows."""
    names, data = check_list("columns", columns, "a list of names"), []
    if not all(isinstance(name, str) for name in names):
        refuse(TypeError, "columns", "a list of names", columns)
    for i, values in enumerate(check_list("data", rows, "a list of rows")):
        row = check_list(f"data[{i}]", values, "a list of values")
        if len(row) != len(names):
            refuse(ValueError, f"data[{i}]", f"as long as the list of columns, {len(names)}", row)
        data.append(dict(zip(names, row, strict=True)))
    return data


def _rows(data: Mapping[str, Any]) -> Records:
    """Records from a dictionary of columns, lists or pandas' dictionaries by index."""
    if data and all(str(key).isdigit() and isinstance(row, Mapping) for key, row in data.items()):
        return list(data.values())  # pandas, orient="index"
    inner = [
        each for column in data.values() if isinstance(column, Mapping) for each in column.values()
    ]
    if any(isinstance(each, Mapping | list | tuple) for each in inner):
        data = dict(_flat(data))  # {"history": {"lr": [...], ...}}
    columns = {
        name: list(column.values() if isinstance(column, Mapping) else column)
        for name, column in data.items()
        if isinstance(column, Mapping | list | tuple)
    }
    if not columns:
        example = 'it must be a table, or JSON such as {"lr": [...], "loss": [...]}'
        raise ValueError(f"no lists among the keys {listed(data)}; {example}")
    if len(set(map(len, columns.values()))) > 1:
        first = [*columns.items()][:10]
        lengths = ", ".join(f"{len(column)} in {name!r}" for name, column in first)
        raise ValueError(f"the lists must be equally long, got {lengths}")
    rows = zip(*columns.values(), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _pairs(rows: Sequence[Sequence[Any]]) -> Records:
    """Records from rows of a rate and a loss, or below a row of names."""
    if all(isinstance(name, str) for name in rows[0]) and len(rows) > 1:
        return _from_split(rows[0], rows[1:])
    if any(len(row) != 2 for row in rows):
        raise ValueError(
            "the rows have no names, and only rows of two numbers are read as rate and loss; "
            'write records such as [{"lr": 0.1, "loss": 2.3}, ...]'
        )
    return [dict(zip(("lr", "loss"), row, strict=True)) for row in rows]


def _has_batches(data: Any) -> bool:
    """Whether these are the epochs of a history of skorch."""
    return isinstance(data, list) and all(
        isinstance(epoch, Mapping) and isinstance(epoch.get("batches"), list) for epoch in data
    )


def _names_metrics(header: Iterable[object]) -> bool:
    """Whether a log has a line per metric and step, as MLflow exports it."""
    names = {name.strip().lower() for name in header if isinstance(name, str)}
    return "step" in names and bool(names & set(METRIC_NAMES)) and bool(names & set(VALUE_NAMES))


def _by_metric(records: Any) -> Any:
    """Such records with a column per metric; others unchanged."""
    if not isinstance(records, list) or not records or not isinstance(records[0], Mapping):
        return records
    if not _names_metrics(records[0]):
        return records
    lower = {name.strip().lower(): name for name in records[0] if isinstance(name, str)}
    metric = next(lower[name] for name in METRIC_NAMES if name in lower)
    value = next(lower[name] for name in VALUE_NAMES if name in lower)
    return [
        {"step": record.get(lower["step"]), record[metric]: record.get(value)}
        for record in records
        if isinstance(record, Mapping) and isinstance(record.get(metric), str)
    ]


def _mlflow(folder: Path) -> Records:
    """A record per metric and step of the folder of a run of MLflow, or its folder "metrics"."""
    records: Records = []
    metrics = folder if folder.resolve().name == "metrics" else folder / "metrics"
    for path in sorted(metrics.rglob("*")):
        lines = path.read_bytes().splitlines() if path.is_file() else []
        if lines and all(map(MLFLOW_LINE.fullmatch, lines)):
            name = path.relative_to(metrics).as_posix()
            cells = (line.decode().split() for line in lines)
            records += [{"step": int(step), name: value} for _, value, step in cells]
    if not records:
        raise ValueError(
            "the folder has neither TensorBoard events nor metrics of MLflow: give it a file of "
            "the log"
        )
    return records


def _tensorboard(path: Path) -> Records:
    """A record per scalar and step of TensorBoard's event files."""
    with needed("tensorboard", "TensorBoard events need the package tensorboard"):
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    events = EventAccumulator(str(path), size_guidance={"scalars": 0, "tensors": 0})
    events.Reload()
    tags = events.Tags()
    records: Records = []
    for tag in tags["scalars"]:
        records += [{"step": event.step, tag: event.value} for event in events.Scalars(tag)]
    for tag in tags["tensors"]:  # TensorFlow 2 writes a scalar as a tensor of a single element
        points = ((event.step, _element(event.tensor_proto)) for event in events.Tensors(tag))
        records += [{"step": step, tag: value} for step, value in points]
    return records


def _element(tensor: Any) -> float:
    """The number in a TensorBoard tensor; NaN where it is not a single number."""
    from tensorboard.util.tensor_util import make_ndarray

    array = make_ndarray(tensor)
    return float(array) if array.size == 1 and array.dtype.kind == "f" else math.nan
