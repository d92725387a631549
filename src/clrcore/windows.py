"""Window functions: how the rate moves between the bounds (paper, section 3.1).

A window maps u in [0, 1], the height of the triangle, to a height in [0, 1], with w(0) = 0
and w(1) = 1. The three of the paper go by name; any callable with those ends serves.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

from .arguments import call_user_function, check_choice, refuse

Window: TypeAlias = str | Callable[[Any], Any]

# A user's own window may miss 0 and 1 by rounding (sin(pi)^2 and the like), not by more.
ROUNDING = 1e-9


def triangular(u: Any, maths: Any) -> Any:
    """The Bartlett window: u."""
    return u


def welch(u: Any, maths: Any) -> Any:
    """The parabolic window: u (2 - u)."""
    return u * (2.0 - u)


def hann(u: Any, maths: Any) -> Any:
    """The raised cosine: (1 - cos(pi u)) / 2."""
    return (1.0 - maths.cos(u * math.pi)) * 0.5


WINDOWS: dict[str, Callable[[Any, Any], Any]] = {
    "triangular": triangular,
    "welch": welch,
    "hann": hann,
}


def check_window(window: object) -> Window:
    """A window's name, or a callable that keeps the rules of a window at 33 heights.

    Raises:
        TypeError: `window` is neither a name nor a callable.
        ValueError: The name is unknown, an end is wrong, or a height is outside [0, 1].
    """
    if not callable(window):
        if not isinstance(window, str):
            refuse(TypeError, "window", f"one of {list(WINDOWS)} or a callable of u", window)
        return check_choice("window", window, WINDOWS)
    for u in (0.0, 1.0):
        result = call_user_function(f"window({u})", window, u)
        if not abs(result - u) <= ROUNDING:
            refuse(ValueError, f"window({u})", f"{u}", result)
    for i in range(1, 32):
        _checked_height(window, i / 32)
    return window


def height(window: Window, u: Any, maths: Any) -> Any:
    """The window's height at u; a callable's result is checked wherever it can be."""
    if isinstance(window, str):
        return WINDOWS[window](u, maths)
    inside = maths.call(window, _checked_height, u)
    # Base and peak are exact, whatever the callable makes of them.
    return maths.where((u > 0.0) & (u < 1.0), inside, u)


def _checked_height(window: Callable[[Any], Any], u: float) -> float:
    """The height that a user's window gives at u, clipped where it misses [0, 1] by rounding."""
    result = call_user_function(f"window({u})", window, u)
    if not -ROUNDING <= result <= 1.0 + ROUNDING:  # NaN fails this too
        refuse(ValueError, f"window({u})", "a number in [0, 1]", result)
    return min(max(result, 0.0), 1.0)
