"""Many range tests at once, on any engine that runs functions: `range_tests`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from .arguments import check_list, refuse, shown

Setting = TypeVar("Setting")
Result = TypeVar("Result")


class Future(Protocol):
    """A promise of a result."""

    def result(self) -> Any:
        """Wait for the result, or raise the function's exception."""


class Executor(Protocol):
    """Whatever runs functions elsewhere: processes, threads, a cluster."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future:
        """Start the function and return at once."""


def range_tests(
    run: Callable[[Setting], Result],
    settings: Iterable[Setting],
    executor: Executor | None = None,
) -> list[Result | Exception]:
    """Run a function once per setting, such as a range test per seed or per weight decay.

    A setting that fails does not stop the others: its exception takes the place of its result,
    with a note that names the setting.

    Args:
        run: Function of a setting, such as a seed or a dictionary. Engines that use processes
            need it at the top level of a module.
        settings: The settings, any iterable with an end.
        executor: An object with `submit(function, *arguments)`, whose result has `result()`: an
            executor of concurrent.futures, loky, mpi4py or submitit, or a dask `Client`. By
            default the settings run here, in order.

    Returns:
        A list in the order of `settings`: each entry is the result of `run`, or the exception
        that it or the engine raised.

    Raises:
        TypeError: For an argument of the wrong type; the message names it.

    Example:
        >>> import clrcore
        >>> clrcore.range_tests(lambda seed: seed**2, range(3))
        [0, 1, 4]
    """
    if not callable(run):
        refuse(TypeError, "run", "a function of a setting", run)
    settings = check_list("settings", settings, "a list of settings")
    if executor is not None and not callable(getattr(executor, "submit", None)):
        refuse(TypeError, "executor", "an object with submit(), or None", executor)
    if executor is None:
        return [_outcome(setting, run, setting) for setting in settings]
    futures: list[Any] = []
    try:
        for setting in settings:
            futures.append(_outcome(setting, executor.submit, run, setting))
        return [
            future if isinstance(future, Exception) else _outcome(setting, future.result)
            for setting, future in zip(settings, futures, strict=True)
        ]
    except BaseException:  # Ctrl-C: work that has not started is not worth waiting for
        for future in futures:
            with suppress(Exception):
                future.cancel()
        raise


def _outcome(setting: object, function: Callable[..., Any], *arguments: Any) -> Any:
    """The result of the function, or the exception that it raised."""
    try:
        return function(*arguments)
    except Exception as error:
        note = f"the setting was {shown(setting)}"
        # An engine may return the same exception again, as dask does for equal settings.
        if note not in getattr(error, "__notes__", ()):
            error.add_note(note)
        return error
