"""The exceptions of clrcore. Each carries its facts as attributes, so no code reads a message."""

from __future__ import annotations

from typing import Any, Self


class ArgumentError(Exception):
    """A wrong argument. Raised as `ArgumentTypeError` or `ArgumentValueError`.

    Attributes:
        argument: Name of the argument, such as "max_lr" or "milestones[2]".
        allowed: What would have been accepted, in words.
        got: The value that was given.
        advice: What to do, in words, or "".
    """

    argument: str
    allowed: str
    got: Any
    advice: str

    @classmethod
    def of(cls, message: str, argument: str, allowed: str, got: object, advice: str = "") -> Self:
        """An error with this message and these facts; it can be pickled."""
        error = cls(message)
        error.argument, error.allowed, error.got, error.advice = argument, allowed, got, advice
        return error


class ArgumentTypeError(ArgumentError, TypeError):
    """An argument of the wrong type."""


class ArgumentValueError(ArgumentError, ValueError):
    """An argument of the right type with a value that is not allowed."""


class TableError(ValueError):
    """A table or a list of records cannot be read.

    Attributes:
        file: Path of the file, or None where a stream or a list was read.
        line: Number of the line or record, from 1, or None where the whole file is meant.
        column: Name of the column, or None where no single column is meant.
        problem: What is wrong, without file and line.
    """

    file: str | None
    line: int | None
    column: str | None
    problem: str

    @classmethod
    def at(
        cls,
        file: str | None,
        line: int | None,
        column: str | None,
        problem: str,
        unit: str = "line",
    ) -> Self:
        """An error whose message starts with the file and the line, where they are known."""
        place = ", ".join([*([file] if file else []), *([f"{unit} {line}"] if line else [])])
        error = cls(f"{place}: {problem}" if place else problem)
        error.file, error.line, error.column, error.problem = file, line, column, problem
        return error


class NoBoundsError(ValueError):
    """A range test carries no answer. The message gives the reason and the next step.

    Attributes:
        kind: The diagnosis as a word that code can compare, such as "noise".
    """

    def __init__(self, message: str, kind: str = "no_fall") -> None:
        super().__init__(message)
        self.kind = kind

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.kind)
