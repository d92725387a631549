"""PyTorch: `PolicyLR` sets the rates; `range_test` and `find_bounds` find their bounds."""

from .._extras import needed as _needed

with _needed("torch", "clr_adapters.torch needs PyTorch"):
    import torch as _torch  # noqa: F401

from .find_bounds import find_bounds as find_bounds
from .policy_lr import PolicyLR as PolicyLR
from .range_test import range_test as range_test
