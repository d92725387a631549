"""Whatever a log holds, only documented errors come out."""

import json
import math
import tempfile
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import clrcore
from cases import each
from clr_adapters.cli import main
from clr_adapters.logs import (
    from_fastai,
    from_lightning,
    from_torch_lr_finder,
    read_json,
    read_log,
    read_text,
)
from hostile import LONGEST_MESSAGE, Reader, outcome, refused, with_odd_values

LOGS = Path(__file__).parents[1] / "logs"
SETTINGS = settings(derandomize=True, deadline=None, database=None)

LR = [1e-4 * 1.5**k for k in range(12)]
LOSS = [2.3 - 0.1 * k for k in range(12)]
RECORDS = [{"step": 5 * k, "lr": LR[k], "loss": LOSS[k]} for k in range(12)]
LISTS = {"lr": LR, "loss": LOSS, "step": list(range(12))}
SPLIT = {
    "columns": ["lr", "loss"],
    "index": [],
    "data": [[*row] for row in zip(LR, LOSS, strict=True)],
}
BY_METRIC = [{"step": k, "metric": name, "value": 0.1} for k in range(9) for name in ("lr", "loss")]
CURVE = clrcore.Curve(LR, LOSS, updates=5)
EVENTS = next((LOGS / "tensorboard").rglob("*.tfevents.*"))


def read(curve):
    """Read bounds off a curve, or be refused."""
    if not refused(curve):
        outcome(clrcore.suggest_bounds, curve, errors=[clrcore.NoBoundsError])


def text(content):
    read(outcome(read_text, content))
    data = outcome(read_json, content)
    if not refused(data):
        read(outcome(from_lightning, data))


def data(source):
    if not isinstance(source, str):  # a path
        read(outcome(read_log, source))


def finders(results):
    read(outcome(from_lightning, results))
    read(outcome(from_torch_lr_finder, results))
    read(outcome(from_fastai, {"lrs": results, "losses": results}))
    if isinstance(results, dict):
        plural = {f"{key}s": value for key, value in results.items() if isinstance(key, str)}
        read(outcome(from_fastai, plural))


def command(content):
    """The command ends with an exit status and a short message, whatever it is given."""
    for options in ([], ["--json", "--compare"], ["--lightning"]):
        result = CliRunner().invoke(main, ["suggest", "-", *options], input=content)
        assert result.exit_code in (0, 1, 2, 3)
        assert result.exception is None or isinstance(result.exception, SystemExit)
        assert len(result.stderr) <= LONGEST_MESSAGE


def events(content):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / EVENTS.name
        path.write_bytes(content)
        read(outcome(read_log, path))


FILES = [(LOGS / name).read_bytes() for name in sorted(path.name for path in LOGS.glob("*.*"))]
READERS = {
    "text": Reader(text, [*FILES, *(json.dumps(x).encode() for x in (RECORDS, LISTS, SPLIT))]),
    "data": Reader(
        data, [RECORDS, LISTS, SPLIT, BY_METRIC, {"log_history": RECORDS}, CURVE.to_dict()]
    ),
    "finders": Reader(finders, [json.loads((LOGS / "lightning_lr_find.json").read_text())]),
    "command": Reader(command, [FILES[0], json.dumps(LISTS).encode()]),
    "events": Reader(events, [EVENTS.read_bytes()]),
}


@pytest.mark.parametrize("name", READERS)
@settings(SETTINGS, max_examples=10)
@given(generated=st.data())
def test_damaged_logs_are_read_or_refused(name, generated):
    if name == "events":
        pytest.importorskip("tensorboard")
    READERS[name].law(generated.draw(READERS[name].data))


@pytest.mark.parametrize("name", ["data", "finders"])
def test_odd_values_in_logs_are_read_or_refused(name):
    law, valid = READERS[name]
    for entry in valid:
        law(entry)
        for odd in with_odd_values(entry):
            law(odd)


@each(
    ("content", "words"),
    [
        (b"[" * 100_000, "nested too deeply"),
        (b'[{"lr": \xff}]', "not UTF-8 text"),
        (b'step,metric,value\n1,lr,"0.1', "unexpected end of data"),
        (b'{"columns": ["lr"], "data": [1]}', r"data\[0\] must be a list of values, got 1"),
        (b'{"columns": ["lr"], "data": [[1, 2]]}', "as long as the list of columns, 1"),
        (b'{"columns": [[]], "data": [[1]]}', "columns must be a list of names"),
    ],
)
def test_broken_files_are_refused_with_the_reason(content, words):
    with pytest.raises((ValueError, TypeError), match=words):
        read_text(content)


def test_an_integer_of_thousands_of_digits_is_a_number():
    curve = read_text(json.dumps([{"lr": 0.1, "loss": 2.0}]).replace("2.0", "9" * 5000).encode())
    assert curve.loss.tolist() == [math.inf]


@pytest.mark.parametrize("results", [{"lr": [0.1], "loss": 5}, {"lr": [0.1], "loss": ["x"]}])
def test_results_of_lightning_are_lists_of_numbers(results):
    with pytest.raises(TypeError, match="results\\['loss'\\]"):
        from_lightning(results)
