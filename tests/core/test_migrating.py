"""What docs/migrating.md says of other implementations, from their documented definitions."""

from __future__ import annotations

import math

import pytest

import clrcore
from cases import each

np = pytest.importorskip("numpy")

BASE, TOP, SIZE = 0.001, 0.006, 2000
STEPS = [*range(0, 12_001, 50), 2000, 3999, 4000, 4001, 99_999, 10**6 + 1, 10**7 + 1234]


def papers(step, dtype=np.float64, *, scale=lambda cycle, step: 1.0):
    """Cycles counted from 1, as bckenstler/CLR and TensorFlow Addons have them."""
    base, top, size, step = dtype(BASE), dtype(TOP), dtype(SIZE), dtype(step)
    cycle = np.floor(1 + step / (2 * size))
    x = abs(step / size - 2 * cycle + 1)
    with np.errstate(over="ignore"):  # 2.0 ** (cycle - 1)
        factor = dtype(scale(cycle, step))
    return base + (top - base) * np.maximum(dtype(0), 1 - x) * factor


GAMMA = 0.99994
SCALES = {
    "triangular": (clrcore.triangular(BASE, TOP, SIZE), lambda cycle, step: 1.0),
    "triangular2": (
        clrcore.triangular2(BASE, TOP, SIZE),
        lambda cycle, step: 1 / 2.0 ** (cycle - 1),
    ),
    "exp_range": (
        clrcore.exp_range(BASE, TOP, SIZE, gamma=GAMMA, decays="amplitude"),
        lambda cycle, step: GAMMA**step,
    ),
    "scale_fn of the cycle": (
        clrcore.cyclic(BASE, TOP, SIZE, scale=lambda cycle, step: 1 / (cycle + 1)),
        lambda cycle, step: 1 / cycle,
    ),
    "scale_fn of the iterations": (
        clrcore.cyclic(BASE, TOP, SIZE, scale=lambda cycle, step: 1 / (1 + 1e-4 * step)),
        lambda cycle, step: 1 / (1 + 1e-4 * step),
    ),
    "Addons, gamma by cycle": (
        clrcore.cyclic(BASE, TOP, SIZE, scale=lambda cycle, step: 0.96 ** (cycle + 1)),
        lambda cycle, step: 0.96**cycle,
    ),
}


@each("name", SCALES)
def test_the_rates_are_those_of_the_formula(name):
    policy, scale = SCALES[name]
    for step in STEPS:
        # The formula takes differences of numbers as large as step / SIZE.
        rounding = 1e-15 * max(1.0, step / SIZE) * (TOP - BASE)
        assert policy(step) == pytest.approx(float(papers(step, scale=scale)), abs=4 * rounding)


def test_addons_in_float32_comes_into_wrong_cycles():
    """A step that begins a cycle, or ends one, is counted to the one before or after."""
    policy = SCALES["triangular"][0]
    wrong = []
    for number in range(5000, 6000):  # of a cycle; steps from 2e7 to 2.4e7
        for step in (number * 2 * SIZE - 1, number * 2 * SIZE):
            theirs = int(np.floor(1 + np.float32(step) / np.float32(2 * SIZE))) - 1
            if theirs != policy.locate(step).cycle:
                wrong.append(step)
    assert wrong


def test_addons_halves_by_the_update_in_the_wrong_mode():
    def scale(cycle, step):
        return 1 / 2.0 ** (step - 1)

    assert papers(2000, scale=scale) == BASE  # the peak
    assert clrcore.triangular2(BASE, TOP, SIZE)(2000) == TOP


def fastai(step, total, lr_max, div=25.0, div_final=1e5, pct_start=0.25):
    """Two halves of a cosine over the part of the run that is made."""

    def cosine(start, end, part):
        return start + (1 + math.cos(math.pi * (1 - part))) * (end - start) / 2

    made = step / total
    if made < pct_start:
        return cosine(lr_max / div, lr_max, made / pct_start)
    return cosine(lr_max, lr_max / div_final, (made - pct_start) / (1 - pct_start))


@pytest.mark.parametrize("total", [100, 500, 4096])
def test_fastais_one_cycle_is_at_most_an_update_behind(total):
    policy = clrcore.one_cycle(
        0.1, total, pct_start=0.25, div_factor=25.0, final_div_factor=1e5 / 25.0
    )
    rates = [policy(step) for step in range(total)]
    for step in range(total):
        theirs = fastai(step, total, 0.1)
        near = rates[max(0, step - 1) : step + 1]
        slack = 1e-9
        assert min(near) - slack <= theirs <= max(near) + slack


def test_lightnings_smoothing_of_a_constant_loss_rises():
    average, recorded = 0.0, []
    for k in range(4):
        average = 0.98 * average + 0.02 * 2.0
        recorded.append(round(average / (1 - 0.98 ** (k + 2)), 2))
    assert recorded == [1.01, 1.35, 1.52, 1.62]
