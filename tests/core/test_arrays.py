"""Arrays of steps: any integer type, any shape, any array library."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import clrcore
from cases import each
from strategies import policies

TYPES = ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"]


@given(policies)
def test_small_and_unsigned_counters_do_not_wrap(policy):
    expected = policy(np.array([0, 1, 100, 127])).tolist()
    for kind in TYPES:
        rates = policy(np.array([0, 1, 100, 127], dtype=kind))
        assert (rates.tolist(), rates.dtype) == (expected, np.float64)


@given(policies)
def test_the_largest_counters_are_exact(policy):
    """Beyond int64, where NumPy's division by a Python int would fail or round."""
    steps = np.array([2**64 - 1, 2**63 + 12345, 5], dtype=np.uint64)

    expected = [policy(int(step)) for step in steps]
    assert policy(steps) == pytest.approx(expected, rel=1e-12, abs=1e-12 * max(expected))
    assert policy(steps.astype(">u8")).tolist() == policy(steps).tolist()
    assert policy(steps.reshape(3, 1)).shape == (3, 1)


def test_subclasses_of_arrays_give_plain_arrays():
    rates = clrcore.constant(0.5)(np.ma.array([[3, 4]], mask=[[True, False]]))

    assert type(rates) is np.ndarray
    assert rates.tolist() == [[0.5, 0.5]]


def test_four_bit_integers_are_integers():
    """As ml_dtypes, which JAX brings along, has them."""
    int4 = np.dtype(pytest.importorskip("ml_dtypes").int4)

    rates = clrcore.triangular(0.001, 0.006, 4)(np.arange(8).astype(int4))

    assert rates.tolist() == clrcore.triangular(0.001, 0.006, 4).values(0, 8).tolist()


@each("shape", [(), (0,), (1,), (3, 4), (2, 0, 5), (1, 1, 1)])
@each("constructor", ["triangular", "chain", "one_cycle", "warm_restarts"])
def test_shapes_are_kept(constructor, shape):
    policy = {
        "triangular": clrcore.triangular(0.1, 1.0, 4),
        "chain": clrcore.chain([(clrcore.constant(0.1), 2), (clrcore.decay(1.0, 0.1, 5), 5)]),
        "one_cycle": clrcore.one_cycle(1.0, 10),
        "warm_restarts": clrcore.warm_restarts(0.1, 1.0, 2, multiplier=2),
    }[constructor]
    steps = np.arange(np.prod(shape, dtype=int)).reshape(shape)

    rates = policy(steps)

    assert isinstance(rates, np.ndarray)
    assert (rates.shape, rates.dtype) == (shape, np.float64)
    assert rates.ravel().tolist() == pytest.approx(
        [policy(int(t)) for t in steps.ravel()], rel=1e-15
    )


@given(policies, st.integers(0, 2**31 - 1))
def test_an_array_api_library_gives_its_own_arrays(policy, step):
    xp = pytest.importorskip("array_api_strict")
    steps = xp.asarray([step, 0, 3], dtype=xp.int64)

    rates = policy(steps)

    assert isinstance(rates, type(steps))
    assert rates.dtype == xp.float64
    expected = policy(np.array([step, 0, 3]))
    scale = max(expected.max(), 1e-300)
    assert np.asarray(rates) == pytest.approx(expected, rel=1e-12, abs=1e-12 * scale)


@pytest.mark.parametrize("kind", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "uint64"])
def test_small_counters_of_an_array_api_library_do_not_wrap(kind):
    xp = pytest.importorskip("array_api_strict")
    policy = clrcore.triangular(0.001, 0.006, 2000)

    rates = policy(xp.asarray([0, 1, 100, 127], dtype=getattr(xp, kind)))

    assert np.asarray(rates).tolist() == policy.values(0, 128)[[0, 1, 100, 127]].tolist()


def test_an_array_api_library_is_checked_too():
    xp = pytest.importorskip("array_api_strict")
    policy = clrcore.constant(0.1)

    with pytest.raises(ValueError, match="step must be an integer >= 0"):
        policy(xp.asarray([0, -1]))
    for wrong in (xp.asarray([0.5]), xp.asarray([True])):
        with pytest.raises(TypeError, match="step must be an integer or an array of integers"):
            policy(wrong)


class Traced:
    """An array under tracing: it has values, but no truth, and takes what its type holds."""

    def __init__(self, values, kind=np.int32):
        self.values = np.asarray(values, dtype=kind)

    @property
    def dtype(self):
        return self.values.dtype

    def __array_namespace__(self):
        return TracedNamespace

    def __bool__(self):
        raise TypeError("a traced value has no truth")


def _lift(name):
    def method(self, other=None):
        other = other.values if isinstance(other, Traced) else other
        if isinstance(other, int) and self.dtype.kind in "iu":
            np.array(other, dtype=self.dtype)  # OverflowError where it does not fit
        arguments = () if other is None else (other,)
        return Traced(getattr(self.values, name)(*arguments), None)

    return method


for operator in ("add", "sub", "mul", "truediv", "floordiv", "mod", "radd", "rsub", "rmul", "neg"):
    setattr(Traced, f"__{operator}__", _lift(f"__{operator}__"))
for operator in ("lt", "le", "ge", "gt", "and"):
    setattr(Traced, f"__{operator}__", _lift(f"__{operator}__"))


class TracedNamespace:
    float32, int32 = np.dtype("float32"), np.dtype("int32")

    @staticmethod
    def asarray(value):
        return Traced(value, np.float32)

    @staticmethod
    def astype(x, kind):
        return Traced(x.values, kind)

    @staticmethod
    def isdtype(kind, name):
        return np.isdtype(kind, name) if hasattr(np, "isdtype") else kind.kind in "iu"

    @staticmethod
    def iinfo(kind):
        return np.iinfo(kind)

    @staticmethod
    def any(x):
        return Traced(x.values.any(), None)

    @staticmethod
    def where(condition, yes, no):
        yes, no = (x.values if isinstance(x, Traced) else x for x in (yes, no))
        return Traced(np.where(condition.values, yes, no), None)

    @staticmethod
    def exp(x):
        return Traced(np.exp(x.values), None)

    @staticmethod
    def cos(x):
        return Traced(np.cos(x.values), None)

    @staticmethod
    def sqrt(x):
        return Traced(np.sqrt(x.values), None)


class FourBits(Traced):
    """JAX's int4, in which few operations are there."""

    dtype = "int4"


def test_evaluate_widens_four_bits():
    policy = clrcore.triangular(0.001, 0.006, 40)

    rates = policy.evaluate(
        FourBits([0, 3, 7]), TracedNamespace, lambda n: Traced(n.values, np.float64)
    )

    assert rates.values.tolist() == policy.values(0, 8)[[0, 3, 7]].tolist()


FAR = [
    clrcore.triangular(0.001, 0.006, 3 * 10**9),
    clrcore.triangular(0.001, 0.006, 2 * 10**9, 10**9),
    clrcore.chain([(clrcore.triangular(0.0, 1.0, 10), 5 * 10**9), (clrcore.constant(0.5), None)]),
    clrcore.one_cycle(0.1, 10**10),
    clrcore.one_cycle(0.1, 3 * 10**9, anneal_strategy="linear"),
    clrcore.linear_sweep(0.0, 1.0, 10**10),
    clrcore.decay(1.0, 0.1, 10**10),
    clrcore.smith_one_cycle(0.1, 1.0, 2 * 10**9),
    clrcore.warm_restarts(0.1, 1.0, 10**9, multiplier=3),
]


@each("policy", [*FAR, clrcore.triangular2(0.1, 1.0, 50)])
def test_traced_int32_counters_never_meet_larger_numbers(policy):
    steps = [0, 1, 10**6, 2**24 + 1, 10**9, 2**31 - 1]

    rates = policy(Traced(steps))

    assert rates.dtype == np.float32
    expected = policy(np.array(steps))
    assert rates.values == pytest.approx(expected, rel=0, abs=5e-7 * expected.max())


@each(
    "policy",
    [
        clrcore.triangular2(0.1, 1.0, 50),
        clrcore.triangular2(0.1, 1.0, 3 * 10**9),
        clrcore.exp_range(0.1, 1.0, 50, gamma=0.99, decays="amplitude"),
        clrcore.warm_restarts(0.1, 1.0, 50, multiplier=2),
        clrcore.stepwise(1.0, [10, 100, 2**31 - 1, 2**33]),
        clrcore.one_cycle(1.0, 300, anneal_strategy="linear"),
        clrcore.linear_sweep(0.1, 1.0, 200),
    ],
)
@each("kind", ["int32", "int64", "uint32"])
def test_traced_counters_of_any_width_have_the_rates_of_ints(policy, kind):
    steps = [*range(320), 2**31 - 2, 2**31 - 1]
    # JAX takes no constants above 2^31 - 1 beside a uint32, so only short periods go on there.
    short = (policy.period or 10**9) < 10**9
    steps += [2**31, 2**32 - 2, 2**32 - 1] * (kind == "int64" or (kind == "uint32" and short))
    steps += [2**32, 2**33, 2**40] * (kind == "int64")

    rates = policy(Traced(steps, np.dtype(kind))).values

    expected = [policy(step) for step in steps]
    assert rates == pytest.approx(expected, rel=0, abs=5e-7 * max(expected))


def test_traced_negative_steps_count_as_zero():
    policy = clrcore.triangular(0.001, 0.006, 2000)

    assert policy(Traced([-5, 0])).values.tolist() == [np.float32(0.001)] * 2


def test_evaluate_takes_any_arithmetic():
    policy = clrcore.triangular(0.25, 0.5, 2)

    as_half = policy.evaluate(np.arange(5), np, lambda n: n.astype(np.float16))
    assert (as_half.dtype, as_half.tolist()) == (np.float16, [0.25, 0.375, 0.5, 0.375, 0.25])
    assert policy.evaluate(np.array([-3, 250], dtype=np.int16), np, np.float64).tolist() == [
        0.25,
        0.5,
    ]
    assert policy.evaluate(-1, np, np.float64) == 0.25
    assert policy.evaluate(3, np, np.float64) == 0.375
    far = clrcore.triangular(0.0, 1.0, 2000)
    for kind in TYPES:
        counters = np.array([0, 100, 127], dtype=kind)
        assert far.evaluate(counters, np, np.float64).tolist() == [0.0, 0.05, 0.0635]


@each(
    "policy",
    [
        *FAR,
        clrcore.stepwise(0.1, [50, 200, 300, 500]),
        clrcore.triangular(0.1, 1.0, 64),
        clrcore.one_cycle(1.0, 200),
        clrcore.decay(1.0, 0.1, 150),
        clrcore.warm_restarts(0.1, 1.0, 20, multiplier=2),
    ],
)
@each("kind", ["int8", "uint8", "int16"])
def test_evaluate_does_not_wrap_narrow_counters_of_other_libraries(policy, kind):
    steps = [0, 1, 50, 127, 128, 255] if kind == "uint8" else [0, 1, 50, 127]

    rates = policy.evaluate(Traced(steps, kind), TracedNamespace, lambda n: Traced(n.values, "f8"))

    assert rates.values == pytest.approx(policy(np.array(steps)), rel=1e-12, abs=1e-14)


@each(
    "policy",
    [
        *FAR,
        clrcore.constant(0.1),
        clrcore.stepwise(0.1, [3, 8]),
        clrcore.warm_restarts(0.1, 1.0, 3, multiplier=2),
        clrcore.triangular(0.1, 1.0, 7, window=lambda u: u),
        clrcore.cyclic(0.1, 1.0, 7, scale=lambda cycle, step: 0.5),
    ],
)
def test_evaluate_makes_the_type_that_cast_makes(policy):
    steps = np.array([0, 5, 10**6])

    rates = policy.evaluate(steps, np, lambda n: n.astype(np.float32))

    assert rates.dtype == np.float32
    assert policy.evaluate(5, np, np.float64).dtype == np.float64
    assert policy.evaluate(np.int64(5), np, np.float64) == pytest.approx(policy(5), rel=1e-15)
    assert policy.evaluate(np.uint64(2**63 + 1), np, np.float64) == policy(2**63 + 1)


@each(
    ("kind", "step"),
    [
        (ValueError, 2.5),
        (TypeError, 2.0),
        (TypeError, True),
        (TypeError, np.array([2.5])),
        (TypeError, np.array([True])),
        (TypeError, Traced([2.5], np.float32)),
    ],
)
def test_evaluate_refuses_what_is_no_integer(kind, step):
    with pytest.raises(kind, match="step must be an integer"):
        clrcore.constant(0.1).evaluate(step, np, np.float64)
