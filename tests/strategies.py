"""Hypothesis strategies for policies, and the exact arithmetic they are held against."""

from fractions import Fraction

from hypothesis import strategies as st

import clrcore

# Up to here steps are promised to be exact to a few ulp (they are exact in float64 at all).
FAR = 10**15

WINDOWS = ("triangular", "welch", "hann")
EXACT_WINDOWS = ("triangular", "welch")

steps = st.one_of(st.integers(0, 50), st.integers(0, 10**6), st.integers(0, FAR))
step_sizes = st.one_of(st.integers(1, 12), st.integers(1, 10**4), st.integers(1, FAR))
rates = st.one_of(
    st.floats(1e-8, 10.0),
    st.sampled_from([0.0, 0.001, 0.006, 0.01, 0.026, 0.1, 1 / 3, 1.0, 3.0]),
    st.floats(0.0, 1e300),
)
gammas = st.one_of(st.sampled_from([1.0, 0.99994, 0.999995, 0.5, 1 - 1e-15]), st.floats(0.01, 1.0))
windows = st.sampled_from(WINDOWS)


@st.composite
def bounds(draw):
    low, high = sorted([draw(rates), draw(rates)])
    return low, high


@st.composite
def halves(draw):
    up = draw(step_sizes)
    return up, draw(st.one_of(st.just(up), step_sizes))


@st.composite
def undecayed(draw, windows=windows):
    low, high = draw(bounds())
    up, down = draw(halves())
    return clrcore.triangular(low, high, up, down, window=draw(windows))


@st.composite
def halving(draw, windows=windows):
    low, high = draw(bounds())
    up, down = draw(halves())
    return clrcore.triangular2(low, high, up, down, window=draw(windows))


@st.composite
def decaying(draw):
    low, high = draw(bounds())
    up, down = draw(halves())
    return clrcore.exp_range(
        low,
        high,
        up,
        down,
        gamma=draw(gammas),
        decays=draw(st.sampled_from(["amplitude", "bounds"])),
        window=draw(windows),
    )


@st.composite
def sweeps(draw):
    low = draw(st.floats(1e-9, 0.9))
    high = draw(st.floats(1.0, 100.0))
    make = draw(st.sampled_from([clrcore.linear_sweep, clrcore.exponential_sweep]))
    return make(low, high, draw(st.integers(2, 10**6)))


@st.composite
def stepwises(draw):
    milestones = sorted(draw(st.sets(st.integers(1, 10**6), max_size=5)))
    return clrcore.stepwise(draw(rates), milestones, draw(st.floats(0.01, 1.0)))


@st.composite
def decays(draw):
    low, high = draw(bounds())
    make = draw(st.sampled_from([clrcore.decay, clrcore.cosine]))
    return make(high, low, draw(step_sizes))


@st.composite
def one_cycles(draw):
    form = draw(st.sampled_from(["two_phase", "three_phase"]))
    return clrcore.one_cycle(
        draw(st.floats(1e-6, 10.0)),
        draw(st.one_of(st.integers(1, 20), st.integers(1, 10**5))),
        form=form,
        pct_start=draw(st.floats(0.0, 1.0 if form == "two_phase" else 0.5)),
        anneal_strategy=draw(st.sampled_from(["cos", "linear"])),
        div_factor=draw(st.floats(0.5, 100.0)),
        final_div_factor=draw(st.floats(0.5, 1e5)),
    )


@st.composite
def restarts(draw):
    low, high = draw(bounds())
    return clrcore.warm_restarts(
        low, high, draw(st.integers(1, 10**4)), multiplier=draw(st.integers(1, 4))
    )


@st.composite
def smiths(draw):
    low, high = draw(bounds())
    return clrcore.smith_one_cycle(low, high, draw(step_sizes))


simple = st.one_of(
    undecayed(),
    halving(),
    decaying(),
    sweeps(),
    stepwises(),
    decays(),
    one_cycles(),
    restarts(),
    smiths(),
    st.builds(clrcore.constant, rates),
    st.builds(clrcore.exponential, rates, gammas),
)


@st.composite
def chains(draw):
    stages = draw(st.lists(st.tuples(simple, st.integers(1, 10**6)), min_size=1, max_size=4))
    if draw(st.booleans()):
        stages[-1] = (stages[-1][0], None)
    return clrcore.chain(stages)


@st.composite
def opposed(draw):
    low, high = draw(bounds())
    return draw(st.one_of(undecayed(), halving(), decaying(), restarts())).opposed(low, high)


@st.composite
def cooldowns(draw):
    policy, at = draw(st.one_of(simple, chains())), draw(st.integers(0, 10**6))
    shape = draw(st.sampled_from(["linear", "cosine", "1-sqrt"]))
    final_lr = policy(at) * draw(st.floats(0.0, 1.0))
    return clrcore.cooldown(policy, at, draw(step_sizes), final_lr=final_lr, shape=shape)


policies = st.one_of(simple, chains(), opposed(), cooldowns())


def ulps(value: float, exact: Fraction) -> Fraction:
    """Distance of a float from an exact value, in units of the float's last place."""
    import math

    return abs(Fraction(value) - exact) / Fraction(math.ulp(value))
