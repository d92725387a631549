"""Names from other libraries, and their names here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import ParamSpec, TypeVar

from .arguments import did_you_mean, hint_at

P = ParamSpec("P")
R = TypeVar("R")

# Arguments of other libraries, and ours that mean the same; the first that a function has is named.
SAME_ARGUMENTS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("step_size_up", "stepsize", "half_cycle"), ("step_size",)),
    **dict.fromkeys(("start_lr", "lr_min"), ("min_lr", "base_lr")),
    **dict.fromkeys(("initial_learning_rate", "min_lr", "eta_min"), ("base_lr",)),
    **dict.fromkeys(("maximal_learning_rate", "end_lr", "peak_lr"), ("max_lr",)),
    **dict.fromkeys(("lr_max", "eta_max"), ("max_lr",)),
    **dict.fromkeys(("num_iter", "num_it", "num_training"), ("num_steps", "total_steps")),
    **dict.fromkeys(("T_max", "total_steps"), ("num_steps",)),
    "learning_rate": ("lr",),
    "init_lr": ("min_lr", "base_lr", "max_lr", "lr"),
    "initial_lr": ("base_lr", "max_lr", "lr"),
    "total_iters": ("num_steps", "total_steps", "step_size"),
    "T_0": ("period",),
    "T_mult": ("multiplier",),
    "gamma": ("factor",),
    "num_steps": ("total_steps",),
}
_IN_STEPS = "lengths are in steps: epochs * steps_per_epoch"
_SCALE = "use clrcore.cyclic(..., scale=function of (cycle, step))"
_HALF = "use step_size, which is half a cycle"
_MOMENTUM = "use clr_adapters.torch.PolicyLR(..., momentum=(low, high))"
# Arguments of other libraries without a counterpart here, with advice.
OTHER_ARGUMENTS = {
    "mode": "each mode is a function: triangular, triangular2, exp_range; window= is the shape",
    **dict.fromkeys(("scale_fn", "scale_mode"), _SCALE),
    **dict.fromkeys(("cycle_length", "cycle_len"), _HALF),
    "three_phase": 'use form="three_phase"',
    **dict.fromkeys(("epochs", "num_epochs", "steps_per_epoch"), _IN_STEPS),
    "last_epoch": "a policy has no state: clrcore.Scheduler(policy, start=...) counts",
    "optimizer": "a policy knows no optimizer: give both to clr_adapters.torch.PolicyLR",
    "criterion": "a policy has no loss: clr_adapters.torch.range_test takes loss_fn=",
    **dict.fromkeys(("cycle_momentum", "base_momentum", "max_momentum"), _MOMENTUM),
}
_RANGE_TEST = "use clr_adapters.torch.range_test, its twins in keras and jax, or clrcore.RangeTest"
# PyTorch's schedulers, and the policies that do the same with `PolicyLR`.
_SCHEDULERS = {
    "CyclicLR": "triangular",
    "OneCycleLR": "one_cycle",
    "CosineAnnealingLR": "cosine",
    "CosineAnnealingWarmRestarts": "warm_restarts",
    "StepLR": "stepwise",
    "MultiStepLR": "stepwise",
    "ExponentialLR": "exponential",
    "SequentialLR": "chain",
}
_ADAPTERS = ("torch", "keras", "jax", "plot", "accelerate", "ignite", "lightning", "logs", "skorch")
_PLACES = {
    "PolicyLR": "torch",
    "PolicySchedule": "keras",
    "CycleEnds": "keras",
    "read_log": "logs",
    "plot_policy": "plot",
    "plot_range_test": "plot",
}
# Names that users expect in this package.
OTHER_NAMES = {
    "CLR": "use clrcore.triangular",
    "CyclicalLearningRate": "use clrcore.triangular with clr_adapters.keras.PolicySchedule",
    "SGDR": "use clrcore.warm_restarts",
    "LinearLR": "use clrcore.linear_sweep to rise, clrcore.decay to fall",
    "WSD": "use clrcore.cooldown",
    "read_csv": "use clrcore.Curve.from_csv, or clr_adapters.logs.read_log",
    "find_bounds": "it is in clr_adapters.torch, clr_adapters.keras and clr_adapters.jax",
    "criterion": "clr_adapters.torch.range_test takes loss_fn=",
    **dict.fromkeys(("range_test", "LRFinder", "lr_find", "lr_finder", "find_lr"), _RANGE_TEST),
    **{
        theirs: f"use clrcore.{ours} with clr_adapters.torch.PolicyLR"
        for theirs, ours in _SCHEDULERS.items()
    },
    **{name: f"import clr_adapters.{name}" for name in (*_ADAPTERS, "transformers")},
    **{name: f"it is in clr_adapters.{module}" for name, module in _PLACES.items()},
}


def hinting(function: Callable[P, R]) -> Callable[P, R]:
    """The function; it refuses arguments of other libraries and names the right arguments."""
    code = function.__code__
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return hint_at(
        **OTHER_ARGUMENTS,
        **{
            theirs: f"use {next(ours for ours in same if ours in names)}"
            for theirs, same in SAME_ARGUMENTS.items()
            if not set(same).isdisjoint(names)
        },
    )(function)


def name_hint(name: str, public: Iterable[str]) -> str:
    """What to use instead of a name that this package lacks, or "" where that is not known."""
    return OTHER_NAMES.get(name) or did_you_mean(name, public)
