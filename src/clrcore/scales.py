"""Scales: what becomes of a cycle's amplitude in later cycles and steps.

`cyclic(scale=...)` takes one of these, or any callable of (cycle, step) that returns a factor
in [0, 1], cycle and step counted from 0.
"""

from __future__ import annotations

import math

from ._values import Value
from .arguments import call_user_function, check_choice, check_float, refuse
from .arithmetic import PYTHON, halved, is_numpy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Scale = "Halving | Exponential | Callable[[int, int], float]"

DECAYS = ("amplitude", "bounds")


class Halving(Value):
    """2^-cycle, the scale of `triangular2` (paper, section 3.1)."""

    __slots__ = ()

    def __call__(self, cycle: int, step: int) -> float:
        """The factor itself."""
        return float(halved(1.0, cycle, PYTHON, float))

    def amplitude(self, amplitude: Any, cycle: Any, step: Any, xp: Any, cast: Any) -> Any:
        """`amplitude` halved once per cycle."""
        return halved(amplitude, cycle, xp, cast)


class Exponential(Value):
    """gamma^step, the scale of `exp_range`; step counts from the start of training.

    gamma: factor per step, in (0, 1].
    decays: "amplitude" scales the distance from base_lr (PyTorch, the Keras ports), "bounds"
        scales both bounds (the paper's text, section 3.1).

    Raises ValueError or TypeError for anything else.
    """

    __slots__ = ("decays", "gamma")
    gamma: float
    decays: str

    def __init__(self, gamma: float, decays: str) -> None:
        self._set(
            gamma=check_float("gamma", gamma, 0.0, 1.0, above=True),
            decays=check_choice("decays", decays, DECAYS),
        )

    def __call__(self, cycle: int, step: int) -> float:
        """The factor itself, of whatever it scales."""
        return float(decayed(1.0, self.gamma, step, PYTHON, float))

    def amplitude(self, amplitude: Any, cycle: Any, step: Any, xp: Any, cast: Any) -> Any:
        """`amplitude` as it is, or decayed, by `decays`."""
        if self.decays == "bounds":
            return amplitude
        return decayed(amplitude, self.gamma, step, xp, cast)


def decayed(rate: Any, gamma: float, step: Any, xp: Any, cast: Any) -> Any:
    """Rate gamma^step, the logarithm in float64, as float32(gamma) would be wrong.

    In two halves, as gamma^step may be below the smallest float where the product is not.
    """
    half = xp.exp(cast(step) * (math.log(gamma) / 2))
    return rate * half * half


def check_scale(scale: object, step_size: int, period: int) -> Any:
    """None, a scale of this module, or a callable that was tried on the first cycles.

    Raises TypeError for what is none of them, ValueError for factors outside [0, 1].
    """
    if scale is None or isinstance(scale, Halving | Exponential):
        return scale
    if not callable(scale):
        refuse(TypeError, "scale", "None, a scale, or a callable of (cycle, step)", scale)
    for cycle in range(4):
        for step in (cycle * period, cycle * period + step_size):
            _factor(scale, cycle, step)
    return scale


def scaled(
    scale: Any, amplitude: Any, cycle: Any, step: Any, xp: Any, cast: Callable[[Any], Any]
) -> Any:
    """`amplitude` times the scale at (cycle, step)."""
    if isinstance(scale, Halving | Exponential):
        return scale.amplitude(amplitude, cycle, step, xp, cast)
    if xp is PYTHON:
        return amplitude * _factor(scale, cycle, step)
    if is_numpy(step):
        import numpy

        pairs = zip(cycle.ravel().tolist(), step.ravel().tolist(), strict=True)
        flat = [_factor(scale, *pair) for pair in pairs]
        return amplitude * numpy.array(flat, dtype=amplitude.dtype).reshape(step.shape)
    return amplitude * scale(cycle, step)


def _factor(scale: Callable[[int, int], Any], cycle: int, step: int) -> float:
    name = f"scale(cycle={cycle}, step={step})"
    result = call_user_function(name, scale, cycle, step)
    if not 0.0 <= result <= 1.0:
        refuse(ValueError, name, "a number in [0, 1]", result)
    return result
