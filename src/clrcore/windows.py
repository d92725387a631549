"""Window functions: how the rate moves between the bounds (paper, section 3.1).

A window maps u in [0, 1], the height of the triangle, to a height in [0, 1], with w(0) = 0
and w(1) = 1. The three of the paper go by name; any callable with those ends serves.
"""

from __future__ import annotations

import math

from .arguments import call_user_function, check_choice, refuse
from .arithmetic import PYTHON, is_numpy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

# A user's own window may miss 0 and 1 by rounding (sin(pi)^2 and the like), not by more.
ROUNDING = 1e-9


def triangular(u: Any, xp: Any) -> Any:
    """The Bartlett window: u."""
    return u


def welch(u: Any, xp: Any) -> Any:
    """The parabolic window: u (2 - u)."""
    return u * (2.0 - u)


def hann(u: Any, xp: Any) -> Any:
    """The raised cosine: (1 - cos(pi u)) / 2."""
    return (1.0 - xp.cos(u * math.pi)) * 0.5


WINDOWS: dict[str, Callable[[Any, Any], Any]] = {
    "triangular": triangular,
    "welch": welch,
    "hann": hann,
}


def check_window(window: object) -> str | Callable[[Any], Any]:
    """A window's name, or a callable that keeps to the rules of a window where it was tried.

    Raises TypeError for what is neither, ValueError for an unknown name, for wrong ends and
    for heights outside [0, 1].
    """
    if not callable(window):
        if not isinstance(window, str):
            refuse(TypeError, "window", f"one of {list(WINDOWS)} or a callable of u", window)
        return check_choice("window", window, WINDOWS)
    for u, end in ((0.0, 0.0), (1.0, 1.0)):
        result = call_user_function(f"window({u})", window, u)
        if not abs(result - end) <= ROUNDING:
            refuse(ValueError, f"window({u})", f"{end}", result)
    for i in range(1, 32):
        _height(window, i / 32)
    return window


def height(window: str | Callable[[Any], Any], u: Any, xp: Any) -> Any:
    """The window's height at u; a callable's result is checked wherever it can be."""
    if isinstance(window, str):
        return WINDOWS[window](u, xp)
    if xp is PYTHON:
        return _height(window, u)
    if is_numpy(u):
        # One by one, as for scalars: what the callable does with an array is its own affair.
        import numpy

        flat = [_height(window, x) for x in u.ravel().tolist()]
        return numpy.array(flat, dtype=u.dtype).reshape(u.shape)
    return xp.where((u > 0.0) & (u < 1.0), window(u), u)


def _height(window: Callable[[Any], Any], u: float) -> float:
    result = call_user_function(f"window({u})", window, u)
    if not -ROUNDING <= result <= 1.0 + ROUNDING:  # NaN fails this too
        refuse(ValueError, f"window({u})", "a number in [0, 1]", result)
    # Base and peak are exact, whatever the callable makes of them.
    return u if u in (0.0, 1.0) else min(max(result, 0.0), 1.0)
