"""JAX: a range test that runs on the device.

A policy is an optax schedule and needs no adapter.
"""

from .._extras import needed as _needed

with _needed("jax", "clr_adapters.jax needs JAX"):
    import jax as _jax  # noqa: F401

from .find_bounds import find_bounds as find_bounds
from .range_test import range_test as range_test
from .schedule import policy_schedule as policy_schedule
