"""Cyclical learning rates and the range test, for any training loop.

Imports no framework, and NumPy only where arrays are asked for.
"""

from .compose import chain as chain
from .compose import one_cycle as one_cycle
from .compose import smith_one_cycle as smith_one_cycle
from .compose import warm_restarts as warm_restarts
from .cycle import Position as Position
from .dictionary import policy_from_dict as policy_from_dict
from .policies import constant as constant
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
