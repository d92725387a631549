"""PyTorch: `PolicyLR`, a learning-rate scheduler, and `range_test`, which finds its bounds."""

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise ImportError(
        f'clr_adapters.torch needs PyTorch: pip install "clrcore[torch]" ({error})'
    ) from error

from .policy_lr import PolicyLR as PolicyLR
from .range_test import range_test as range_test
