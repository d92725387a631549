"""Bad input is refused where it enters, and the message says what is wrong."""

import json
import math
import warnings
from fractions import Fraction
from inspect import signature

import numpy as np
import pytest

import clrcore
from cases import each
from clrcore.arguments import check_ends, check_keys, check_seeds, hint_at, warn_of_cycles
from constructors import ARGUMENTS as GOOD
from curves import exponential

NAN, INF = math.nan, math.inf

NOT_NUMBERS = [True, np.True_, "0.1", None, 1j, Fraction(1, 10), [0.1], np.array([0.1]), object()]
NOT_RATES = [NAN, INF, -INF, -0.1, np.float32("nan"), 10**400]
NOT_COUNTS = [0, -2, 2.5, NAN, INF, 2**53 + 1]
NOT_INTEGERS = [True, "2", 2000.0, [5], np.array(5), np.array([5, 5]), Fraction(5), 5j]

RATES = {"base_lr", "max_lr", "min_lr", "lr"}
COUNTS = {"step_size", "step_size_down", "num_steps", "total_steps", "period", "multiplier"}
FACTORS = {"gamma", "factor"}


def cases():
    for constructor, arguments in GOOD.items():
        for name in arguments:
            bad = []
            if name in RATES:
                bad = [(TypeError, x) for x in NOT_NUMBERS] + [(ValueError, x) for x in NOT_RATES]
            elif name in COUNTS:
                bad = [(TypeError, x) for x in NOT_INTEGERS] + [(ValueError, x) for x in NOT_COUNTS]
            elif name in FACTORS:
                bad = [(ValueError, x) for x in (0.0, -0.5, 1.5, NAN, INF)]
                bad += [(TypeError, x) for x in NOT_NUMBERS]
            elif name.endswith("div_factor"):
                bad = [(ValueError, x) for x in (0.0, -1.0, NAN, INF)] + [(TypeError, "25")]
            elif name == "pct_start":
                bad = [(ValueError, x) for x in (-0.1, 1.1, NAN)] + [(TypeError, "0.3")]
            elif name == "decays":
                bad = [(ValueError, "both"), (TypeError, None), (TypeError, 3)]
            for kind, value in bad:
                yield constructor, name, value, kind


@each(("constructor", "name", "value", "kind"), cases())
def test_bad_arguments_are_refused_by_name(constructor, name, value, kind):
    with pytest.raises(kind, match=rf"^{name}\b") as caught:
        getattr(clrcore, constructor)(**GOOD[constructor] | {name: value})

    assert isinstance(caught.value, kind)
    assert caught.value.argument.startswith(name)
    assert caught.value.allowed in str(caught.value)
    assert "must be" in str(caught.value)


@each("constructor", GOOD)
def test_the_good_arguments_are_good(constructor):
    policy = getattr(clrcore, constructor)(**GOOD[constructor])

    data = policy.to_dict()
    assert data["type"] == constructor
    for name, value in GOOD[constructor].items():
        if name not in ("stages", "policy"):
            assert data[name] == value


@each(
    ("constructor", "arguments", "message"),
    [
        ("triangular", {"base_lr": 2.0}, r"max_lr must be >= base_lr.*swap"),
        ("decay", {"base_lr": 2.0}, r"max_lr must be >= base_lr.*swap"),
        ("warm_restarts", {"base_lr": 2.0}, r"max_lr must be >= base_lr.*swap"),
        ("smith_one_cycle", {"base_lr": 2.0}, r"max_lr must be >= base_lr.*swap"),
        ("linear_sweep", {"min_lr": 1.0}, r"max_lr must be > min_lr=1.0, as sweeps rise"),
        ("exponential_sweep", {"min_lr": 2.0}, r"max_lr must be > min_lr=2.0"),
        ("exponential_sweep", {"min_lr": 0.0}, r"min_lr must be a finite number > 0"),
        ("linear_sweep", {"num_steps": 1}, r"num_steps must be an integer from 2 to"),
        ("triangular", {"window": "sine"}, r"window must be one of 'triangular', 'welch', 'hann'"),
        ("one_cycle", {"form": "four_phase"}, r"form must be one of 'two_phase', 'three_phase'"),
        ("one_cycle", {"form": "three_phase", "pct_start": 0.6}, r"pct_start must be .*\[0, 0.5\]"),
        ("one_cycle", {"anneal_strategy": "poly"}, r"anneal_strategy must be one of"),
        ("one_cycle", {"div_factor": 1e-320}, r"div_factor must be large enough"),
        ("one_cycle", {"final_div_factor": 1e-320}, r"final_div_factor must be large enough"),
        ("stepwise", {"milestones": [], "factor": math.nan}, r"factor must be a finite number"),
        ("stepwise", {"milestones": [20, 10]}, r"milestones must be strictly increasing"),
        ("stepwise", {"milestones": [10, 10]}, r"milestones must be strictly increasing"),
        ("stepwise", {"milestones": [0]}, r"milestones\[0\] must be an integer from 1"),
        ("chain", {"stages": []}, r"stages must be .*at least one"),
        (
            "chain",
            {"stages": [(clrcore.constant(0.1), None), (clrcore.constant(0.1), 5)]},
            r"stages\[0\] num_steps must be given",
        ),
        ("chain", {"stages": [(clrcore.constant(0.1), 0)]}, r"stages\[0\] num_steps must be"),
    ],
)
def test_values_that_contradict_are_refused(constructor, arguments, message):
    with pytest.raises(ValueError, match=message):
        getattr(clrcore, constructor)(**GOOD[constructor] | arguments)


@each(
    ("constructor", "arguments", "message"),
    [
        ("triangular", {"window": 3}, r"window must be"),
        ("cyclic", {"scale": "halving"}, r"scale must be None, a scale, or a callable"),
        ("stepwise", {"milestones": "12"}, r"milestones must be a list"),
        ("stepwise", {"milestones": 12}, r"milestones must be a list"),
        ("chain", {"stages": clrcore.constant(0.1)}, r"stages must be a list"),
        ("chain", {"stages": 3}, r"stages must be a list"),
        ("chain", {"stages": [clrcore.constant(0.1)]}, r"stages\[0\] must be a \(policy, num"),
        ("chain", {"stages": [(0.1, 5)]}, r"stages\[0\] policy must be a policy"),
        ("chain", {"stages": [(1, 2, 3)]}, r"stages\[0\] must be a \(policy, num_steps\) pair"),
    ],
)
def test_things_of_the_wrong_kind_are_refused(constructor, arguments, message):
    with pytest.raises(TypeError, match=message):
        getattr(clrcore, constructor)(**GOOD[constructor] | arguments)


@pytest.mark.parametrize(
    ("name", "message"),
    [("gamma", "gamma"), ("decays", 'decays must be given: "amplitude" .* or "bounds" .*paper')],
)
def test_exp_range_has_no_defaults(name, message):
    arguments = {key: value for key, value in GOOD["exp_range"].items() if key != name}

    with pytest.raises(TypeError, match=message):
        clrcore.exp_range(**arguments)


@each(
    ("constructor", "name", "hint"),
    [
        ("triangular", "step_size_up", "use step_size"),
        ("triangular2", "mode", "each mode is a function: triangular, triangular2, exp_range"),
        ("triangular", "start_lr", "use base_lr"),
        ("linear_sweep", "start_lr", "use min_lr"),
        ("exponential_sweep", "num_iter", "use num_steps"),
        ("one_cycle", "epochs", "lengths are in steps: epochs . steps_per_epoch"),
        ("one_cycle", "criterion", "clr_adapters.torch.range_test takes loss_fn="),
        ("warm_restarts", "T_0", "use period"),
        ("stepwise", "gamma", "use factor"),
        ("constant", "gamma", "its arguments are lr$"),
        ("triangular", "max_rl", "did you mean 'max_lr'"),
        ("cooldown", "colour", "its arguments are policy, at, num_steps, final_lr, shape"),
    ],
)
def test_names_from_elsewhere_lead_to_ours(constructor, name, hint):
    with pytest.raises(TypeError, match=rf"^{constructor} has no argument '{name}'; .*{hint}"):
        getattr(clrcore, constructor)(**GOOD[constructor], **{name: 3})


def test_numpy_scalars_become_python_numbers():
    policy = clrcore.triangular(np.float32(0.5), np.float64(1.0), np.int64(10), np.uint8(20))

    kinds = [type(value) for value in policy.to_dict().values()]
    assert kinds == [int, str, float, float, int, int, str]
    assert type(policy(np.int16(3))) is float


@each(
    ("kind", "step"),
    [
        (ValueError, -1),
        (ValueError, 1.5),
        (ValueError, NAN),
        (ValueError, np.int64(-1)),
        (ValueError, np.array([0, -1])),
        (TypeError, 2.0),
        (TypeError, True),
        (TypeError, "3"),
        (TypeError, None),
        (TypeError, [0, 1]),
        (TypeError, np.array([1.5])),
        (TypeError, np.array([True])),
        (TypeError, np.array([1], dtype=object)),
        (TypeError, np.float64(1.0)),
    ],
)
@each("constructor", ["triangular", "one_cycle", "chain", "constant"])
def test_bad_steps_are_refused(constructor, kind, step):
    policy = getattr(clrcore, constructor)(**GOOD[constructor])

    with pytest.raises(kind, match=r"^step must be an integer") as caught:
        policy(step)

    worst = step.min() if isinstance(step, np.ndarray) and kind is ValueError else step
    assert f"got {worst!r} ({type(worst).__name__})" in str(caught.value)


def test_arrays_without_the_array_api_are_told_what_to_do():
    class Tensor:
        shape = (3,)

    with pytest.raises(TypeError, match=r"step is a Tensor.*use policy\.evaluate\(step, xp, cast"):
        clrcore.constant(0.1)(Tensor())


@each(
    ("start", "stop", "kind", "message"),
    [
        (-1, 5, ValueError, "start must be an integer from 0 to"),
        (5, 4, ValueError, "stop must be an integer from 5 to"),
        (0, 2**63, ValueError, "stop must be an integer from 0 to"),
        (0, 2.0, TypeError, "stop"),
        ("0", 2, TypeError, "start"),
    ],
)
def test_bad_ranges_of_values_are_refused(start, stop, kind, message):
    with pytest.raises(kind, match=message):
        clrcore.constant(0.1).values(start, stop)


def test_locate_cycle_ends_and_completes_check_their_step():
    policy = clrcore.triangular(0.1, 1.0, 10)

    for method, name in (
        (policy.locate, "step"),
        (policy.cycle_ends, "total_steps"),
        (policy.completes, "step"),
    ):
        with pytest.raises(ValueError, match=f"^{name} must be an integer >= 0, got -1"):
            method(-1)
        with pytest.raises(TypeError, match=f"^{name} must be"):
            method(2.0)


def test_long_values_are_cut_in_messages():
    with pytest.raises(TypeError) as caught:
        clrcore.constant("x" * 1000)

    assert str(caught.value).endswith("got 'xx" + "x" * 197 + "... (str)")


HUGE = 10**5000  # more digits than Python prints


@each(
    ("name", "call"),
    [
        ("step_size", lambda: clrcore.triangular(0.1, 1.0, HUGE)),
        (r"milestones\[0\]", lambda: clrcore.stepwise(0.1, [HUGE])),
        ("start", lambda: clrcore.constant(0.1).values(HUGE, 3)),
        ("start", lambda: clrcore.constant(0.1).values(HUGE, HUGE)),
        ("lr", lambda: clrcore.constant(HUGE)),
        ("step", lambda: clrcore.constant(0.1)(-HUGE)),
        ("start", lambda: clrcore.Scheduler(clrcore.constant(0.1), HUGE)),
        ("step", lambda: clrcore.Scheduler(clrcore.constant(0.1)).jump(HUGE)),
        (
            r"state\['step_count'\]",
            lambda: clrcore.Scheduler(clrcore.constant(0.1)).load_state_dict(
                {"version": 1, "step_count": HUGE}
            ),
        ),
        ("total_steps", lambda: clrcore.whole_cycles(total_steps=HUGE, cycles=2)),
        (
            r"state\['cycles'\]",
            lambda: clrcore.CycleMonitor(clrcore.triangular(0.1, 1.0, 2)).load_state_dict(
                clrcore.CycleMonitor(clrcore.triangular(0.1, 1.0, 2)).state_dict()
                | {"cycles": HUGE, "cycles_at_bounds": -1}
            ),
        ),
    ],
)
def test_integers_of_very_many_digits_are_refused_by_name(name, call):
    with pytest.raises(ValueError, match=rf"^{name} must be .*got an integer of 16610 bits \(int"):
        call()


def test_very_large_step_counts_are_shown_by_their_size():
    scheduler = clrcore.Scheduler(clrcore.constant(0.1), 10**4000)
    assert repr(scheduler).endswith("start=an integer of 13288 bits)")
    scheduler.step()
    assert json.loads(json.dumps(scheduler.state_dict()))["step_count"] == 10**4000 + 1

    scaled = clrcore.cyclic(0.1, 1.0, 10, scale=lambda cycle, step: 0.5 if step < HUGE else 2.0)
    assert scaled(HUGE - 1) == pytest.approx(0.145)
    with pytest.raises(ValueError, match=r"^scale\(cycle=an integer of .* must be"):
        scaled(HUGE)


def test_checks_work_before_numpy_is_imported(monkeypatch):
    import sys

    monkeypatch.delitem(sys.modules, "numpy")
    policy = clrcore.constant(0.1)

    with pytest.raises(TypeError, match="step must be an integer >= 0, got '3'"):
        policy("3")
    with pytest.raises(TypeError, match="lr must be a finite number >= 0, got '3'"):
        clrcore.constant("3")
    assert policy(False + 3) == 0.1


def test_foreign_names_are_refused_with_what_to_do():
    @hint_at(step_size_up="call it step_size")
    def make(step_size=1):
        """Its own words."""
        return step_size

    assert (make(), make(2), make(step_size=3), make.__doc__) == (1, 2, 3, "Its own words.")
    with pytest.raises(TypeError, match="make has no argument 'step_size_up'; call it") as caught:
        make(step_size_up=4)
    assert (caught.value.argument, caught.value.got) == ("step_size_up", 4)
    with pytest.raises(TypeError, match="make has no argument 'stepsize'; did you mean 'step_si"):
        make(stepsize=4)


def test_names_behind_options_are_known():
    @hint_at("accumulate")
    def make(first=1, **options):
        return options

    assert make(first=2, accumulate=3) == {"accumulate": 3}
    with pytest.raises(TypeError, match="'acumulate'; did you mean 'accumulate'") as caught:
        make(acumulate=3)
    assert caught.value.argument == "acumulate"
    assert hint_at()(lambda **options: options)(anything=1) == {"anything": 1}


class Endless:
    def __repr__(self):
        raise RecursionError


def test_refusals_show_values_that_cannot_be_shown():
    with pytest.raises(TypeError, match=r"base_lr must be .* <.*Endless object"):
        clrcore.triangular(Endless(), 1.0, 5)


def test_seeds_may_be_an_array_of_no_dimension_that_is_an_integer():
    assert check_seeds("seeds", np.array(2)) == [0, 1]
    with pytest.raises(TypeError, match="seeds must be a number of seeds"):
        check_seeds("seeds", np.array(1.5))


BOUNDS = clrcore.suggest_bounds(exponential())
FAILURE = ZeroDivisionError("no")


def fail(u):
    raise FAILURE


@each(
    ("kind", "argument", "got", "call"),
    [
        (TypeError, "step_size", None, lambda: BOUNDS.policy()),
        (TypeError, "total_steps", 100, lambda: BOUNDS.policy(10, total_steps=100)),
        (TypeError, "max_lr", 1.0, lambda: BOUNDS.policy(total_steps=100, max_lr=1.0)),
        (TypeError, "max_lr", 1.0, lambda: BOUNDS.policy(10, max_lr=1.0)),
        (TypeError, "base_lr", 1.0, lambda: BOUNDS.policy(10, base_lr=1.0)),
        (TypeError, "loss", None, lambda: clrcore.RangeTest().record()),
        (
            ValueError,
            "policy",
            clrcore.constant(1.0),
            lambda: clrcore.constant(1.0).opposed(0.1, 0.2),
        ),
        (ValueError, "window", abs, lambda: clrcore.triangular(0, 1, 5, window=abs).to_dict()),
        (ValueError, "window(0.0)", FAILURE, lambda: clrcore.triangular(0, 1, 5, window=fail)),
        (
            ValueError,
            "from_policy",
            clrcore.constant(0.0),
            lambda: clrcore.convert_rate(0.1, clrcore.constant(0.0), clrcore.constant(1.0), 10),
        ),
    ],
)
def test_refusals_carry_their_facts(kind, argument, got, call):
    with pytest.raises(kind) as caught:
        call()
    assert (caught.value.argument, caught.value.got) == (argument, got)
    assert caught.value.allowed


# Names of arguments that users bring from fastai, Keras, PyTorch, timm and others.
BROUGHT = """
    step_size_up stepsize half_cycle initial_learning_rate maximal_learning_rate learning_rate
    start_lr end_lr min_lr init_lr initial_lr peak_lr lr_max lr_min eta_max eta_min num_iter num_it
    num_training total_iters T_max T_0 T_mult gamma total_steps num_steps mode scale_fn scale_mode
    cycle_length cycle_len three_phase epochs num_epochs steps_per_epoch last_epoch optimizer
    criterion cycle_momentum base_momentum max_momentum
""".split()
BROUGHT_NAMES = """
    CLR CyclicLR CyclicalLearningRate OneCycleLR CosineAnnealingLR CosineAnnealingWarmRestarts SGDR
    LinearLR StepLR MultiStepLR ExponentialLR SequentialLR WSD PolicyLR PolicySchedule CycleEnds
    torch keras jax plot plot_policy plot_range_test find_bounds range_test LRFinder lr_find
    lr_finder find_lr criterion
""".split()


@each("name", BROUGHT)
def test_an_argument_of_another_library_gets_advice_somewhere(name):
    advice = []
    for constructor, good in GOOD.items():
        if name not in signature(getattr(clrcore, constructor)).parameters:
            with pytest.raises(TypeError) as caught:
                getattr(clrcore, constructor)(**good, **{name: 1})
            advice.append(caught.value.advice)
    own = [text for text in advice if not text.startswith(("its arguments are", "did you mean"))]
    assert own
    for text in own:
        used = text.removeprefix("use ").partition("=")[0]
        assert " " in used or any(
            used in signature(getattr(clrcore, constructor)).parameters for constructor in GOOD
        )


@each("name", BROUGHT_NAMES)
def test_a_name_of_another_library_gets_advice(name):
    with pytest.raises(AttributeError, match=r"use |it is in |import clr_adapters|takes loss_fn"):
        getattr(clrcore, name)


def test_ends_of_cycles_in_a_state_are_plain_and_copied():
    ends = [{"cycle": 0, "updates": 10, "metrics": {"loss": 0.5}, "action": "lower"}]
    copied = check_ends("ends", ends)
    assert copied == ends
    copied[0]["metrics"]["loss"] = 0.1
    assert ends[0]["metrics"]["loss"] == 0.5


@each(
    ("ends", "kind"),
    [
        (1, TypeError),
        ([1], TypeError),
        ([{"updates": -1}], ValueError),
        ([{}], TypeError),
        ([{"updates": 1, "metrics": {"loss": [1]}}], TypeError),
    ],
)
def test_wrong_ends_of_cycles_are_refused(ends, kind):
    with pytest.raises(kind, match="ends"):
        check_ends("ends", ends)


def test_the_method_of_bounds_in_place_of_a_policy_leads_on():
    bounds = clrcore.suggest_bounds(exponential())
    with pytest.raises(TypeError, match=r"call it: bounds\.policy\(step_size=\.\.\.\)"):
        clrcore.Scheduler(bounds.policy)


def test_a_list_of_many_names_is_cut_with_dots():
    state = {f"key{i}": 0 for i in range(30)}
    with pytest.raises(ValueError, match=r"has unknown 'key0', .*'key9', \.\.\.; its keys"):
        check_keys("state", state, [])


@each(
    ("step_size", "total_steps", "steps_per_epoch", "words"),
    [
        (50, 99, 1000, ["no cycle will end: the training makes 99 updates"]),
        (4, 9999, 100, ["half a cycle takes 4 updates, and an epoch 100", "pass step_size=400"]),
        (50, 100, 1000, []),
        (50, 0, math.inf, []),
        (4, math.inf, 79, []),
        (11, math.inf, 1000, []),
    ],
)
def test_cycles_that_never_end_or_are_counted_in_epochs_are_warned_of(
    step_size, total_steps, steps_per_epoch, words
):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_of_cycles(clrcore.triangular(0.1, 1.0, step_size), total_steps, steps_per_epoch)
    assert len(caught) == bool(words)
    assert all(text in str(caught[0].message) for text in words)
