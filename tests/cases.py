"""Many cases of the same law in a single test."""

import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest


def each(names: str | Sequence[str], cases: Iterable[Any]) -> Callable[..., Any]:
    """Run a test with each case in turn, as `pytest.mark.parametrize` does, but as one test.

    For cases that take no time: a test of its own for each would take longer than the case. A
    failure names its case. The cases share the fixtures of the test.
    """
    words = [names] if isinstance(names, str) else list(names)
    known = [dict(zip(words, case if len(words) > 1 else (case,), strict=True)) for case in cases]
    assert known, "no cases"

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(test)
        def run(*owner: object, **fixtures: object) -> None:
            for number, case in enumerate(known):
                try:
                    test(*owner, **fixtures, **case)
                except (Exception, pytest.fail.Exception) as error:
                    error.add_note(f"case {number}: {case}")
                    raise

        signature = inspect.signature(test)
        fixtures = [entry for name, entry in signature.parameters.items() if name not in words]
        run.__signature__ = signature.replace(parameters=fixtures)  # where pytest reads fixtures
        return run

    return decorate
