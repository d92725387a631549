"""How to install the packages that an adapter needs."""

from collections.abc import Iterator
from contextlib import contextmanager


def install(extra: str) -> str:
    """The advice of an ImportError: the command that installs an extra."""
    return f'run pip install ".[{extra}]" in a checkout of clrcore'


@contextmanager
def needed(extra: str, sentence: str, more: str = "") -> Iterator[None]:
    """In this block, an ImportError says what needs the package, and how to install it."""
    try:
        yield
    except ImportError as error:
        raise ImportError(f"{sentence}: {install(extra)}{more} ({error})") from error
