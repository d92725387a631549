"""Range tests and searches of PyTorch that fail; see faults.py."""

from __future__ import annotations

import io
import multiprocessing
import random
import warnings
from collections.abc import Callable
from typing import Any
from unittest import mock

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset

import clrcore
from clr_adapters.torch import find_bounds, range_test
from faults import Fault
from torch_training import SWEEP, dataset, fingerprint, net, warm

places = [
    "forward", "loss", "backward", "optimizer", "data", "worker", "metric", "progress",
    "out of memory", "NaN", "parameter replaced", "memory replaced", "module added",
]  # fmt: skip
MUCH = 2**50  # bytes


class Data(Dataset):
    """Fails at a row."""

    def __init__(self, fault: Fault) -> None:
        self._fault, self._rows = fault, dataset()

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Any:
        self._fault.raises("worker" if torch.utils.data.get_worker_info() else "data")
        return self._rows[index]


class Stream(io.StringIO):
    """Takes the progress bar, and fails."""

    fault = Fault()

    def write(self, text: str) -> int:
        self.fault.raises("progress")
        return len(text)


def change(fault: Fault, model: nn.Module) -> None:
    """What a forward pass may do to a model."""
    weight = model.features.weight
    if fault.passes("parameter replaced"):
        model.features.weight = nn.Parameter(torch.zeros_like(weight))
    if fault.passes("memory replaced"):
        weight.data = torch.zeros(3, 2)
    if fault.passes("module added"):
        model.extra = nn.Linear(2, 2)
        model.register_buffer("more", torch.zeros(2))
    if fault.passes("out of memory"):
        torch.empty(MUCH, dtype=torch.uint8)


def prepare(fault: Fault, rng: random.Random) -> tuple[Callable[[], Any], Any]:
    """A range test or a search, and the fingerprint of all that it may not change."""
    model = net()
    model, optimizer = warm(model, torch.optim.Adam(model.parameters(), lr=0.01))
    workers = 2 if fault.place == "worker" or (not fault.place and rng.random() < 0.3) else 0
    data = DataLoader(
        Data(fault),
        batch_size=16,
        shuffle=True,
        num_workers=workers,
        generator=torch.Generator().manual_seed(8),
    )
    model.features.register_forward_pre_hook(lambda *_: fault.raises("forward"))
    model.head.register_full_backward_hook(lambda *_: fault.raises("backward"))
    optimizer.register_step_pre_hook(lambda *_: fault.raises("optimizer"))

    def loss_fn(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        fault.raises("loss")
        change(fault, model)
        return cross_entropy(outputs, targets) * (float("nan") if fault.passes("NaN") else 1.0)

    def metric(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        fault.raises("metric")
        return (outputs.argmax(1) == targets).float().mean()

    held = DataLoader(dataset(), batch_size=48, generator=torch.Generator().manual_seed(9))
    is_search = rng.random() < 0.5

    def run() -> None:
        Stream.fault = fault
        options = {"val_loader": held, "validate_every": 3, "metric": metric}
        with mock.patch("sys.stderr", Stream()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                if is_search:
                    options |= {"max_updates": 90, "sweep": SWEEP}
                    find_bounds(model, optimizer, data, loss_fn, **options)
                else:
                    range_test(model, optimizer, data, loss_fn=loss_fn, sweep=SWEEP, **options)
            except clrcore.NoBoundsError:
                pass

    def state() -> dict[str, Any]:
        left = multiprocessing.active_children()
        known = fingerprint(model, optimizer, data, held)
        names = [name for name, _ in model.named_modules()]
        return {**known, "names": names, "workers": left}

    return run, state
