"""Range tests on engines: order, failures, interrupts."""

import os
import signal
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import pytest

import clrcore
from cases import each


def curve(seed):
    """A range test of a small quadratic; seed 3 fails."""
    if seed == 3:
        raise ArithmeticError("no such data")
    test = clrcore.RangeTest(clrcore.exponential_sweep(1e-3, 1.0, 20))
    weight = 1.0 + seed
    for lr in test:
        test.record(loss=weight**2)
        weight -= lr * 2 * weight
    return test.curve


def die(seed):
    """Kill the worker process at seed 1."""
    if seed == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return seed


def check(outcomes):
    assert [outcome.loss[0] for outcome in outcomes[:3]] == [1.0, 4.0, 9.0]
    assert isinstance(outcomes[3], ArithmeticError)
    assert outcomes[3].__notes__ == ["the setting was 3"]
    assert outcomes[4] == curve(4)


@pytest.mark.parametrize("engine", [None, ThreadPoolExecutor, ProcessPoolExecutor])
def test_results_come_in_order_and_failures_are_named(engine):
    if engine is None:
        check(clrcore.range_tests(curve, range(5)))
        return
    with engine(2) as executor:
        check(clrcore.range_tests(curve, iter(range(5)), executor))


def test_a_killed_worker_leaves_exceptions_not_a_crash():
    with ProcessPoolExecutor(1) as executor:
        outcomes = clrcore.range_tests(die, range(4), executor)
    assert len(outcomes) == 4
    assert isinstance(outcomes[1], Exception)
    assert "the setting was 1" in outcomes[1].__notes__


def test_an_exception_that_an_engine_returns_again_has_one_note():
    error = ArithmeticError("no such data")

    class Executor:
        def submit(self, function, setting):
            raise error

    outcomes = clrcore.range_tests(curve, [3, 3], Executor())
    assert outcomes == [error, error]
    assert error.__notes__ == ["the setting was 3"]


def test_an_interrupt_cancels_all_the_rest():
    class Future:
        cancelled = False

        def result(self):
            raise KeyboardInterrupt

        def cancel(self):
            self.cancelled = True

    futures = [Future(), Future()]

    class Executor:
        def submit(self, function, setting):
            return futures[setting]

    with pytest.raises(KeyboardInterrupt):
        clrcore.range_tests(curve, range(2), Executor())
    assert all(future.cancelled for future in futures)


@each(
    ("arguments", "name"),
    [
        ((3, [1]), "run"),
        ((curve, 3), "settings"),
        ((curve, "ab"), "settings"),
        ((curve, [1], 3), "executor"),
    ],
)
def test_wrong_arguments_are_refused_by_name(arguments, name):
    with pytest.raises(TypeError, match=rf"^{name} must be") as caught:
        clrcore.range_tests(*arguments)
    assert caught.value.argument == name
