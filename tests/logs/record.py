"""Records logs in this folder anew, with the tools that write them: `python tests/logs/record.py`.

It needs torch-lr-finder, pytorch-ignite, skorch, fastai, mlflow and pandas; what lacks its package
is left as it is. The tables of W&B and of MLflow's page are written here, in the documented form.
"""

import json
import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

import clrcore
from clr_adapters.torch import range_test

FOLDER = Path(__file__).parent
DIGITS = load_digits()
X = torch.tensor(DIGITS.data / 16.0, dtype=torch.float32)
Y = torch.tensor(DIGITS.target)
LOSS = nn.CrossEntropyLoss()


def parts(lr=1e-4):
    """A network for the digits, its optimizer, and batches."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    data = torch.utils.data.TensorDataset(X, Y)
    generator = torch.Generator().manual_seed(0)
    loader = torch.utils.data.DataLoader(data, batch_size=32, shuffle=True, generator=generator)
    return model, optimizer, loader


def write(name, data):
    (FOLDER / name).write_text(json.dumps(data))


def torch_lr_finder():
    from torch_lr_finder import LRFinder

    model, optimizer, loader = parts()
    finder = LRFinder(model, optimizer, LOSS, device="cpu")
    finder.range_test(loader, end_lr=10, num_iter=100)
    write("torch_lr_finder_smoothed.json", finder.history)


def ignite():
    from ignite.engine import create_supervised_trainer
    from ignite.handlers import FastaiLRFinder

    model, optimizer, loader = parts()
    trainer, finder = create_supervised_trainer(model, optimizer, LOSS), FastaiLRFinder()
    saved = {"model": model, "optimizer": optimizer}
    with finder.attach(trainer, to_save=saved, end_lr=10.0, num_iter=100) as engine:
        engine.run(loader, max_epochs=10)
    write("ignite.json", finder.get_results())


def fastai():
    from fastai.callback.schedule import Learner
    from fastai.data.core import DataLoaders
    from fastai.data.load import DataLoader
    from fastai.torch_core import set_seed

    set_seed(0)
    data = torch.utils.data.TensorDataset(X, Y)
    loaders = DataLoaders(DataLoader(data, bs=32, shuffle=True), DataLoader(data, bs=32))
    with tempfile.TemporaryDirectory() as folder:
        learn = Learner(loaders, parts()[0], loss_func=LOSS, path=folder)
        with learn.no_bar():
            learn.lr_find(show_plot=False)
    lists = {name: list(map(float, getattr(learn.recorder, name))) for name in ("lrs", "losses")}
    write("fastai.json", lists)


def skorch():
    from skorch import NeuralNetClassifier

    from clr_adapters.skorch import PolicySchedule

    ramp = PolicySchedule(clrcore.exponential_sweep(1e-5, 3.0, 90))
    options = {"criterion": nn.CrossEntropyLoss, "batch_size": 32, "max_epochs": 2, "verbose": 0}
    net = NeuralNetClassifier(lambda: parts()[0], callbacks=[ramp], **options)
    net.fit(X, Y)
    net.history.to_file(str(FOLDER / "skorch_history.json"))


def tables():
    """Tables of a curve: MLflow, W&B, pandas, NumPy."""
    import mlflow
    import pandas

    model, optimizer, loader = parts()
    sweep = clrcore.exponential_sweep(1e-5, 10, 120)
    curve = range_test(model, optimizer, loader, LOSS, sweep=sweep, progress=False)
    rows = [*enumerate(zip(curve.lr.tolist(), curve.loss.tolist(), strict=True))]
    with tempfile.TemporaryDirectory() as folder:
        client = mlflow.MlflowClient(f"sqlite:///{folder}/runs.db")
        run = client.create_run(client.create_experiment("range test")).info.run_id
        for step, (lr, loss) in rows[::2]:
            client.log_metric(run, "train/lr", lr, step=step)
            client.log_metric(run, "train/loss", loss, step=step)
        names = ("train/loss", "train/lr")
        metrics = [dict(point) for name in names for point in client.get_metric_history(run, name)]
        pandas.DataFrame(metrics).to_csv(FOLDER / "mlflow_history.csv", index=False)
    lines = ["runId,metric,step,timestamp,value"]
    for i, name in enumerate(("train/lr", "train/loss")):
        lines += [f"7b1e,{name},{step},1700000000{step:03d},{row[i]}" for step, row in rows]
    (FOLDER / "mlflow_page.csv").write_text("\n".join(lines) + "\n")
    columns = [
        f"run-7 - {name}{end}"
        for name in ("train/lr", "train/loss")
        for end in ("", "__MIN", "__MAX")
    ]
    lines = [[step, lr, lr, lr, loss, loss, loss] for step, (lr, loss) in rows]
    quoted = [",".join(f'"{cell}"' for cell in line) for line in [["Step", *columns], *lines]]
    (FOLDER / "wandb_chart.csv").write_text("\n".join(quoted) + "\n")
    frame = pandas.DataFrame(
        {"step": range(len(rows)), "lr-SGD": curve.lr, "train/loss": curve.loss}
    )
    frame.to_json(FOLDER / "pandas_table.json", orient="table")
    frame.to_json(FOLDER / "pandas_lines.jsonl", orient="records", lines=True)
    frame.to_string(FOLDER / "pandas_string.txt")
    np.savetxt(FOLDER / "no_header.txt", np.stack([curve.lr, curve.loss], axis=1))


for record in (torch_lr_finder, ignite, fastai, skorch, tables):
    with suppress(ImportError):
        record()
