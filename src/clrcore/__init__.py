"""Cyclical learning rates and the range test, for any training loop.

Imports no framework, and NumPy only when arrays or curves are asked for.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING

from .budget import Budget, step_size_from_epochs, whole_cycles
from .compose import chain, cooldown, one_cycle, smith_one_cycle, warm_restarts
from .confirmation import Confirmation
from .cycles import Position
from .dictionary import policy_from_dict
from .errors import ArgumentError, NoBoundsError, TableError
from .execution import range_tests
from .hints import name_hint
from .monitor import CycleMonitor, Verdict
from .policies import (
    constant,
    cosine,
    cyclic,
    decay,
    exp_range,
    exponential,
    exponential_sweep,
    linear_sweep,
    stepwise,
    triangular,
    triangular2,
)
from .policy import Policy
from .rangetest import RangeTest
from .scheduler import Scheduler
from .search import BoundsSearch, SeededRangeTests
from .trials import Trial, TrialResult

__version__ = "0.1.0"

__all__ = [
    "ArgumentError",
    "Bounds",
    "BoundsSearch",
    "BoundsWarning",
    "Budget",
    "Confirmation",
    "Curve",
    "CycleMonitor",
    "NoBoundsError",
    "Policy",
    "Position",
    "RangeTest",
    "Scheduler",
    "SeededRangeTests",
    "TableError",
    "Trial",
    "TrialResult",
    "Verdict",
    "bound_rules",
    "chain",
    "constant",
    "convert_rate",
    "cooldown",
    "cosine",
    "cyclic",
    "decay",
    "exp_range",
    "exponential",
    "exponential_sweep",
    "linear_sweep",
    "one_cycle",
    "policy_from_dict",
    "range_tests",
    "smith_one_cycle",
    "step_size_from_epochs",
    "stepwise",
    "suggest_bounds",
    "triangular",
    "triangular2",
    "warm_restarts",
    "whole_cycles",
]

if TYPE_CHECKING:
    from .bounds import Bounds, BoundsWarning, bound_rules, suggest_bounds
    from .convert import convert_rate
    from .curve import Curve

# What needs NumPy, and where it is.
_WITH_NUMPY = {
    **dict.fromkeys(("Bounds", "BoundsWarning", "bound_rules", "suggest_bounds"), "bounds"),
    "Curve": "curve",
    "convert_rate": "convert",
}


def __getattr__(name: str) -> object:
    if name in _WITH_NUMPY:
        return getattr(import_module(f"{__name__}.{_WITH_NUMPY[name]}"), name)
    hint = "" if name.startswith("_") else name_hint(name, __all__)
    message = f"module {__name__!r} has no attribute {name!r}" + (f"; {hint}" if hint else "")
    # `from clrcore import ...` drops the message of an AttributeError and of a missing module.
    if hint and sys._getframe(1).f_code.co_name == "_handle_fromlist":
        from importlib.util import find_spec  # here, as it takes 3 ms to import

        if find_spec(f"{__name__}.{name}") is None:
            raise ImportError(message, name=__name__)
    raise AttributeError(message, name=name)


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
