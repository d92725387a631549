"""Names from other libraries, and their names here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import ParamSpec, TypeVar

from .arguments import did_you_mean, hint_at

P = ParamSpec("P")
R = TypeVar("R")

# Arguments of other libraries, and ours that mean the same; the first that a function has is named.
SAME_ARGUMENTS = {
    "step_size_up": ("step_size",),
    "stepsize": ("step_size",),
    "half_cycle": ("step_size",),
    "initial_learning_rate": ("base_lr",),
    "maximal_learning_rate": ("max_lr",),
    "learning_rate": ("lr",),
    "start_lr": ("min_lr", "base_lr"),
    "end_lr": ("max_lr",),
    "min_lr": ("base_lr",),
    "init_lr": ("min_lr", "base_lr", "max_lr", "lr"),
    "initial_lr": ("base_lr", "max_lr", "lr"),
    "peak_lr": ("max_lr",),
    "lr_max": ("max_lr",),
    "lr_min": ("min_lr", "base_lr"),
    "eta_max": ("max_lr",),
    "eta_min": ("base_lr",),
    "num_iter": ("num_steps", "total_steps"),
    "num_it": ("num_steps", "total_steps"),
    "num_training": ("num_steps", "total_steps"),
    "total_iters": ("num_steps", "total_steps", "step_size"),
    "T_max": ("num_steps",),
    "T_0": ("period",),
    "T_mult": ("multiplier",),
    "gamma": ("factor",),
    "total_steps": ("num_steps",),
    "num_steps": ("total_steps",),
}
_IN_STEPS = "lengths are in steps: epochs * steps_per_epoch"
# Arguments of other libraries without a counterpart here, with advice.
OTHER_ARGUMENTS = {
    "mode": "each mode is a function: triangular, triangular2, exp_range; window= is the shape",
    "scale_fn": "use clrcore.cyclic(..., scale=function of (cycle, step))",
    "scale_mode": "use clrcore.cyclic(..., scale=function of (cycle, step))",
    "cycle_length": "use step_size, which is half a cycle",
    "cycle_len": "use step_size, which is half a cycle",
    "three_phase": 'use form="three_phase"',
    "epochs": _IN_STEPS,
    "num_epochs": _IN_STEPS,
    "steps_per_epoch": _IN_STEPS,
    "last_epoch": "a policy has no state: clrcore.Scheduler(policy, start=...) counts",
    "optimizer": "a policy knows no optimizer: give both to clr_adapters.torch.PolicyLR",
    "criterion": "a policy has no loss: clr_adapters.torch.range_test takes loss_fn=",
    "cycle_momentum": "use clr_adapters.torch.PolicyLR(..., momentum=(low, high))",
    "base_momentum": "use clr_adapters.torch.PolicyLR(..., momentum=(low, high))",
    "max_momentum": "use clr_adapters.torch.PolicyLR(..., momentum=(low, high))",
}
_RANGE_TEST = "use clr_adapters.torch.range_test, its twins in keras and jax, or clrcore.RangeTest"
# Names that users expect in this package.
OTHER_NAMES = {
    "CLR": "use clrcore.triangular",
    "CyclicLR": "use clrcore.triangular with clr_adapters.torch.PolicyLR",
    "CyclicalLearningRate": "use clrcore.triangular with clr_adapters.keras.PolicySchedule",
    "OneCycleLR": "use clrcore.one_cycle with clr_adapters.torch.PolicyLR",
    "CosineAnnealingLR": "use clrcore.cosine with clr_adapters.torch.PolicyLR",
    "CosineAnnealingWarmRestarts": "use clrcore.warm_restarts with clr_adapters.torch.PolicyLR",
    "SGDR": "use clrcore.warm_restarts",
    "LinearLR": "use clrcore.linear_sweep to rise, clrcore.decay to fall",
    "StepLR": "use clrcore.stepwise",
    "MultiStepLR": "use clrcore.stepwise",
    "ExponentialLR": "use clrcore.exponential",
    "SequentialLR": "use clrcore.chain",
    "WSD": "use clrcore.cooldown",
    "PolicyLR": "it is in clr_adapters.torch",
    "PolicySchedule": "it is in clr_adapters.keras",
    "CycleEnds": "it is in clr_adapters.keras",
    "torch": "import clr_adapters.torch",
    "keras": "import clr_adapters.keras",
    "jax": "import clr_adapters.jax",
    "plot": "import clr_adapters.plot",
    **{
        name: f"import clr_adapters.{name}"
        for name in ("accelerate", "ignite", "lightning", "logs", "skorch", "transformers")
    },
    "read_csv": "use clrcore.Curve.from_csv, or clr_adapters.logs.read_log",
    "read_log": "it is in clr_adapters.logs",
    "plot_policy": "it is in clr_adapters.plot",
    "plot_range_test": "it is in clr_adapters.plot",
    "find_bounds": "it is in clr_adapters.torch, clr_adapters.keras and clr_adapters.jax",
    "range_test": _RANGE_TEST,
    "LRFinder": _RANGE_TEST,
    "lr_find": _RANGE_TEST,
    "lr_finder": _RANGE_TEST,
    "find_lr": _RANGE_TEST,
    "criterion": "clr_adapters.torch.range_test takes loss_fn=",
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
