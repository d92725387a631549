"""Pictures of policies, range tests and trials; needs matplotlib (extra `plot`).

Every function draws on the Axes it is given, or on a new Figure outside pyplot, and
returns the Axes. Save with `ax.figure.savefig(...)`; as the last line of a notebook cell the
picture appears. Once this module is imported in a notebook, so do those of policies, schedulers,
curves and confirmed bounds.
"""

from .._extras import needed as _needed

with _needed("plot", "clr_adapters.plot needs matplotlib"):
    import matplotlib  # noqa: F401

from . import notebooks
from .policies import plot_policy
from .range_tests import plot_range_test
from .trials import plot_confirmation

__all__ = ["plot_confirmation", "plot_policy", "plot_range_test"]

notebooks.register()
