"""From range-test curves to bounds.

A curve passes `points` (which points count), `features` (of their shape), `refusals` (whether they
carry an answer), a rule in `rules` (`loss`, `accuracy`, `peers`), `seeds` (several curves) and
`result`. The fitted numbers are in `calibration`.
"""

from .kinds import KINDS as KINDS
from .kinds import BoundsWarning as BoundsWarning
from .result import Bounds as Bounds
from .rules import RULES as RULES
from .rules import Rule as Rule
from .rules import bound_rules as bound_rules
from .suggest import suggest_bounds as suggest_bounds
