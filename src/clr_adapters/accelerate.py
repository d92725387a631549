"""Accelerate: a policy whose steps are the updates of all processes together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ._extras import needed

with needed("accelerate", "clr_adapters.accelerate needs Accelerate"):
    import accelerate
    from torch.optim import Optimizer

import clrcore
from clrcore.arguments import check_type

from .torch import PolicyLR


def policy_lr(
    accelerator: accelerate.Accelerator,
    optimizer: Optimizer,
    policy: clrcore.Policy | Sequence[clrcore.Policy],
    *,
    momentum: Any = None,
    proportional: bool = False,
) -> PolicyLR:
    """A `PolicyLR` for a loop with Accelerate, which `save_state` and `load_state` include.

    Call its `step()` after `optimizer.step()` in every iteration: it counts the updates, not the
    micro-batches of an accumulation nor the updates that a scaler skips. Do not give it to
    `accelerator.prepare`, which would step it once per process.

    Args:
        accelerator: The Accelerator.
        optimizer: The optimizer that `accelerator.prepare` returned.
        policy: A policy for all groups, or a list with a policy for each group.
        momentum: As in `PolicyLR`.
        proportional: As in `PolicyLR`.

    Raises:
        TypeError: `accelerator` is not an Accelerator, or as `PolicyLR` raises.
        ValueError: As `PolicyLR` does.
    """
    allowed = "an accelerate.Accelerator"
    check_type("accelerator", accelerator, accelerate.Accelerator, allowed)
    options = {"momentum": momentum, "proportional": proportional}
    scheduler = _SynchronizedPolicyLR(optimizer, policy, **options)
    scheduler.accelerator = accelerator
    accelerator.register_for_checkpointing(scheduler)
    return scheduler


class _SynchronizedPolicyLR(PolicyLR):
    """Steps only after an update of the optimizer."""

    accelerator: Any = None  # None during the first step, which the constructor makes

    def step(self, epoch: int | None = None) -> None:
        its = self.accelerator
        if its is None or (its.sync_gradients and not its.optimizer_step_was_skipped):
            super().step(epoch)
