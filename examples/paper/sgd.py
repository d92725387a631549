"""SGD in Caffe's form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.optim import Optimizer

MOMENTUM = 0.9


class CaffeSGD(Optimizer):
    """SGD with the rate inside the velocity: v = momentum v + lr (g + decay w); w = w - v.

    PyTorch has the rate outside (v = momentum v + g; w = w - lr v). The two agree at a constant
    rate. A drop of the rate acts at once in PyTorch, but over about 1 / (1 - momentum) updates
    here.
    """

    def __init__(
        self, params: Any, lr: float, momentum: float = MOMENTUM, weight_decay: float = 0.0
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Make an update; call a closure first, as PyTorch's optimizers do."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if not weights:
                continue
            for weight in weights:
                if not self.state[weight]:
                    self.state[weight]["velocity"] = torch.zeros_like(weight)
            velocities = [self.state[weight]["velocity"] for weight in weights]
            # Operations on lists of tensors take few launches on a GPU.
            gradients = torch._foreach_add(
                [weight.grad for weight in weights], weights, alpha=group["weight_decay"]
            )
            torch._foreach_mul_(velocities, group["momentum"])
            torch._foreach_add_(velocities, gradients, alpha=group["lr"])
            torch._foreach_sub_(weights, velocities)
        return loss
