"""Ctrl-C, delayed to places where everything is put back afterwards."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, ParamSpec, Self, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Interrupts:
    """In its block, a Ctrl-C acts at once within `let_through`, and waits elsewhere.

    What waits acts at the next `let_through`, or at the end of the block. Python drops exceptions
    in some places, such as the callbacks of os.fork and `__del__`; a Ctrl-C that is dropped there
    acts again. Signals reach the main thread only; in others this does nothing.
    """

    def __init__(self) -> None:
        self._open = False
        self._waiting: list[tuple[int, FrameType | None]] = []
        self._handler: Callable[[int, FrameType | None], Any] | None = None
        # What the handler raised, with the press, until it has come out of the work.
        self._raised: tuple[BaseException, tuple[int, FrameType | None]] | None = None

    def let_through(self, work: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
        """Do the work, which a Ctrl-C may end."""
        self._act()
        try:
            self._open = True
            result = work(*arguments, **options)
            self._open = False
            self._repeat_unless_in(None)
        except BaseException as error:
            self._open = False
            self._repeat_unless_in(error)
            raise
        finally:
            self._raised = None  # it would keep itself alive through its traceback
        self._act()
        return result

    def hold_back(self, work: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
        """Do the work without interruption; a Ctrl-C waits until it is over."""
        is_open, self._open = self._open, False
        try:
            result = work(*arguments, **options)
        finally:
            self._open = is_open
        if is_open:
            self._act()
        return result

    def __enter__(self) -> Self:
        handler = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is threading.main_thread() and callable(handler):
            self._handler = handler
            signal.signal(signal.SIGINT, self._press)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._handler is not None:
            signal.signal(signal.SIGINT, self._handler)
            self._act()

    def _press(self, number: int, frame: FrameType | None) -> None:
        if not self._open:
            self._waiting.append((number, frame))
            return
        self._open = False  # while the exception is on its way
        assert self._handler is not None
        try:
            self._handler(number, frame)
        except BaseException as error:
            self._raised = error, (number, frame)
            raise
        self._open = True  # a user's handler may continue

    def _repeat_unless_in(self, error: BaseException | None) -> None:
        """Let a press wait again whose exception is not the error, nor a cause of it."""
        if self._raised is None:
            return
        raised, press = self._raised
        while error is not None and error is not raised:
            error = error.__cause__ or error.__context__
        if error is None:
            self._waiting.append(press)

    def _act(self) -> None:
        if self._waiting and self._handler is not None:
            self._handler(*self._waiting.pop(0))
