"""The recipe for fastai, with its real Learner: rates of every update, resume, range test."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("fastai")

from fastai.callback.core import Callback, CancelStepException  # noqa: E402
from fastai.callback.training import GradientAccumulation  # noqa: E402
from fastai.data.core import DataLoaders  # noqa: E402
from fastai.data.load import DataLoader  # noqa: E402
from fastai.learner import Learner  # noqa: E402
from fastai.torch_core import set_seed  # noqa: E402
from torch import nn  # noqa: E402

import clrcore  # noqa: E402
import processes  # noqa: E402
from clr_adapters.torch import find_bounds, range_test  # noqa: E402
from recipes import recipe  # noqa: E402

# fastai warns of its own use of PyTorch.
pytestmark = pytest.mark.filterwarnings("ignore")

POLICY = clrcore.triangular(0.01, 0.1, 5)
X = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
Y = (X.sum(1) > 0).long()


class Seen(Callback):
    """Notes the rate just before each update."""

    order = 60

    def __init__(self):
        self.rates = []

    def before_step(self):
        self.rates.append(self.opt.hypers[-1]["lr"])


class Killed(Callback):
    """Kills the process in the middle of the second epoch."""

    def before_batch(self):
        if self.training and (self.epoch, self.iter) == (1, 5):
            processes.kill()


def make(folder, *callbacks):
    """A learner of 16 batches in an epoch."""
    set_seed(0)
    data = torch.utils.data.TensorDataset(X, Y)
    loaders = DataLoaders(*(DataLoader(data, bs=4, shuffle=again) for again in (True, False)))
    model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.1), nn.Linear(8, 3))
    loss = nn.functional.cross_entropy
    return Learner(loaders, model, loss_func=loss, cbs=[*callbacks], path=folder)


@pytest.mark.parametrize(("callbacks", "updates"), [([], 32), ([GradientAccumulation(12)], 10)])
def test_every_update_uses_the_policys_rate(tmp_path, callbacks, updates):
    seen = Seen()
    learn = make(tmp_path, seen, *callbacks)
    with learn.no_bar(), learn.no_logging():
        learn.fit(2, cbs=recipe("PolicyCallback")(POLICY))
    assert seen.rates == POLICY.values(0, updates).tolist()


class Skipping(Callback):
    """Skips the third and fourth update, as a scaler of float16 does."""

    order = 10  # that of MixedPrecision

    def before_step(self):
        if self.iter in (2, 3):
            raise CancelStepException


def test_updates_that_a_scaler_skips_are_not_counted(tmp_path):
    seen = Seen()
    learn = make(tmp_path, seen, Skipping())
    with learn.no_bar(), learn.no_logging():
        learn.fit(1, cbs=recipe("PolicyCallback")(POLICY))
    assert seen.rates == POLICY.values(0, 14).tolist()


def test_a_run_that_was_killed_in_mid_cycle_goes_on_with_the_next_rate(tmp_path):
    program = """
        import sys
        import test_fastai as t
        from fastai.callback.tracker import SaveModelCallback
        saving = SaveModelCallback(every_epoch=True, with_opt=True)
        learn = t.make(sys.argv[1], saving, t.Killed())
        learn.fit(2, cbs=t.recipe("PolicyCallback")(t.POLICY))
    """
    processes.run_killed(program, tmp_path)
    seen = Seen()
    learn = make(tmp_path, seen)
    learn.load("model_0")
    with learn.no_bar(), learn.no_logging():
        learn.fit(2, start_epoch=1, cbs=recipe("PolicyCallback")(POLICY, updates=16))
    assert seen.rates == POLICY.values(16, 32).tolist()


@pytest.mark.parametrize("find", [range_test, find_bounds])
def test_a_range_test_leaves_nothing_behind(tmp_path, find):
    def weights(tested):
        learn = make(tmp_path)
        if tested:
            optimizer = torch.optim.SGD(learn.model.parameters(), lr=0.01)
            sweep = {"sweep": clrcore.exponential_sweep(1e-4, 1.0, 40)}
            options = sweep if find is range_test else {"max_updates": 200}
            loader, loss_fn = learn.dls.train, learn.loss_func
            find(learn.model, optimizer, loader, loss_fn, progress=False, **options)
        with learn.no_bar(), learn.no_logging():
            learn.fit(1, cbs=recipe("PolicyCallback")(POLICY))
        return learn.model.state_dict()

    tested, plain = weights(True), weights(False)
    assert all(torch.equal(value, plain[name]) for name, value in tested.items())
