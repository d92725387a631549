"""A PyTorch training that is killed and resumed: docs/start-pytorch.md in small."""

import hashlib
import os
from pathlib import Path
from typing import Any

import torch
import torch._dynamo  # which every life would import in its first update

import clrcore
from clr_adapters.torch import PolicyLR
from crashes import note

TOTAL, EVERY = 120, 2
DATA = torch.randn(TOTAL, 16, 64, generator=torch.Generator().manual_seed(0))


def save(states: dict[str, Any], path: Path) -> None:
    """Replace the checkpoint: afterwards it is the old one or the new one, and whole."""
    draft = path.with_name(path.name + ".part")
    torch.save(states, draft)
    os.replace(draft, path)


def train(folder: Path) -> None:
    """Train up to the last update, from the checkpoint if there is one."""
    torch.manual_seed(0)
    path, policy = folder / "checkpoint.pt", clrcore.triangular(1e-3, 0.1, 7)
    model = torch.nn.Sequential(torch.nn.Linear(64, 2048), torch.nn.Linear(2048, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    states = torch.load(path, weights_only=True) if path.exists() else None
    if states is not None:
        policy = clrcore.policy_from_dict(states["policy"])  # lowered, perhaps
    scheduler = PolicyLR(optimizer, policy, momentum=(0.85, 0.95))
    monitor = clrcore.CycleMonitor(policy, mode="max")
    saved = {"model": model, "optimizer": optimizer, "scheduler": scheduler, "monitor": monitor}
    if states is not None:
        for name, thing in saved.items():
            thing.load_state_dict(states[name])
    for update in range(0 if states is None else states["updates"], TOTAL):
        group = optimizer.param_groups[0]
        facts = float(group["lr"]).hex(), float(group["momentum"]).hex()
        optimizer.zero_grad()
        model(DATA[update]).square().mean().backward()
        optimizer.step()
        note(folder, "update", update, *facts)
        scheduler.step()
        if scheduler.policies[0].completes(scheduler.last_epoch) is not None:
            verdict = monitor.update(0.5)  # never better: the bounds are lowered
            if verdict.action == "lower":
                scheduler.lower(verdict.factor)
        if (update + 1) % EVERY == 0:
            states = {name: thing.state_dict() for name, thing in saved.items()}
            states |= {"policy": scheduler.policies[0].to_dict(), "updates": update + 1}
            save(states, path)
            note(folder, "saved", update + 1)
    weights = b"".join(tensor.numpy().tobytes() for tensor in model.state_dict().values())
    note(folder, "end", hashlib.sha256(weights).hexdigest())
