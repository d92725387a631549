"""Accelerate, with its real Accelerator: rates of every update, resume, processes, range test."""

import pytest

torch = pytest.importorskip("torch")
accelerate = pytest.importorskip("accelerate")

from torch import nn  # noqa: E402

import clrcore  # noqa: E402
import processes  # noqa: E402
from clr_adapters.accelerate import policy_lr  # noqa: E402
from clr_adapters.torch import find_bounds, range_test  # noqa: E402

# Accelerate warns of missing devices and of its own use of PyTorch.
pytestmark = pytest.mark.filterwarnings("ignore")

POLICY = clrcore.triangular(0.01, 0.1, 5)
X = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
Y = (X.sum(1) > 0).long()


def make(accumulation=1, policy=POLICY):
    """An accelerator, the model, the optimizer, the loader and the scheduler."""
    accelerator = accelerate.Accelerator(cpu=True, gradient_accumulation_steps=accumulation)
    torch.manual_seed(0)
    model = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    data = torch.utils.data.TensorDataset(X, Y)
    loader = torch.utils.data.DataLoader(data, batch_size=4, shuffle=True)
    model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
    scheduler = policy_lr(accelerator, optimizer, policy, momentum=(0.8, 0.9))
    return accelerator, model, optimizer, loader, scheduler


def train(accelerator, model, optimizer, loader, scheduler, batches=None):
    """Rate and momentum just before each update of an epoch."""
    seen = []
    for number, (inputs, targets) in enumerate(loader):
        if number == batches:
            break
        with accelerator.accumulate(model):
            accelerator.backward(nn.functional.cross_entropy(model(inputs), targets))
            if accelerator.sync_gradients:
                group = optimizer.param_groups[0]
                seen.append((group["lr"], group["momentum"]))
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
    return seen


def expected(start, stop):
    momenta = POLICY.opposed(0.8, 0.9)
    return [(POLICY(step), momenta(step)) for step in range(start, stop)]


@pytest.mark.parametrize(("accumulation", "updates"), [(1, 16), (3, 6)])
def test_every_update_uses_the_policys_rate_and_momentum(accumulation, updates):
    run = make(accumulation)
    assert train(*run) == expected(0, updates)
    assert train(*run) == expected(updates, 2 * updates)


def test_updates_that_were_skipped_are_not_counted():
    run = make()
    run[2]._is_overflow = True  # what a scaler sets where gradients have overflown
    run[2].step = lambda: None
    seen = train(*run, batches=3)
    assert seen == expected(0, 1) * 3


@pytest.mark.parametrize(
    ("accumulation", "updates", "policy"),
    [(1, 7, POLICY), (3, 4, clrcore.triangular(0.001, 0.002, 5))],
)
def test_a_run_that_was_killed_in_mid_cycle_goes_on_with_its_own_policy(
    tmp_path, policy, accumulation, updates
):
    program = """
        import sys
        import test_accelerate as t
        accumulation, updates = map(int, sys.argv[2:])
        run = t.make(accumulation)
        t.train(*run, batches=accumulation * updates)
        run[0].save_state(sys.argv[1])
        t.train(*run, batches=accumulation)
        t.processes.kill()
    """
    processes.run_killed(program, tmp_path, accumulation, updates)
    run = make(accumulation, policy=policy)
    run[0].load_state(tmp_path)
    rates = [rate for rate, _ in train(*run)]
    assert rates == policy.values(updates, updates + len(rates)).tolist()
    assert len(rates) >= 5


@pytest.mark.parametrize("find", [range_test, find_bounds])
def test_a_range_test_of_prepared_objects_leaves_nothing_behind(find):
    accelerator, model, optimizer, loader, scheduler = make()
    before = [value.clone() for value in model.state_dict().values()]
    sweep = {"sweep": clrcore.exponential_sweep(1e-4, 1.0, 40)}
    options = sweep if find is range_test else {"max_updates": 200}
    find(model, optimizer, loader, nn.functional.cross_entropy, progress=False, **options)
    assert all(map(torch.equal, before, model.state_dict().values()))
    assert train(accelerator, model, optimizer, loader, scheduler) == expected(0, 16)


def test_other_accelerators_are_refused():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    with pytest.raises(TypeError, match=r"accelerator must be an accelerate\.Accelerator"):
        policy_lr("cpu", optimizer, POLICY)


def test_two_processes_use_every_rate(tmp_path):
    program = """
        import sys
        import test_accelerate as t
        run = t.make(accumulation=2)
        assert run[0].num_processes == 2
        assert t.train(*run) == t.expected(0, 4)
        run[0].save_state(sys.argv[1])
        again = t.make(accumulation=2)
        again[0].load_state(sys.argv[1])
        assert t.train(*again, batches=4) == t.expected(4, 6)
        print("right")
    """
    processes.run_two(program, tmp_path / "state")
