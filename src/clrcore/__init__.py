"""Cyclical learning rates and the range test, for any training loop.

Imports no framework, and NumPy only when arrays or curves are asked for.
"""

import sys
from importlib import import_module

from .budget import Budget as Budget
from .budget import step_size_from_epochs as step_size_from_epochs
from .budget import whole_cycles as whole_cycles
from .compose import chain as chain
from .compose import cooldown as cooldown
from .compose import one_cycle as one_cycle
from .compose import smith_one_cycle as smith_one_cycle
from .compose import warm_restarts as warm_restarts
from .confirmation import Confirmation as Confirmation
from .cycles import Position as Position
from .dictionary import policy_from_dict as policy_from_dict
from .errors import ArgumentError as ArgumentError
from .errors import NoBoundsError as NoBoundsError
from .errors import TableError as TableError
from .execution import range_tests as range_tests
from .hints import name_hint
from .monitor import CycleMonitor as CycleMonitor
from .monitor import Verdict as Verdict
from .policies import constant as constant
from .policies import cosine as cosine
from .policies import cyclic as cyclic
from .policies import decay as decay
from .policies import exp_range as exp_range
from .policies import exponential as exponential
from .policies import exponential_sweep as exponential_sweep
from .policies import linear_sweep as linear_sweep
from .policies import stepwise as stepwise
from .policies import triangular as triangular
from .policies import triangular2 as triangular2
from .policy import Policy as Policy
from .rangetest import RangeTest as RangeTest
from .scheduler import Scheduler as Scheduler
from .search import BoundsSearch as BoundsSearch
from .trials import Trial as Trial
from .trials import TrialResult as TrialResult

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

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .bounds import Bounds as Bounds
    from .bounds import BoundsWarning as BoundsWarning
    from .bounds import bound_rules as bound_rules
    from .bounds import suggest_bounds as suggest_bounds
    from .convert import convert_rate as convert_rate
    from .curve import Curve as Curve

# What needs NumPy, and where it is.
_WITH_NUMPY = {
    "Bounds": "bounds",
    "BoundsWarning": "bounds",
    "bound_rules": "bounds",
    "suggest_bounds": "bounds",
    "Curve": "curve",
    "convert_rate": "convert",
}


def __getattr__(name: str) -> object:
    if name in _WITH_NUMPY:
        return getattr(import_module(f"{__name__}.{_WITH_NUMPY[name]}"), name)
    hint = "" if name.startswith("_") else name_hint(name, __all__)
    message = f"module {__name__!r} has no attribute {name!r}" + (f"; {hint}" if hint else "")
    # `from clrcore import ...` drops the message of an AttributeError and of a missing module.
    if hint and _in_from_import():
        from importlib.util import find_spec  # here, as it takes 3 ms to import

        if find_spec(f"{__name__}.{name}") is None:
            raise ImportError(message, name=__name__)
    raise AttributeError(message, name=name)


def _in_from_import() -> bool:
    """Whether `__getattr__` was called by a statement `from clrcore import ...`."""
    return sys._getframe(2).f_code.co_name == "_handle_fromlist"


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
