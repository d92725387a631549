"""PyTorch: `PolicyLR` sets the rates; `range_test` and `find_bounds` find their bounds."""

from .._extras import install as _install

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise ImportError(f"clr_adapters.torch needs PyTorch: {_install('torch')} ({error})") from error

from .find_bounds import find_bounds as find_bounds
from .policy_lr import PolicyLR as PolicyLR
from .range_test import range_test as range_test
