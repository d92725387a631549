"""What the adapters of trainers share: a range test in a trainer's loop, and the ends of cycles."""

from __future__ import annotations

import copy
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, NamedTuple, TypeAlias, TypedDict

import torch
from torch import nn
from torch.optim import Optimizer

import clrcore
from clrcore.arguments import (
    check_bool,
    check_ends,
    check_float,
    check_state,
    check_type,
    refuse,
    warn_of_cycles,
)

from ._generators import keep_global_states, seed_global
from ._groups import initial_rate, set_rates
from ._progress import advance, check_progress, progress_bar
from ._snapshot import Snapshot
from ._training import group_ratios
from .policy_lr import PolicyLR

VERSION = 1
# Updates whose losses are read together where reading them makes a device wait.
BLOCK = 20


class RangeTestOptions(TypedDict, total=False):
    """Arguments of a trainer's `range_test`; those without a meaning here are the trainer's."""

    sweep: clrcore.Policy | None
    steps_per_epoch: float | None
    stop: bool
    progress: bool
    seeds: int | Sequence[int] | None


class FindBoundsOptions(TypedDict, total=False):
    """Arguments of a trainer's `find_bounds`."""

    sweep: clrcore.Policy | None
    max_updates: int
    total_steps: int | None
    kind: str
    steps_per_epoch: float | None
    progress: bool
    seeds: int | Sequence[int] | None


class Facts(NamedTuple):
    """The facts of a trainer with its optimizer.

    Attributes:
        default_lr: The optimizer's own rate.
        steps_per_epoch: Updates in an epoch, None where the data have no length.
        rank: Number of the process.
    """

    default_lr: float
    steps_per_epoch: float | None
    rank: int


class Enough(Exception):
    """Ends a training from inside, as nothing more is asked of it."""


# Trains at the rates of a sweep, by the trainer's own loop, and leaves no trace.
Train: TypeAlias = Callable[["TrainerSweep"], None]


def run_range_test(
    train: Train, *, steps_per_epoch: float | None = None, progress: bool = True, **rules: Any
) -> clrcore.Curve | list[clrcore.Curve]:
    """The range test of a trainer; the arguments are those of its `range_test`."""
    show, make = check_progress(progress), partial(clrcore.SeededRangeTests, **rules)
    make(steps_per_epoch=steps_per_epoch)  # raises before anything runs
    facts = _facts(train, steps_per_epoch)
    runs = make(steps_per_epoch=facts.steps_per_epoch)
    _train_all(train, runs, facts.rank, show)
    return runs.curve_or_curves


def run_find_bounds(
    train: Train, *, steps_per_epoch: float | None = None, progress: bool = True, **plan: Any
) -> clrcore.Bounds:
    """The search of a trainer for its bounds; the arguments are those of its `find_bounds`."""
    show, facts = check_progress(progress), _facts(train, steps_per_epoch)
    search = clrcore.BoundsSearch(facts.default_lr, steps_per_epoch=facts.steps_per_epoch, **plan)
    _train_all(train, search, facts.rank, show)
    return search.bounds


def _facts(train: Train, steps_per_epoch: float | None) -> Facts:
    """The facts of a trainer, whose training ends before its first update."""
    run = TrainerSweep()
    with suppress(Enough):
        train(run)
    facts = run.facts
    return facts if steps_per_epoch is None else facts._replace(steps_per_epoch=steps_per_epoch)


def _train_all(train: Train, runs: clrcore.SeededRangeTests, rank: int, show: bool) -> None:
    """Make all the runs; global generators start from their seeds, and are as before at the end."""
    with progress_bar(runs, show=show and rank == 0) as bar:
        for test in runs:
            states = keep_global_states()
            try:
                if runs.seed is not None:
                    seed_global(runs.seed + rank)
                train(TrainerSweep(test, partial(advance, bar, runs.stage)))
            finally:
                for put_back in states:
                    put_back()


@contextmanager
def no_trace(snapshot: Snapshot, owners: Iterable[object]) -> Iterator[None]:
    """Put the attributes of some objects, and then the snapshot, back at the end."""
    held = [(owner, dict(vars(owner))) for owner in owners]
    try:
        yield
    finally:
        for owner, attributes in held:
            vars(owner).clear()
            vars(owner).update(attributes)
        snapshot.restore()


class TrainerSweep:
    """A range test or a trial whose updates come from a trainer.

    Args:
        test: Hands out the rates and takes the losses; None where only the facts are wanted.
        show: Shows the progress.
    """

    facts: Facts

    def __init__(
        self, test: clrcore.RangeTest | clrcore.Trial | None = None, show: Any = None
    ) -> None:
        self.test, self._show = test, show
        self._rates: deque[float] = deque()
        self._micro_batches: list[torch.Tensor] = []
        self._losses: list[torch.Tensor] = []
        self._was_updated = False

    def begin(
        self,
        optimizer: Optimizer,
        *,
        batches: float | None,
        accumulate: int = 1,
        rank: int = 0,
        mean: Callable[[torch.Tensor], torch.Tensor] = lambda losses: losses,
    ) -> None:
        """Take a trainer that is about to train.

        Args:
            optimizer: Its rates are set; groups keep the ratio to the first group's initial rate.
            batches: Batches in an epoch, None or infinity where that is not known.
            accumulate: Batches in an update.
            rank: Number of the process.
            mean: The mean of a tensor over all processes.

        Raises:
            Enough: Where only the facts are wanted.
        """
        known = batches is not None and batches < math.inf
        length = math.ceil(batches / accumulate) if known else None  # type: ignore[operator]
        lr = initial_rate(0, optimizer.param_groups[0])
        self.facts = Facts(lr, length, rank)
        if self.test is None:
            raise Enough
        self._test, self._mean = self.test, mean
        self._groups, self._ratios = optimizer.param_groups, group_ratios(optimizer)

    def set_rate(self) -> None:
        """Set the rate of the next update, unless the test is over."""
        if not self._rates:
            on_cpu = self._groups[0]["params"][0].device.type == "cpu"
            self._rates.extend(self._test.next_rates(1 if on_cpu else BLOCK))
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
        return self._test.reason is not None

    def watch(self, optimizer: Optimizer) -> None:
        """Set each rate just before an update of the optimizer, and note the update.

        A snapshot of the optimizer that was taken before takes the hooks away.
        """
        optimizer.register_step_pre_hook(lambda *_: self.set_rate())
        optimizer.register_step_post_hook(lambda *_: self._note_update())

    def _note_update(self) -> None:
        self._was_updated = True

    def end_batch(self, loss: torch.Tensor) -> bool:
        """Take the loss of a batch, and count the watched update; True once the test is over."""
        self.add_loss(loss)
        updated, self._was_updated = self._was_updated, False
        return updated and self.count_update()

    def finish(self, data: str) -> None:
        """End the test; it is over, or the data named `data` have ended."""
        if self._losses:
            self._record(0.0)
        self._test.end_early(clrcore.RangeTest.data_end(data))

    def _record(self, lr: float) -> None:
        losses = self._mean(torch.stack(self._losses)).tolist()
        self._losses.clear()
        self._show(self._test.record_block(losses), lr, self._test.smoothed_loss)


def innermost(optimizer: Optimizer) -> Optimizer:
    """The optimizer inside wrappers such as Accelerate's."""
    while isinstance(inner := getattr(optimizer, "optimizer", None), Optimizer):
        optimizer = inner
    return optimizer


def _check_mode(monitor: clrcore.CycleMonitor | None, metric: str | None) -> None:
    """Refuse a monitor that takes a falling loss for no improvement."""
    if monitor is not None and metric is not None and monitor.mode == "max" and "loss" in metric:
        allowed = f'a CycleMonitor with mode="min" for the metric {metric!r}'
        advice = "pass mode='min' to it, or another metric to CycleEnds"
        refuse(ValueError, "monitor", allowed, monitor, advice=advice)


def check_scheduler(name: str, scheduler: object, how: str) -> PolicyLR:
    """The scheduler, if it has cycles; `how` to get such a scheduler is the advice."""
    if not isinstance(scheduler, PolicyLR) or not scheduler.policies[0].has_cycles:
        refuse(TypeError, name, "a PolicyLR with a policy that has cycles", scheduler, advice=how)
    return scheduler


class CycleJudge:
    """What happens at the ends of cycles: it judges, lowers the rates and averages the weights.

    Args:
        monitor: Judges the metric; "lower" lowers the rates of the scheduler, "stop" ends the
            training. None judges nothing.
        average: Whether to average the weights of the ends of cycles.
        metric: Name of the metric that the monitor judges, or None.
    """

    def __init__(
        self, monitor: clrcore.CycleMonitor | None, average: bool, metric: str | None = None
    ) -> None:
        monitors = clrcore.CycleMonitor | None
        check_type("monitor", monitor, monitors, "a clrcore.CycleMonitor or None")
        _check_mode(monitor, metric)
        self.monitor, self._averages = monitor, check_bool("average", average)
        self.ends: list[dict[str, Any]] = []
        self.average: dict[str, torch.Tensor] = {}
        # Not their product, whose rounding would be another than the lowered rates'.
        self.factors: list[float] = []
        self._fresh = self.state_dict()

    def start(
        self, scheduler: object, how: str, total_steps: float = math.inf, epochs: float = 0.0
    ) -> PolicyLR:
        """Lower the rates of a new scheduler as in a loaded state; refuse others.

        A training that starts at its first update is judged from its start.

        Args:
            scheduler: The trainer's scheduler.
            how: How the trainer gets a PolicyLR, for the refusal.
            total_steps: Updates of the training, infinity where they are not known.
            epochs: Epochs of the training, 0 or less where they are not known.
        """
        scheduler = check_scheduler("the trainer's scheduler", scheduler, how)
        steps_per_epoch = total_steps / epochs if epochs > 0 else math.inf
        warn_of_cycles(scheduler.policies[0], total_steps, steps_per_epoch)
        if scheduler.last_epoch == 0:
            self.load_state_dict(self._fresh)
        for factor in self.factors:
            scheduler.lower(factor)
        return scheduler

    def ended(self, scheduler: PolicyLR) -> int | None:
        """The number of the cycle that the last update completed, None where it is judged."""
        cycle = scheduler.policies[0].completes(scheduler.last_epoch)
        judged = self.ends and self.ends[-1]["updates"] >= scheduler.last_epoch
        return None if judged else cycle

    def judge(self, scheduler: PolicyLR, model: nn.Module | None, metric: Any) -> dict[str, Any]:
        """Judge the end of a cycle, and note it in `ends`; averages need the model."""
        cycle = self.ended(scheduler)
        end: dict[str, Any] = {"cycle": cycle, "updates": scheduler.last_epoch}
        if self._averages and model is not None:
            self._average_in(model.state_dict())
        if self.monitor is not None:
            verdict = self.monitor.update(metric)
            end |= {"metric": float(metric), **verdict._asdict()}
            if verdict.action == "lower":
                scheduler.lower(verdict.factor)
                self.factors.append(verdict.factor)
        self.ends.append(end)
        return end

    def state_dict(self) -> dict[str, Any]:
        """The state: plain data, and the averaged weights."""
        return {
            "version": VERSION,
            "ends": copy.deepcopy(self.ends),
            "monitor": None if self.monitor is None else self.monitor.state_dict(),
            "factors": list(self.factors),
            "average": dict(self.average),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to a state that `state_dict` returned; a refused state changes nothing."""
        check_state("state", state, VERSION, self.state_dict())
        if (state["monitor"] is None) != (self.monitor is None):
            allowed = "the state of a CycleEnds with a monitor if this has one, else without"
            refuse(ValueError, "state['monitor']", allowed, state["monitor"])
        check_type("state['factors']", state["factors"], list, "a list of numbers in (0, 1]")
        factors = [
            check_float(f"state['factors'][{i}]", factor, 0.0, 1.0, above=True)
            for i, factor in enumerate(state["factors"])
        ]
        ends, average = check_ends("state['ends']", state["ends"]), state["average"]
        if not isinstance(average, dict) or not all(map(torch.is_tensor, average.values())):
            refuse(TypeError, "state['average']", "a dictionary of tensors", average)
        if self.monitor is not None:
            self.monitor.load_state_dict(state["monitor"])
        self.ends[:], self.factors = ends, factors
        self.average.clear()
        self.average.update(average)

    def _average_in(self, weights: dict[str, torch.Tensor]) -> None:
        count = len(self.ends) + 1
        for name, value in weights.items():
            value, mean = value.detach().cpu(), self.average.get(name)
            if mean is None or not value.is_floating_point():
                self.average[name] = value.clone()
            else:
                self.average[name] = mean + (value - mean) / count
