"""The progress bar of a range test."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

# As in the usual displays of losses: about the last ten updates.
SMOOTHING = 0.9


class Bar:
    """Counts updates and shows the last rate and the smoothed loss; or shows nothing."""

    def __init__(self, total: int, name: str, *, show: bool) -> None:
        self._count = 0
        self._loss = 0.0
        self._bar: Any = _tqdm()(total=total, desc=name, unit="update") if show else None

    def advance(self, lr: float, loss: float) -> None:
        """Count one update."""
        if self._bar is None:
            return
        self._count += 1
        self._loss += max(1 / self._count, 1 - SMOOTHING) * (loss - self._loss)
        self._bar.set_postfix(lr=f"{lr:.2e}", loss=f"{self._loss:.4g}", refresh=False)
        self._bar.update()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()


def check_installed() -> None:
    """Raise ImportError, naming what to install, where no bar can be shown."""
    _tqdm()


def _tqdm() -> Any:
    try:
        from tqdm.auto import tqdm
    except ImportError as error:
        raise ImportError(
            'the progress bar needs tqdm: pip install "clrcore[torch]", or pass '
            f"progress=False ({error})"
        ) from error
    return tqdm
