"""The same dictionary gives the same rates in every framework.

Keras has one backend in a process, so each framework has a process of its own. CLR_REQUIRE names
the frameworks that must be there, parted by commas; others are skipped where they are missing.
"""

import json
import os
import subprocess
import sys
import textwrap
from importlib.util import find_spec

import pytest

import clrcore

REQUIRED = [name for name in os.environ.get("CLR_REQUIRE", "").split(",") if name]
# Of the highest rate; float32 itself is good for 6e-8.
TOLERANCE = 5e-7

POLICIES = [
    clrcore.triangular(0.001, 0.006, 2000),
    clrcore.triangular(0.001, 0.006, 50, 30, window="hann"),
    clrcore.triangular(0.001, 0.006, 2000, window="welch"),
    clrcore.triangular2(0.001, 0.006, 2000),
    clrcore.exp_range(0.001, 0.006, 2000, gamma=0.99994, decays="amplitude"),
    clrcore.exp_range(0.001, 0.006, 2000, gamma=0.999999, decays="bounds"),
    clrcore.one_cycle(0.1, 10**7),
    clrcore.warm_restarts(0.001, 0.1, 100, multiplier=2),
    clrcore.cooldown(clrcore.triangular(0.001, 0.006, 50), 80, 4000, shape="1-sqrt"),
    clrcore.triangular(0.001, 0.006, 2000).opposed(0.85, 0.95),
    clrcore.chain(
        [
            (clrcore.triangular2(1e-3, 5e-3, 2000), 16_000),
            (clrcore.triangular2(1e-4, 5e-4, 1000), 6_000),
            (clrcore.triangular2(1e-5, 5e-5, 500), None),
        ]
    ),
]
STEPS = [0, 1, 49, 50, 79, 1999, 2000, 4000, 17_000, 22_500, 10**6, 2**24 + 1, 10**8]

READ = """
    import json, sys

    import clrcore

    dictionaries, steps = json.load(sys.stdin)
    policies = [clrcore.policy_from_dict(one) for one in dictionaries]
"""
# What a framework's optimizer is given: each program leaves `rates`, a list per policy.
KERAS = """
    import keras
    from clr_adapters.keras import PolicySchedule

    optimizers = [keras.optimizers.SGD(PolicySchedule(policy)) for policy in policies]

    def rate(optimizer, step):
        optimizer.iterations.assign(step)
        return float(optimizer.learning_rate)

    rates = [[rate(optimizer, step) for step in steps] for optimizer in optimizers]
"""
OPTAX = """
    import jax, optax

    def rate(policy, step):
        state = optax.scale_by_schedule(policy).init(0.0)._replace(count=step)
        return float(optax.scale_by_schedule(policy).update(jax.numpy.float32(1), state)[0])

    counts = [jax.numpy.asarray(step, dtype="int32") for step in steps]
    rates = [[rate(policy, count) for count in counts] for policy in policies]
"""
TORCH = """
    import torch
    from clr_adapters.torch import PolicyLR

    def rate(scheduler, step):
        scheduler.jump(step)
        return float(scheduler.optimizer.param_groups[0]["lr"])

    def scheduler(policy):
        return PolicyLR(torch.optim.SGD([torch.zeros(1)], lr=0.1), policy)

    rates = [[rate(made, step) for step in steps] for made in map(scheduler, policies)]
"""
NUMPY = """
    import numpy

    rates = [policy(numpy.array(steps)).tolist() for policy in policies]
"""
WRITE = """
    print(json.dumps(rates))
"""
FRAMEWORKS = {
    "numpy": (NUMPY, ["numpy"]),
    "torch": (TORCH, ["torch"]),
    "keras on tensorflow": (KERAS, ["keras", "tensorflow"]),
    "keras on jax": (KERAS, ["keras", "jax"]),
    "keras on torch": (KERAS, ["keras", "torch"]),
    "optax": (OPTAX, ["optax"]),
}


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_same_dictionary_gives_the_same_rates(framework):
    program, needed = FRAMEWORKS[framework]
    for name in needed:
        if name not in REQUIRED and find_spec(name) is None:
            pytest.skip(f"{name} is not installed")
    source = "".join(map(textwrap.dedent, (READ, program, WRITE)))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    ended = subprocess.run(
        [sys.executable, "-c", source],
        input=json.dumps([[policy.to_dict() for policy in POLICIES], STEPS]),
        capture_output=True,
        text=True,
        env=environment | {"KERAS_BACKEND": needed[-1]},
    )
    assert ended.returncode == 0, ended.stderr

    for policy, rates in zip(POLICIES, json.loads(ended.stdout.splitlines()[-1]), strict=True):
        exact = [policy(step) for step in STEPS]
        highest = getattr(policy, "max_lr", max(exact))
        assert rates == pytest.approx(exact, rel=0, abs=TOLERANCE * highest)
