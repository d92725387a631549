"""`policy_schedule`: a policy as a piece of `optax.join_schedules`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

import clrcore
from clrcore.arguments import check_type


def policy_schedule(policy: clrcore.Policy) -> Callable[[Any], Any]:
    """An optax schedule that holds the policy's first rate at negative counts.

    `optax.join_schedules` calls every piece at every count, less the piece's first count, which
    is negative before it begins; outside of `jax.jit` a policy refuses such a count. Everywhere
    else a policy is an optax schedule, and `clrcore.chain` joins policies.

    Args:
        policy: A policy of clrcore.

    Returns:
        A function of the count, an integer or an integer array, that gives the rate.

    Raises:
        TypeError: `policy` is not a policy.

    Example:
        >>> import clrcore, optax
        >>> from clr_adapters.jax import policy_schedule
        >>> warmup = optax.linear_schedule(0.0, 0.01, 100)
        >>> policy = policy_schedule(clrcore.triangular(0.01, 0.1, step_size=200))
        >>> schedule = optax.join_schedules([warmup, policy], [100])
        >>> [round(float(schedule(count)), 4) for count in (50, 100, 300)]
        [0.005, 0.01, 0.1]
    """
    allowed = "a policy of clrcore, such as clrcore.triangular"
    check_type("policy", policy, clrcore.Policy, allowed)

    def schedule(count: Any) -> Any:
        if isinstance(count, int):  # may be larger than JAX's integers
            return policy(max(count, 0))
        return policy(jnp.maximum(count, 0))

    return schedule
