"""Blocks of updates on the device, at the rates that range tests or trials hand out."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import clrcore
from clrcore.arguments import check_bool, check_int, refuse

from ._batches import repeated_batches
from ._scan import compile_block, copy_state


@dataclass
class Driver:
    """The caller's functions, compiled into blocks of updates. Checks its arguments."""

    update: Callable[..., Any]
    validate: Callable[[Any], Any] | None
    seeds: int | None
    batch_per_seed: bool
    block_size: int
    progress: bool

    def __post_init__(self) -> None:
        """Refuse wrong arguments before anything is traced."""
        for name, function in (("update", self.update), ("validate", self.validate)):
            if not callable(function) and not (name == "validate" and function is None):
                refuse(TypeError, name, "a function", function)
        self.block_size = check_int("block_size", self.block_size, 1)
        check_bool("progress", self.progress)
        self._block = compile_block(
            self.update, self.validate, seeds=self.seeds, batch_per_seed=self.batch_per_seed
        )

    def run(
        self,
        tests: Sequence[clrcore.RangeTest | clrcore.Trial],
        state: Any,
        batches: Iterable[Any],
        stage: str = "range test",
    ) -> None:
        """Make the updates of the tests, one for each seed, from a copy of the state."""
        total = tests[0].total_steps
        # Blocks of one length, so that they are compiled once; the last is filled up.
        length = -(-total // -(-total // self.block_size))
        source = repeated_batches(batches, self.seeds if self.batch_per_seed else None)
        state = copy_state(state, self.seeds)
        # A test may continue until the loss is NaN; jax_debug_nans must not stop it.
        with jax.debug_nans(False), jax.debug_infs(False):
            while running := [test for test in tests if test.reason is None]:
                leader = running[0]  # all that run are at the same update
                taken = list(islice(source, min(length, total - leader.step_count)))
                if not taken:
                    for test in running:
                        test.end_early(clrcore.RangeTest.data_end("batches"))
                    break
                rates, *_ = [test.next_rates(len(taken)) for test in running]  # all equal
                due = [leader.validation_due(ahead) for ahead in range(len(taken))]
                missing = length - len(taken)
                state, metrics = self._block(
                    state,
                    taken + [taken[-1]] * missing,
                    jnp.asarray(rates + [rates[-1]] * missing),
                    jnp.asarray(due + [False] * missing),
                )
                _record(tests, metrics, due if self.validate else [True] * len(due))
                if self.progress:
                    _show(leader, stage, rates)


def _record(
    tests: Sequence[clrcore.RangeTest | clrcore.Trial],
    metrics: dict[str, jax.Array],
    known: list[bool],
) -> None:
    """Give every running test the metrics of a block; accuracy only where it is known."""
    columns = {
        name: np.asarray(values, dtype=float).reshape(-1, len(tests))[: len(known)].T.tolist()
        for name, values in metrics.items()
    }
    for i, test in enumerate(tests):
        if test.reason is not None:
            continue
        if "accuracy" not in columns or isinstance(test, clrcore.Trial):
            test.record_block(columns["loss"][i])
            continue
        pairs = zip(columns["accuracy"][i], known, strict=True)
        test.record_block(columns["loss"][i], [x if is_known else None for x, is_known in pairs])


def _show(test: clrcore.RangeTest | clrcore.Trial, stage: str, rates: list[float]) -> None:
    loss = test.smoothed_loss
    print(
        f"\r{stage}: update {test.step_count}/{test.total_steps}, lr={rates[-1]:.2e}, "
        f"loss={math.nan if loss is None else loss:.4g} ",
        end="\n" if test.reason else "",
        file=sys.stderr,
        flush=True,
    )
