"""The recipe for timm, with its real base class: rates of every update, resume, accumulation."""

import contextlib

import pytest

torch = pytest.importorskip("torch")

# timm imports torchvision, whose package on PyPI brings operators for GPUs only.
for name in ("nms", "qnms"):
    with contextlib.suppress(RuntimeError):  # there already
        torch.library.define(f"torchvision::{name}", "(Tensor a, Tensor b, float c) -> Tensor")
pytest.importorskip("timm")

from timm.optim import create_optimizer_v2  # noqa: E402
from torch import nn  # noqa: E402

import clrcore  # noqa: E402
import processes  # noqa: E402
from clr_adapters.torch import PolicyLR, find_bounds, range_test  # noqa: E402
from recipes import recipe  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")

POLICY = clrcore.triangular(0.01, 0.1, 5)
X = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
Y = (X.sum(1) > 0).long()


class Run:
    """A training as in timm's script; `seen` has the rates of the groups before each update."""

    def __init__(self):
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
        groups = [
            {"params": self.model[0].parameters(), "lr_scale": 0.5},
            {"params": self.model[2].parameters(), "lr_scale": 1.0},
        ]
        self.optimizer = create_optimizer_v2(groups, opt="sgd", lr=0.5, momentum=0.9)
        self.scheduler = recipe("PolicyScheduler")(self.optimizer, POLICY)
        self.updates, self.seen = 0, []

    def train(self, updates, accumulation=1):
        for _ in range(updates):
            for _ in range(accumulation):
                nn.functional.cross_entropy(self.model(X), Y).backward()
            self.seen.append([group["lr"] for group in self.optimizer.param_groups])
            self.optimizer.step()
            self.optimizer.zero_grad()
            self.updates += 1
            self.scheduler.step_update(self.updates)

    def save(self, path):
        state = {name: getattr(self, name).state_dict() for name in ("model", "optimizer")}
        torch.save(state | {"updates": self.updates}, path)

    def load(self, path):
        state = torch.load(path, weights_only=True)
        for name in ("model", "optimizer"):
            getattr(self, name).load_state_dict(state[name])
        self.updates = state["updates"]
        self.scheduler.step_update(self.updates)


def expected(start, stop):
    return [[POLICY(step) * 0.5, POLICY(step)] for step in range(start, stop)]


@pytest.mark.parametrize("accumulation", [1, 3])
def test_every_update_uses_the_policys_rate_times_the_layers_scale(accumulation):
    run = Run()
    run.train(25, accumulation)
    assert run.seen == expected(0, 25)


def test_a_run_that_was_killed_in_mid_cycle_goes_on_with_the_next_rate(tmp_path):
    program = """
        import sys
        import test_timm as t
        run = t.Run()
        run.train(7)
        run.save(sys.argv[1])
        run.train(2)
        t.processes.kill()
    """
    processes.run_killed(program, tmp_path / "saved.pt")
    run = Run()
    run.load(tmp_path / "saved.pt")
    run.train(5)
    assert run.seen == expected(7, 12)


def test_a_scheduler_of_pytorch_multiplies_by_the_layers_scale_too():
    run = Run()
    scheduler = PolicyLR(run.optimizer, POLICY, proportional=True)
    for step in range(12):
        rates = [group["lr"] for group in run.optimizer.param_groups]
        assert rates == [POLICY(step) * 0.5, POLICY(step)]
        run.optimizer.step()
        scheduler.step()


@pytest.mark.parametrize("find", [range_test, find_bounds])
def test_a_range_test_leaves_nothing_behind(find):
    def trained(tested):
        run = Run()
        if tested:
            data = [(X[i : i + 8], Y[i : i + 8]) for i in range(0, 64, 8)]
            sweep = {"sweep": clrcore.exponential_sweep(1e-4, 1.0, 40)}
            options = sweep if find is range_test else {"max_updates": 200}
            loss_fn = nn.functional.cross_entropy
            find(run.model, run.optimizer, data, loss_fn, progress=False, **options)
        run.train(12)
        return run

    tested, plain = trained(True), trained(False)
    assert tested.seen == plain.seen == expected(0, 12)
    weights = plain.model.state_dict()
    assert all(
        torch.equal(value, weights[name]) for name, value in tested.model.state_dict().items()
    )
