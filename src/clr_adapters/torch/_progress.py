"""The progress bar of a range test."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import clrcore
from clrcore.arguments import check_bool

from .._extras import needed


def progress_bar(runs: clrcore.SeededRangeTests, *, show: bool) -> AbstractContextManager[Any]:
    """A bar of all updates of the runs, or a context of None where none is to be shown."""
    if not show:
        return nullcontext()
    bar = _tqdm_class()(total=runs.most_updates, desc=runs.stage, unit="update")
    return bar  # type: ignore[no-any-return]


def advance(bar: Any, stage: str, count: int, lr: float, loss: float | None) -> None:
    """Count updates, and show the purpose of the run, the last rate and the smoothed loss."""
    if bar is None or not count:
        return
    shown = {} if loss is None else {"loss": f"{loss:.4g}"}
    bar.set_description(stage, refresh=False)
    bar.set_postfix(lr=f"{lr:.2e}", **shown, refresh=False)
    bar.update(count)


def check_progress(show: object) -> bool:
    """The argument `progress`, refused where it cannot be granted.

    Raises:
        ImportError: tqdm is not installed; the message names the extra.
    """
    if check_bool("progress", show):
        _tqdm_class()
    return bool(show)


def _tqdm_class() -> Any:
    with needed("torch", "the progress bar needs tqdm", ", or pass progress=False"):
        from tqdm.auto import tqdm
    return tqdm
