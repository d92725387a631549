"""JAX: a range test that runs on the device.

A policy is an optax schedule and needs no adapter.
"""

from .._extras import install as _install

try:
    import jax as _jax  # noqa: F401
except ImportError as error:
    raise ImportError(f"clr_adapters.jax needs JAX: {_install('jax')} ({error})") from error

from .find_bounds import find_bounds as find_bounds
from .range_test import range_test as range_test
from .schedule import policy_schedule as policy_schedule
