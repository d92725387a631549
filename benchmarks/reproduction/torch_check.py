"""The same arms through PyTorch: a real optimizer under `PolicyLR`, the same nets and batches."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import clrcore
from clr_adapters.cli.demo.data import Rows, Splits
from clr_adapters.cli.demo.network import SIZES
from clr_adapters.cli.demo.training import batches
from clr_adapters.torch import PolicyLR

from .arms import CASES, above_name
from .networks import Setup
from .results import digest

SEEDS = 2
"""How many of the seeds are trained here as well."""

Floats = NDArray[np.float64]
ACTIVATIONS = {"relu": torch.nn.ReLU, "sigmoid": torch.nn.Sigmoid}


def compare(result: dict[str, Any], splits: Splits) -> dict[str, Any]:
    """Train the arms of a result again; compare rates, bit for bit, and accuracies.

    The constants above the grid are left out: where training collapses, rounding decides.
    splits: of the first SEEDS seeds of the result. Raises ValueError where a result's policy
    does not give the rates that were recorded with it.
    """
    torch.set_num_threads(1)  # the matrices are too small for more
    seeds = result["settings"]["seeds"][:SEEDS]
    cases = {}
    for case in CASES:
        plain = result["cases"][case.key]
        above = {above_name(lr) for lr in case.above}
        todo = {name: arm for name, arm in plain["arms"].items() if name not in above}
        arms = []
        for name, arm in todo.items():
            policy, steps = clrcore.policy_from_dict(arm["policy"]), arm["total_steps"]
            runs = [train(case.setup, policy, steps, splits, seeds, i) for i in range(len(seeds))]
            numpys = np.array(plain["runs"][name]["test"])[: len(seeds), -1]
            recorded = walked(policy, steps)
            if digest(recorded) != arm["rates_sha256"]:
                raise ValueError(
                    f"{case.title}, {name}: {policy!r} does not give the rates that were recorded "
                    "with it; train again on this machine"
                )
            off = max(float(np.max(np.abs(rates - recorded) / recorded)) for rates, _ in runs)
            arms.append(
                {
                    "name": name,
                    "rates_off": off,
                    "numpy": 100 * float(numpys.mean()),
                    "torch": 100 * float(np.mean([accuracy for _, accuracy in runs])),
                }
            )
            print(_line(case.title, arms[-1]), flush=True)
        cases[case.key] = _case(arms, sum(arm["total_steps"] for arm in todo.values()))
    return {"version": torch.__version__, "seeds": len(seeds), "cases": cases}


def train(
    setup: Setup,
    policy: clrcore.Policy,
    total_steps: int,
    splits: Splits,
    seeds: Sequence[int],
    member: int,
) -> tuple[Floats, float]:
    """One seed under a policy: the rate of every update, and the final test accuracy, 0 to 1."""
    model = network(setup, seeds[member])
    optimizer = optimizer_of(setup, model)
    scheduler = PolicyLR(optimizer, policy)
    rates = np.empty(total_steps)
    loss = torch.nn.CrossEntropyLoss()
    for step, (images, labels) in enumerate(
        itertools.islice(tensors(splits.train, seeds[member], member), total_steps)
    ):
        optimizer.zero_grad()
        loss(model(images), labels).backward()
        rates[step] = optimizer.param_groups[0]["lr"]
        optimizer.step()
        scheduler.step()
    with torch.no_grad():
        answers = model(torch.from_numpy(splits.test.images[member])).argmax(dim=1).numpy()
    return rates, float(np.mean(answers == splits.test.labels[member]))


def walked(policy: clrcore.Policy, total_steps: int) -> Floats:
    """The rates of every update as the trainings in NumPy take them."""
    scheduler = clrcore.Scheduler(policy)
    rates = np.empty(total_steps)
    for step in range(total_steps):
        rates[step] = scheduler.lr
        scheduler.step()
    return rates


def network(setup: Setup, seed: int) -> torch.nn.Sequential:
    """The demo's network for a seed, weights and all."""
    ours = setup.network(1)
    ours.initialise([seed])
    layers: list[torch.nn.Module] = []
    start = 0
    for inputs, outputs in itertools.pairwise(SIZES):
        linear = torch.nn.Linear(inputs, outputs)
        end = start + inputs * outputs
        weights = ours.parameters[0, start:end].reshape(inputs, outputs)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(weights.T.copy()))
            linear.bias.zero_()
        layers += [linear, ACTIVATIONS[setup.activation]()]
        start = end + outputs
    return torch.nn.Sequential(*layers[:-1])


def optimizer_of(setup: Setup, model: torch.nn.Module) -> torch.optim.Optimizer:
    """PyTorch's own, with the demo's momentum and weight decay."""
    if setup.optimizer == "adam":
        return torch.optim.Adam(model.parameters(), weight_decay=5e-4)
    return torch.optim.SGD(model.parameters(), momentum=0.9, weight_decay=5e-4)


def tensors(rows: Rows, seed: int, member: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """The demo's batches of one seed."""
    alone = Rows(rows.images[member : member + 1], rows.labels[member : member + 1])
    for images, labels in batches(alone, [seed]):
        yield torch.from_numpy(images[0]), torch.from_numpy(labels[0])


def _case(arms: list[dict[str, Any]], updates: int) -> dict[str, Any]:
    farthest = max(arms, key=lambda arm: abs(arm["torch"] - arm["numpy"]))
    return {
        "arms": arms,
        "updates": updates,
        "numpy": float(np.mean([arm["numpy"] for arm in arms])),
        "torch": float(np.mean([arm["torch"] for arm in arms])),
        "farthest": {
            "name": farthest["name"],
            "difference": farthest["torch"] - farthest["numpy"],
        },
    }


def _line(title: str, arm: dict[str, Any]) -> str:
    off = f"rates differ by up to {arm['rates_off']:.1e}" if arm["rates_off"] else "rates equal"
    return (
        f"{title}, {arm['name']}: {off}; NumPy {arm['numpy']:.2f} %, PyTorch {arm['torch']:.2f} %"
    )
