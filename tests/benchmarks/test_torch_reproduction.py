"""The arms of the reproduction through PyTorch: rates step by step, and the same networks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import clrcore

np = pytest.importorskip("numpy")
torch = pytest.importorskip("torch")

from reproduction import torch_check  # noqa: E402
from reproduction.arms import CASES, DECAYING  # noqa: E402
from reproduction.networks import Adam, Setup  # noqa: E402
from reproduction.results import digest  # noqa: E402

from clr_adapters.cli.demo import training  # noqa: E402
from clr_adapters.cli.demo.network import Network  # noqa: E402
from clr_adapters.torch import PolicyLR  # noqa: E402
from demo_data import made_up_splits  # noqa: E402

EVIDENCE = Path(__file__).parents[2] / "docs" / "evidence.json"
RESULT = json.loads(EVIDENCE.read_text())["result"]
ARMS = [(case, name) for case in CASES for name in RESULT["cases"][case.key]["arms"]]


def scheduled(setup: Setup, policy: clrcore.Policy, total_steps: int):
    """The rates at which a real optimizer makes its updates under PolicyLR."""
    weights = torch.nn.Linear(1, 1)
    optimizer = torch_check.optimizer_of(setup, weights)
    scheduler = PolicyLR(optimizer, policy)
    rates = np.empty(total_steps)
    for step in range(total_steps):
        rates[step] = optimizer.param_groups[0]["lr"]
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize(("case", "name"), ARMS, ids=[f"{c.key}, {n}" for c, n in ARMS])
def test_every_update_of_every_arm_has_the_recorded_rate(case, name):
    arm = RESULT["cases"][case.key]["arms"][name]
    policy, total_steps = clrcore.policy_from_dict(arm["policy"]), arm["total_steps"]
    rates = scheduled(case.setup, policy, total_steps)
    walked = torch_check.walked(policy, total_steps)  # as the trainings in NumPy do it
    if name not in DECAYING:
        assert np.array_equal(rates, walked)
        assert digest(rates) == arm["rates_sha256"]
    else:
        # Powers of gamma: NumPy computes many at once otherwise than one, by an ulp of each of two
        # factors, and otherwise on another processor. Seen: up to 5.4e-16.
        assert rates == pytest.approx(walked, rel=1e-15, abs=0)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.key)
def test_trainings_side_by_side_use_the_same_rates(case):
    plain = RESULT["cases"][case.key]["arms"]["staged triangular2"]
    policy = clrcore.policy_from_dict(plain["policy"])
    splits = made_up_splits(2)
    history = training.train(
        policy,
        60,
        splits,
        [5, 6],
        evaluate_every=60,
        tick=lambda steps: None,
        start=case.setup.start,
    )
    for member in range(2):
        rates, _ = torch_check.train(case.setup, policy, 60, splits, [5, 6], member)
        assert np.array_equal(rates, history.rates)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.key)
def test_the_networks_are_the_same_at_first(case):
    """One update from the same weights with the same batch.

    The first update of SGD is the same in Caffe's form as in PyTorch's.
    """
    part = made_up_splits(1).train
    network, optimizer = case.setup.start([5])
    network.differentiate(*next(training.batches(part, [5])))
    optimizer.update(0.1)
    model = torch_check.network(case.setup, 5)
    theirs = torch_check.optimizer_of(case.setup, model)
    theirs.param_groups[0]["lr"] = 0.1
    images, labels = next(torch_check.tensors(part, 5, 0))
    torch.nn.CrossEntropyLoss()(model(images), labels).backward()
    theirs.step()
    flat = [
        tensor.detach().numpy().T.reshape(-1)
        for layer in model
        if isinstance(layer, torch.nn.Linear)
        for tensor in (layer.weight, layer.bias)
    ]
    # float32: gradients differ by the order of sums. Adam divides each by its own size, which
    # for gradients near 0 makes much of that.
    allowed = 1e-6 if case.setup.optimizer == "sgd" else 1e-3
    assert np.concatenate(flat) == pytest.approx(network.parameters[0], abs=allowed)


def test_adam_is_pytorchs_adam():
    """Many updates with gradients that are given: float64, and nothing but rounding between."""
    rng = np.random.default_rng(1)
    network = Network(1, (3, 2), np.float64)
    network.parameters[...] = rng.standard_normal(network.parameters.shape)
    theirs = torch.tensor(network.parameters[0], requires_grad=True)
    ours, optimizer = Adam(network), torch.optim.Adam([theirs], weight_decay=5e-4)
    for lr in clrcore.triangular(0.001, 0.1, 20).values(0, 200).tolist():
        gradient = rng.standard_normal(network.parameters.shape)
        network.gradient[...] = gradient
        theirs.grad = torch.tensor(gradient[0])
        optimizer.param_groups[0]["lr"] = lr
        ours.update(lr)
        optimizer.step()
    assert theirs.detach().numpy() == pytest.approx(network.parameters[0], rel=1e-9)
