"""What the adapters of trainers share: a range test in a trainer's loop, and the ends of cycles."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

import clrcore
from clrcore.arguments import (
    check_bool,
    check_float,
    check_keys,
    check_seeds,
    check_version,
    refuse,
)

from ._generators import keep_global_states, seed_global
from ._groups import set_rates
from ._progress import advance
from ._training import group_ratios
from .policy_lr import PolicyLR

VERSION = 1
# Updates whose losses are read together where reading them makes a device wait.
BLOCK = 20


class TrainerSweep:
    """A range test whose updates are made by a trainer.

    Args:
        test: The range test.
        optimizer: Its rates are set; groups keep the ratio to the first group's initial rate.
        mean: The mean of a tensor over all processes.
        bar: Progress bar, or None.
    """

    def __init__(
        self,
        test: clrcore.RangeTest,
        optimizer: Optimizer,
        *,
        mean: Callable[[torch.Tensor], torch.Tensor],
        bar: Any = None,
    ) -> None:
        self.test, self._mean, self._bar = test, mean, bar
        self._groups, self._ratios = optimizer.param_groups, group_ratios(optimizer)
        self._rates: deque[float] = deque()
        self._micro_batches: list[torch.Tensor] = []
        self._losses: list[torch.Tensor] = []

    def set_rate(self) -> None:
        """Set the rate of the next update, unless the test is over."""
        if not self._rates:
            on_cpu = self._groups[0]["params"][0].device.type == "cpu"
            self._rates.extend(self.test.next_rates(1 if on_cpu else BLOCK))
        if self._rates:
            set_rates(self._groups, [self._rates[0] * ratio for ratio in self._ratios])

    def add_loss(self, loss: torch.Tensor) -> None:
        """Take the loss of a micro-batch of the next update."""
        self._micro_batches.append(loss.detach().float().reshape(()))

    def count_update(self) -> bool:
        """Count an update; True once the test is over."""
        if self._rates and self._micro_batches:
            lr = self._rates.popleft()
            self._losses.append(torch.stack(self._micro_batches).mean())
            self._micro_batches.clear()
            if not self._rates:
                self._record(lr)
        return self.test.reason is not None

    def finish(self, cause: str) -> clrcore.Curve:
        """The curve; `cause` says why the trainer has ended before the test was over."""
        if self._losses:
            self._record(0.0)
        self.test.end_early(cause)
        return self.test.curve

    def _record(self, lr: float) -> None:
        losses = self._mean(torch.stack(self._losses)).tolist()
        self._losses.clear()
        advance(self._bar, self.test.record_block(losses), lr, self.test.smoothed_loss)


def curves_of(
    seeds: int | Sequence[int] | None, rank: int, run: Callable[[str], clrcore.Curve]
) -> clrcore.Curve | list[clrcore.Curve]:
    """The curve of `run`, called with a name for its progress bar, or a list with one per seed."""
    checked = check_seeds("seeds", seeds)
    if checked is None:
        return run("range test")
    curves = []
    for seed in checked:
        states = keep_global_states()
        seed_global(seed + rank)
        try:
            curves.append(run(f"range test, seed {seed}"))
        finally:
            for put_back in states:
                put_back()
    return curves


class CycleJudge:
    """What happens at the ends of cycles: it judges, lowers the rates and averages the weights.

    Args:
        monitor: Judges the metric; "lower" lowers the rates of the scheduler, "stop" ends the
            training. None judges nothing.
        average: Whether to average the weights of the ends of cycles.
    """

    def __init__(self, monitor: clrcore.CycleMonitor | None, average: bool) -> None:
        if monitor is not None and not isinstance(monitor, clrcore.CycleMonitor):
            refuse(TypeError, "monitor", "a clrcore.CycleMonitor or None", monitor)
        self.monitor, self._averages = monitor, check_bool("average", average)
        self.ends: list[dict[str, Any]] = []
        self.average: dict[str, torch.Tensor] = {}
        self.factor = 1.0

    def start(self, scheduler: object) -> PolicyLR:
        """Lower the rates of a new scheduler as a loaded state says; refuse others."""
        if not isinstance(scheduler, PolicyLR) or not scheduler.policies[0].has_cycles:
            allowed = "a PolicyLR with a policy that has cycles"
            refuse(TypeError, "the trainer's scheduler", allowed, scheduler)
        if self.factor < 1.0:
            scheduler.lower(self.factor)
        return scheduler

    def ended(self, scheduler: PolicyLR) -> int | None:
        """The number of the cycle that the last update completed, None where it is judged."""
        cycle = scheduler.policies[0].completes(scheduler.last_epoch)
        judged = self.ends and self.ends[-1]["updates"] >= scheduler.last_epoch
        return None if judged else cycle

    def judge(self, scheduler: PolicyLR, model: nn.Module, metric: Any) -> dict[str, Any]:
        """Do what is due at the end of a cycle, and note it in `ends`."""
        cycle = self.ended(scheduler)
        end: dict[str, Any] = {"cycle": cycle, "updates": scheduler.last_epoch}
        if self._averages:
            self._average_in(model.state_dict())
        if self.monitor is not None:
            verdict = self.monitor.update(metric)
            end |= {"metric": float(metric), **verdict._asdict()}
            if verdict.action == "lower":
                scheduler.lower(verdict.factor)
                self.factor *= verdict.factor
        self.ends.append(end)
        return end

    def state_dict(self) -> dict[str, Any]:
        """The state: plain data, and the averaged weights."""
        return {
            "version": VERSION,
            "ends": copy.deepcopy(self.ends),
            "monitor": None if self.monitor is None else self.monitor.state_dict(),
            "factor": self.factor,
            "average": dict(self.average),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to a state that `state_dict` returned."""
        check_keys("state", state, ["version", "ends", "monitor", "factor", "average"])
        check_version("state", state["version"], VERSION)
        if (state["monitor"] is None) != (self.monitor is None):
            allowed = "the state of a CycleEnds with a monitor if this has one, else without"
            refuse(ValueError, "state['monitor']", allowed, state["monitor"])
        factor = check_float("state['factor']", state["factor"], 0.0, 1.0)
        if self.monitor is not None:
            self.monitor.load_state_dict(state["monitor"])
        self.ends[:], self.factor = copy.deepcopy(state["ends"]), factor
        self.average.clear()
        self.average.update(state["average"])

    def _average_in(self, weights: dict[str, torch.Tensor]) -> None:
        count = len(self.ends) + 1
        for name, value in weights.items():
            value, mean = value.detach().cpu(), self.average.get(name)
            if mean is None or not value.is_floating_point():
                self.average[name] = value.clone()
            else:
                self.average[name] = mean + (value - mean) / count
