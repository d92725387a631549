"""The sweep of a range test for which none was chosen."""

import clrcore


def default_sweep() -> clrcore.Policy:
    """Seven decades, wide enough for SGD and Adam alike; 300 updates, about 40 per decade."""
    return clrcore.exponential_sweep(1e-6, 10.0, 300)
