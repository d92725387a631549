"""What docs/migrating.md says of torch-lr-finder, where that is installed."""

from __future__ import annotations

import warnings

import pytest

import clrcore

torch = pytest.importorskip("torch")
matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of its progress bar
    torch_lr_finder = pytest.importorskip("torch_lr_finder")

from clr_adapters.torch import range_test  # noqa: E402

SWEEP = clrcore.exponential_sweep(1e-4, 10, 100)
LOSS = torch.nn.CrossEntropyLoss()


def loader():
    inputs = torch.randn(512, 20, generator=torch.Generator().manual_seed(0))
    data = torch.utils.data.TensorDataset(inputs, inputs[:, :3].argmax(1))
    return torch.utils.data.DataLoader(data, batch_size=32)


def model_and_optimizer():
    torch.manual_seed(1)
    layers = torch.nn.Linear(20, 32), torch.nn.ReLU(), torch.nn.Linear(32, 3)
    model = torch.nn.Sequential(*layers)
    return model, torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9)


def theirs(**arguments):
    finder = torch_lr_finder.LRFinder(*model_and_optimizer(), LOSS)
    finder.range_test(loader(), end_lr=10, num_iter=100, diverge_th=1e9, **arguments)
    return finder


@pytest.fixture(scope="module")
def curve():
    return range_test(
        *model_and_optimizer(), loader(), loss_fn=LOSS, sweep=SWEEP, progress=False, stop=False
    )


def test_rates_and_raw_losses_are_the_same(curve):
    history = theirs(smooth_f=0).history
    assert curve.lr.tolist() == pytest.approx(history["lr"], rel=1e-14)
    assert curve.loss.tolist() == history["loss"]


def test_the_rule_of_its_name_suggests_what_it_suggests(curve):
    _, lr = theirs().plot()
    assert clrcore.suggest_bounds(curve, rule="torch_lr_finder").lr == pytest.approx(lr, rel=1e-12)
