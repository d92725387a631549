"""Profiles and examples, for every test of the project."""

import os
import signal

from hypothesis import HealthCheck, settings

from clrcore.errors import ArgumentError

# A check that fails by the clock fails on a busy machine.
UNTIMED = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}

settings.register_profile("dev", max_examples=30, **UNTIMED)  # "ci" runs many more, once
settings.register_profile(
    "ci",
    max_examples=500,
    derandomize=True,
    database=None,
    print_blob=True,
    **UNTIMED,
)
settings.register_profile(
    "mutant",
    max_examples=20,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),  # mutants are slow
)
settings.register_profile("long", max_examples=20_000, **UNTIMED)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if "CI" in os.environ else "dev"))

# Tests press Ctrl-C, which a process that a shell has put into the background ignores.
signal.signal(signal.SIGINT, signal.default_int_handler)


# Every refusal in every test carries its facts in words, and its message names the argument.
_of = ArgumentError.of.__func__


def _checked(cls, message, argument, allowed, got, advice=""):
    assert all(isinstance(fact, str) and fact for fact in (message, argument, allowed))
    assert isinstance(advice, str)
    for name in argument.split(", "):
        assert name.partition("[")[0].partition("(")[0] in message
    return _of(cls, message, argument, allowed, got, advice)


ArgumentError.of = classmethod(_checked)
