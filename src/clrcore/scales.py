"""Scales: the factor of a cycle's amplitude in later cycles and steps.

`cyclic(scale=...)` takes one of these, or any callable of (cycle, step) that returns a factor
in [0, 1], cycle and step counted from 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .arguments import call_user_function, check_choice, check_float, refuse, shown
from .arithmetic import PYTHON

DECAYS = ("amplitude", "bounds")


@dataclass(frozen=True)
class Halving:
    """2^-cycle, the scale of `triangular2` (paper, section 3.1)."""

    def __call__(self, cycle: int, step: int) -> float:
        """The factor in a cycle."""
        return PYTHON.halved(1.0, cycle)


@dataclass(frozen=True)
class Exponential:
    """gamma^step, the scale of `exp_range`; the step counts from the start of training.

    Args:
        gamma: Factor per step, in (0, 1].
        decays: "amplitude" scales the distance from base_lr (PyTorch, the Keras ports), "bounds"
            scales both bounds (the paper's text, section 3.1).

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument is out of range.
    """

    gamma: float
    decays: str

    def __post_init__(self) -> None:
        gamma = check_float("gamma", self.gamma, 0.0, 1.0, above=True)
        object.__setattr__(self, "gamma", gamma)
        object.__setattr__(self, "decays", check_choice("decays", self.decays, DECAYS))

    def __call__(self, cycle: int, step: int) -> float:
        """The factor at a step, of the amplitude or of both bounds."""
        return float(decayed(1.0, self.gamma, step, PYTHON))


def decayed(rate: Any, gamma: float, step: Any, maths: Any) -> Any:
    """The rate times gamma^step; the logarithm is in float64, as float32(gamma) would be wrong.

    In two halves, as gamma^step may be below the smallest float where the product is not.
    """
    half = maths.exp(maths.cast(step) * (math.log(gamma) / 2))
    return rate * half * half


def check_scale(scale: object, step_size: int, period: int) -> Any:
    """None, a scale of this module, or a callable that was tried on the first four cycles.

    Raises:
        TypeError: `scale` has another type.
        ValueError: A factor is outside [0, 1].
    """
    if scale is None or isinstance(scale, Halving | Exponential):
        return scale
    if not callable(scale):
        refuse(TypeError, "scale", "None, a scale, or a callable of (cycle, step)", scale)
    for cycle in range(4):
        for step in (cycle * period, cycle * period + step_size):
            _checked_factor(scale, cycle, step)
    return scale


def scaled(scale: Any, amplitude: Any, cycle: Any, step: Any, maths: Any) -> Any:
    """The amplitude times the scale at (cycle, step)."""
    if isinstance(scale, Halving):
        return maths.halved(amplitude, cycle)
    if isinstance(scale, Exponential):
        return decayed(amplitude, scale.gamma, step, maths)
    return amplitude * maths.call(scale, _checked_factor, cycle, step)


def _checked_factor(scale: Callable[[int, int], Any], cycle: int, step: int) -> float:
    """The factor that a user's scale gives."""
    name = f"scale(cycle={shown(cycle)}, step={shown(step)})"
    result = call_user_function(name, scale, cycle, step)
    if not 0.0 <= result <= 1.0:
        refuse(ValueError, name, "a number in [0, 1]", result)
    return result
