"""Curves from logs that other tools wrote; `tests/logs` holds real recordings."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import clrcore
from cases import each
from clr_adapters.logs import (
    from_fastai,
    from_lightning,
    from_torch_lr_finder,
    read_log,
    read_text,
)

LOGS = Path(__file__).parents[1] / "logs"
LR = [1e-4 * 1.5**k for k in range(12)]
LOSS = [2.3 - 0.1 * k for k in range(12)]
STEPS = [5 * k + 5 for k in range(12)]
ROWS = list(zip(LR, LOSS, STEPS, strict=True))


def table(header, *columns, delimiter=","):
    rows = zip(*columns, strict=True)
    lines = [delimiter.join(header), *(delimiter.join(map(str, row)) for row in rows)]
    return "\n".join(lines) + "\n"


def long_table(names):
    """A line per metric and step, as MLflow exports them."""
    lines = ["run,metric,step,timestamp,value"]
    for name, column in zip(names, (LR, LOSS), strict=True):
        lines += [f"a1,{name},{step},17,{value}" for step, value in zip(STEPS, column, strict=True)]
    return "\n".join(lines)


# Forms of the same log: name -> content of a file.
FORMS = {
    "W&B": table(
        ["Step", "run-7 - train/lr", "run-7 - train/lr__MIN", "run-7 - train/loss"],
        *(STEPS, LR, LR, LOSS),
    ),
    "spaces": table(["step", "lr", "loss"], STEPS, LR, LOSS, delimiter="  "),
    "tabs, names of Lightning": table(
        ["step", "lr-SGD", "train/loss", "val/loss"], STEPS, LR, LOSS, LOSS, delimiter="\t"
    ),
    "JSON, lists": json.dumps({"lr": LR, "loss": LOSS, "step": STEPS}),
    "JSON, records": json.dumps(
        [dict(zip(("lr", "loss", "step"), row, strict=True)) for row in ROWS]
    ),
    "JSON lines": "\n".join(
        json.dumps({"learning_rate": a, "loss": b, "step": c}) for a, b, c in ROWS
    ),
    "printed dictionaries": "\n".join(
        str({"loss": b, "learning_rate": a, "step": c}) for a, b, c in ROWS
    ),
    "names of rows without a header": "lr loss step\n"
    + "".join(f"{i} {a} {b} {c}\n" for i, (a, b, c) in enumerate(ROWS)),
    "momentum beside the rate": table(
        ["step", "lr-SGD", "lr-SGD-momentum", "loss"], STEPS, LR, LOSS, LOSS
    ),
    "pandas, columns": json.dumps(
        {
            name: {str(i): value for i, value in enumerate(column)}
            for name, column in {"lr": LR, "loss": LOSS, "step": STEPS}.items()
        }
    ),
    "pandas, index": json.dumps(
        {str(i): {"lr": a, "loss": b, "step": c} for i, (a, b, c) in enumerate(ROWS)}
    ),
    "pandas, split": json.dumps({"columns": ["lr", "loss", "step"], "index": [], "data": ROWS}),
    "Hugging Face": json.dumps(
        {
            "log_history": [
                *({"learning_rate": a, "loss": b, "step": c} for a, b, c in ROWS),
                {"eval_loss": 1.0, "step": 60},
                {"train_loss": 1.7, "train_runtime": 3.0, "step": 60},
            ]
        }
    ),
    "MLflow": long_table(["lr", "loss"]),
    "rates and losses on different lines": "step,lr,loss\n"
    + "".join(f"{c},{a},\n{c},,{b}\n" for a, b, c in ROWS),
    "dictionaries in records": "\n".join(
        json.dumps({"step": c, "optim": {"lr": a}, "metrics": {"train": {"loss": b}}, "val": {}})
        for a, b, c in ROWS
    ),
    "held-out losses in a dictionary": json.dumps(
        [{"step": c, "train": {"lr": a, "loss": b}, "val": {"loss": 9.0}} for a, b, c in ROWS]
    ),
    "a history in a dictionary": json.dumps(
        {"history": {"lr": LR, "loss": LOSS, "step": STEPS}, "best_loss": 1.2}
    ),
    "records under a name": json.dumps(
        {"run": "a", "metrics": [{"lr": a, "loss": b, "step": c} for a, b, c in ROWS]}
    ),
    "metrics of MLflow's server": json.dumps(
        {
            "metrics": [
                {"key": name, "value": value, "timestamp": 17, "step": step}
                for name, column in (("lr", LR), ("loss", LOSS))
                for value, step in zip(column, STEPS, strict=True)
            ]
        }
    ),
    "metrics of Comet": json.dumps(
        [
            {"metricName": name, "metricValue": str(value), "step": step, "epoch": None}
            for name, column in (("lr", LR), ("loss", LOSS))
            for value, step in zip(column, STEPS, strict=True)
        ]
    ),
    "printed dictionaries among other text": "***** Running training *****\n"
    + "".join(
        f"  5%| | 1/9{{'loss': {b}, 'learning_rate': {a}, 'step': {c}}}\n" for a, b, c in ROWS
    )
    + "{'train_runtime': 3.0, 'train_loss': 1.7}\n",
    "a header in a comment": "# made by savetxt\n# loss lr step\n"
    + "".join(f"{b} {a} {c}\n" for a, b, c in ROWS),
    "a header in a comment, commas": "# Loss,Learning Rate,step\n"
    + "".join(f"{b},{a},{c}\n" for a, b, c in ROWS),
    "units, quotes and a mark of byte order": "\ufeff"
    + table(['"Iteration"', '"Learning Rate [1/step]"', '"Train Loss (nats)"'], *(STEPS, LR, LOSS)),
    "a note for Excel": "sep=;\n" + table(["step", "lr", "loss"], STEPS, LR, LOSS, delimiter=";"),
    "tags of TensorBoard's tutorial": table(
        ["step", "Learning Rate/train", "Loss/train", "Loss/val"], STEPS, LR, LOSS, STEPS
    ),
    "names with points": table(
        ["step", "optim.lr", "train.loss", "val.loss"], STEPS, LR, LOSS, STEPS
    ),
    "camel case": table(["step", "learningRate", "trainLoss", "valLoss"], STEPS, LR, LOSS, STEPS),
    "the split behind": table(["step", "lr", "loss_val", "loss_train"], STEPS, LR, STEPS, LOSS),
    "rows below names": json.dumps([["step", "lr", "loss"], *zip(STEPS, LR, LOSS, strict=True)]),
    "decimal commas beside dates": "time;lr;loss;step\n"
    + "".join(
        f"28.11.2026;{a:.17e};{b};{c}\n".replace(".", ",").replace("28,11,", "28.11.")
        for a, b, c in ROWS
    ),
    "decimal commas": table(["Step", "lr", "loss"], STEPS, LR, LOSS, delimiter=";").replace(
        ".", ","
    ),
    "lists of equal rates": "\n".join(
        json.dumps({"step": c, "lr": [a, a], "loss": [b]}) for a, b, c in ROWS
    ),
    "printed lists of equal rates": "step;lr;loss\n"
    + "".join(f"{c};[{a}, {a}];{b}\n" for a, b, c in ROWS),
}


@each("form", FORMS)
def test_every_form_of_a_log_gives_the_same_curve(form, tmp_path):
    path = tmp_path / "log"
    path.write_text(FORMS[form])
    curve = read_log(path)
    assert curve == clrcore.Curve(LR, LOSS, updates=STEPS)


def test_a_header_in_a_comment_names_two_columns_too():
    curve = read_text(b"# loss lr\n2.4 0.1\n2.3 0.2\n")
    assert (curve.lr.tolist(), curve.loss.tolist()) == ([0.1, 0.2], [2.4, 2.3])
    curve = read_text(b"# two words above\n0.1 2.4\n0.2 2.3\n")
    assert (curve.lr.tolist(), curve.loss.tolist()) == ([0.1, 0.2], [2.4, 2.3])


def test_the_folder_of_a_run_of_mlflow_is_read(tmp_path):
    metrics = tmp_path / "metrics"
    (metrics / "train").mkdir(parents=True)
    for name, column in (("lr", LR), ("train/loss", LOSS)):
        lines = [
            f"1700000000000 {value} {step}\n" for value, step in zip(column, STEPS, strict=True)
        ]
        (metrics / name).write_text("".join(lines))
    (metrics / "notes.txt").write_text("of the run")
    for folder in (metrics, tmp_path):
        assert read_log(folder) == clrcore.Curve(LR, LOSS, updates=STEPS)
    with pytest.raises(ValueError, match="one metric: pass its folder"):
        read_log(metrics / "lr")


@each(
    ("content", "message"),
    [
        (b"step;lr;loss\n1;1,0E-05;2.3\n", "'1,0E-05'; write decimals with a point"),
        (b'step,lr,loss\n1,"1,0E-05","2,3"\n', "'1,0E-05'; write decimals with a point"),
        (b"lr,loss\n[0.1, 0.01],2.3\n", "2 cells|3 cells"),
        (b'lr,loss\n"[0.1, 0.01]",2.3\n', "keep the rate of a single parameter group"),
        (b'[{"lr": [[0.1]], "loss": 2.3}]', "keep the rate of a single parameter group"),
        (b"lr,acc\n0.1,12%\n", "got '12%'; write it without the sign"),
        (b"lr,loss\n0.1,2.3\nlr,loss\n", "line 3: .* a second header: give each run a file"),
        (b"epoch,train_loss\n1,2.3\n", "name it with lr=..., or add it where the log has none"),
        (b"lr,lr,loss\n1,1,2\n", "'lr', 'lr'; give each a name of its own"),
        (b"INFO lr=0.1 loss=2.3\n", "this is no table: write the numbers below a line with"),
        (b"step,lr/group_0,lr/group_1,loss\n1,0.1,0.2,2.3\n", "more than one column for lr"),
    ],
)
def test_what_cannot_be_read_is_refused_with_what_to_do(content, message):
    with pytest.raises(ValueError, match=message):
        read_text(content)


def test_a_table_of_two_columns_needs_no_header():
    curve = read_text(table(["1e-05", "2.4"], LR, LOSS).encode())
    assert curve.lr[:2].tolist() == [1e-5, 1e-4]
    assert curve.loss[:2].tolist() == [2.4, 2.3]


@each(
    ("file", "points", "first", "updates"),
    [
        ("lightning_metrics.csv", 58, (1.07977516232771e-05, 2.295130729675293), [1, 3]),
        ("torch_lr_finder.json", 92, None, [0, 1]),
        ("trainer_state.json", 20, (0.04, 2.2271965026855467), [5, 10]),
        ("keras_csvlogger.csv", 40, None, [0, 1]),
        ("torch_lr_finder_smoothed.json", 100, (1e-4, 2.360011339187622), [0, 1]),
        ("ignite.json", 86, (0.00011220184543019634, 2.360011339187622), [0, 1]),
        ("fastai.json", 100, (1e-7, 2.3303072452545166), [0, 1]),
        ("skorch_history.json", 90, (1e-5, 2.3162736892700195), [1, 2]),
        ("mlflow_history.csv", 54, (1e-5, 2.360011339187622), [0, 2]),
        ("mlflow_page.csv", 107, (1e-5, 2.360011339187622), [0, 1]),
        ("wandb_chart.csv", 107, (1e-5, 2.360011339187622), [0, 1]),
        ("pandas_table.json", 107, (1e-5, 2.3600113392), [0, 1]),
        ("pandas_lines.jsonl", 107, (1e-5, 2.3600113392), [0, 1]),
        ("pandas_string.txt", 107, (1e-5, 2.360011), [0, 1]),
        ("no_header.txt", 107, (1e-5, 2.360011339187622), [0, 1]),
    ],
)
def test_recordings_are_read(file, points, first, updates):
    curve = read_log(LOGS / file)
    assert len(curve) == points
    assert curve.updates[:2].tolist() == updates
    if first is not None:
        assert (curve.lr[0], curve.loss[0]) == first


@pytest.mark.parametrize("path", ["tensorboard", "tensorboard/events.out.tfevents.0"])
def test_tensorboard_events_are_what_the_csv_logger_wrote(path):
    pytest.importorskip("tensorboard")
    events, lines = read_log(LOGS / path), read_log(LOGS / "lightning_metrics.csv")
    np.testing.assert_array_equal(events.updates, lines.updates)
    np.testing.assert_allclose(events.lr, lines.lr, rtol=1e-6)
    np.testing.assert_allclose(events.loss, lines.loss, rtol=1e-6)


class TestLightning:
    results = json.loads((LOGS / "lightning_lr_find.json").read_text())

    def test_the_average_of_a_recording_is_undone(self):
        curve = from_lightning(self.results)
        assert abs(curve.loss[0] - np.log(10)) < 0.1  # ten classes, untrained
        average, again = 0.0, []
        for k, loss in enumerate(curve.loss):
            average = 0.98 * average + 0.02 * loss
            again.append(average / (1 - 0.98 ** (k + 2)))
        np.testing.assert_allclose(again, self.results["loss"], rtol=1e-9)

    def test_the_average_itself_is_refused_by_name(self):
        with pytest.raises(clrcore.NoBoundsError, match="from_lightning") as caught:
            clrcore.suggest_bounds(read_log(LOGS / "lightning_lr_find.json"))
        assert caught.value.kind == "running_average"

    def test_rounded_values_are_refused(self):
        rounded = [round(value, 4) for value in self.results["loss"]]
        with pytest.raises(ValueError, match=r"at least 9 digits.*multiplies rounding by 50"):
            from_lightning({"lr": self.results["lr"], "loss": rounded})

    @pytest.mark.parametrize("results", [[1.0], {"lr": [1.0]}, None])
    def test_other_objects_are_refused(self, results):
        with pytest.raises(TypeError, match="results must be the record of the finder"):
            from_lightning(results)

    def test_lists_of_different_lengths_are_refused(self):
        with pytest.raises(ValueError, match="lists of equal length"):
            from_lightning({"lr": [0.1, 0.2], "loss": [2.0]})


def again(losses, past, start):
    """The running averages of losses."""
    averages = [start]
    for loss in losses:
        averages.append(past * averages[-1] + (1.0 - past) * loss)
    return averages[1:]


@pytest.mark.parametrize("file", ["torch_lr_finder_smoothed.json", "ignite.json"])
def test_the_smoothing_of_a_recording_is_undone(file):
    history = json.loads((LOGS / file).read_text())
    curve = from_torch_lr_finder(history)
    np.testing.assert_allclose(again(curve.loss, 0.95, curve.loss[0]), history["loss"], rtol=1e-9)
    assert np.std(np.diff(curve.loss[:30])) > 3 * np.std(np.diff(history["loss"][:30]))


def test_the_average_of_fastai_is_undone():
    record = json.loads((LOGS / "fastai.json").read_text())
    curve = from_fastai(record)
    averages = [a / (1 - 0.98 ** (k + 1)) for k, a in enumerate(again(curve.loss, 0.98, 0.0))]
    np.testing.assert_allclose(averages, record["losses"], rtol=1e-9)
    assert from_fastai(SimpleNamespace(**record)) == curve


@pytest.mark.parametrize("smooth_f", [0, -0.1, 1.1])
def test_another_smoothing_is_refused(smooth_f):
    with pytest.raises(ValueError, match="smooth_f must be"):
        from_torch_lr_finder({"lr": [0.1], "loss": [2.0]}, smooth_f)


class History:
    """What Keras's fit returns, as far as it matters here."""

    history = {"loss": LOSS, "lr": LR}


@pytest.mark.parametrize("source", [History(), History.history, [{"lr": 0.1, "loss": 1.0}] * 3])
def test_objects_are_read(source):
    assert len(read_log(source)) in (3, 12)


@each(
    ("content", "words"),
    [
        ("lr-SGD,lr-Adam,loss\n1,2,3\n", "more than one column for lr: 'lr-SGD', 'lr-Adam'; name"),
        ("1,2,3\n4,5,6\n", "no header"),
        ("lr-SGD/pg1,lr-SGD/pg2,loss\n1,2,3\n", "more than one column for lr: 'lr-SGD/pg1'"),
        ('{"lr": [[0.1, 0.2]], "loss": [1.0]}', "keep the rate of a single parameter group"),
        ('{"a": 3}', "no lists among the keys 'a'"),
        ('{"lr": [1, 2], "loss": [1]}', "equally long, got 2 in 'lr', 1 in 'loss'"),
        ("step,lr,loss\n1,0.1,\n2,,2.3\n", "no step has a rate .lr. and a metric"),
        ("{nonsense", "line 1 column 2"),
        ("[[1, 0.1, 2.3], [2, 0.2, 2.2]]", "the rows have no names"),
        ('{"lr": 1}\nnonsense', "no valid JSON: line 2: Expecting value"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason(content, words):
    with pytest.raises(ValueError, match=words):
        read_text(content.encode())


def test_a_column_is_chosen_by_its_name():
    content = b"lr-SGD,lr-Adam,loss\n0.1,0.2,3\n0.2,0.4,2\n"
    assert read_text(content, lr="lr-Adam").lr.tolist() == [0.2, 0.4]


@pytest.mark.parametrize("source", [3, None, {1, 2}])
def test_other_sources_are_refused(source):
    with pytest.raises(TypeError, match="source must be a path"):
        read_log(source)


def test_a_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_log(tmp_path / "none.csv")
