"""The rates of many consecutive steps of an undecayed periodic policy, at memory speed.

The policy's own formula, in place and in pieces that stay in the cache. For the triangular
and the Welch window every rounding is the formula's, so the results agree bit by bit; long
Hann ramps are made by the addition theorem, and agree within a few ulp of max_lr.
"""

from __future__ import annotations

import math

from . import windows

TYPE_CHECKING = False
if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .policies import Cyclic

    Rates = NDArray[np.float64]

# 256 KiB of float64: small enough for the second-level cache, large enough that the cost of
# calling NumPy does not show.
PIECE = 32_768
# A Hann ramp longer than this is made of tiles of ROWS x COLUMNS cosines: NumPy's cos takes
# 40 times as long as writing a number.
DIRECT_COSINES = 16_384
ROWS, COLUMNS = 64, 1024
# A ramp that ends below this part of its peak does not round to the peak.
CLEARLY_BELOW = 1.0 - 1e-12
# Below this, floats are too coarse for an error to be a part of the value.
SMALLEST = 1e-290


def periodic(policy: Cyclic, start: int, stop: int) -> Rates:
    """The rates of start <= t < stop."""
    import numpy

    out = numpy.empty(stop - start)
    first = start % policy.period
    if start == stop:
        return out
    if policy.period > out.size:
        _steps(policy, first, out)
        return out
    once = out[: policy.period]
    _cycle(policy, once)
    if first:
        once[:] = numpy.concatenate([once[first:], once[:first]])
    done = once.size
    while done < out.size:
        more = min(done, out.size - done)
        out[done : done + more] = out[:more]
        done += more
    return out


def _cycle(policy: Cyclic, out: Rates) -> None:
    """One whole cycle, from its base."""
    up = policy.step_size
    if policy.step_size_down != up:
        _steps(policy, 0, out)
        return
    _ramp(policy, up, 0, out[: up + 1])
    out[up + 1 :] = out[up - 1 : 0 : -1]


def _steps(policy: Cyclic, inside: int, out: Rates) -> None:
    """The rates from step `inside` of a cycle on; at most one cycle of them."""
    up, down, period = policy.step_size, policy.step_size_down, policy.period
    if inside <= up:
        rising = min(out.size, up + 1 - inside)
        _ramp(policy, up, inside, out[:rising])
        inside, out = inside + rising, out[rising:]
    falling = min(out.size, period - inside)
    if falling:
        # Counted from the coming base, the height rises backwards.
        _ramp(policy, down, period - inside - falling + 1, out[:falling][::-1])
    if out.size > falling:
        _steps(policy, 0, out[falling:])


def _ramp(policy: Cyclic, half: int, first: int, out: Rates) -> None:
    """The rates at heights k / half, k = first, first + 1, ..."""
    if policy.window == "hann" and half > DIRECT_COSINES:
        _cosine_tiles(policy, half, first, out)
    else:
        _pieces(policy, half, first, out)
    if first + out.size - 1 == half:
        out[-1] = policy.max_lr
    if first == 0:
        out[0] = policy.base_lr


def _pieces(policy: Cyclic, half: int, first: int, out: Rates) -> None:
    import numpy

    span = policy.max_lr - policy.base_lr
    counting = numpy.arange(min(PIECE, out.size), dtype=float)
    work = numpy.empty_like(counting)
    for at in range(0, out.size, PIECE):
        piece = out[at : at + PIECE]
        u = work[: piece.size]
        numpy.add(counting[: piece.size], float(first + at), out=u)
        numpy.divide(u, float(half), out=u)
        if policy.window == "triangular":
            numpy.multiply(u, span, out=u)
        elif policy.window == "welch":
            numpy.subtract(2.0, u, out=piece)
            numpy.multiply(u, piece, out=u)
            numpy.multiply(u, span, out=u)
        else:
            numpy.multiply(windows.height(policy.window, u, numpy), span, out=u)
        numpy.add(u, policy.base_lr, out=piece)
        if not u[-1] < span * CLEARLY_BELOW or callable(policy.window):
            piece[~(u < span)] = policy.max_lr  # as the formula has it, so none is above


def _cosine_tiles(policy: Cyclic, half: int, first: int, out: Rates) -> None:
    """Base + span (1 - cos(a + b)) / 2, a matrix product of cosines and sines.

    The tiles start at multiples of their size whatever the range asked for, so that one
    step's rate never depends on the range.
    """
    import numpy

    span = policy.max_lr - policy.base_lr
    size = ROWS * COLUMNS
    fine = numpy.arange(COLUMNS) / half * math.pi
    right = numpy.stack([numpy.ones(COLUMNS), numpy.cos(fine), numpy.sin(fine)])
    left = numpy.full((ROWS, 3), policy.base_lr + span / 2)
    stop = first + out.size
    for tile in range(first - first % size, stop, size):
        coarse = (tile + numpy.arange(ROWS) * COLUMNS) / half * math.pi
        left[:, 1] = numpy.cos(coarse) * -span / 2
        left[:, 2] = numpy.sin(coarse) * span / 2
        begin, end = max(first, tile), min(stop, tile + size)
        piece = out[begin - first : end - first]
        if piece.size == size:
            numpy.matmul(left, right, out=piece.reshape(ROWS, COLUMNS))
        else:
            piece[:] = (left @ right).ravel()[begin - tile : end - tile]
        lowest = windows.hann(tile / half, math)
        highest = windows.hann(min(1.0, (tile + size) / half), math)
        # Only next to the bounds can rounding step over them.
        if not span * min(lowest, 1.0 - highest) > max(1e-14 * policy.max_lr, SMALLEST):
            piece.clip(policy.base_lr, policy.max_lr, out=piece)
