"""Whatever is read, only documented errors come out, and a refusal changes nothing."""

import io
import json
import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import clrcore
from cases import each
from hostile import Reader, outcome, refused, with_odd_values

# Always the same data: `nox -s fuzz` tries others.
SETTINGS = settings(derandomize=True, deadline=None, database=None)

POLICIES = [
    clrcore.triangular2(0.01, 0.1, 5, 7, window="hann"),
    clrcore.exp_range(0.01, 0.1, 5, gamma=0.9, decays="amplitude").opposed(0.85, 0.95),
    clrcore.stepwise(0.1, [5, 9]),
    clrcore.one_cycle(0.1, 50, form="three_phase", pct_start=0.2),
    clrcore.warm_restarts(0.01, 0.1, 4, multiplier=2),
    clrcore.cooldown(
        clrcore.chain([(clrcore.linear_sweep(0.0, 0.1, 5), 5), (clrcore.constant(0.1), None)]),
        *(20, 10),
        shape="1-sqrt",
    ),
    clrcore.chain([(clrcore.exponential_sweep(0.001, 0.1, 5), 5), (clrcore.decay(0.1, 0.0, 9), 9)]),
]
CURVE = clrcore.Curve(
    [1e-4 * 1.5**k for k in range(30)],
    [2.3 / (1 + (1e-4 * 1.5**k) ** 0.5) + (k > 27) * 9.0 for k in range(30)],
    [0.1 + 0.02 * k for k in range(29)] + [math.nan],
    steps_per_epoch=10,
    held_out=True,
    updates=3,
)
TABLE = (
    "step,lr,loss,val_acc\n"
    + "".join(f"{k},{1e-4 * 1.5**k},{2.3 - 0.05 * k},{0.1 + 0.02 * k}\n" for k in range(12))
).encode()
RECORDS = [{"step": k, "lr": 1e-4 * 1.5**k, "train/loss": 2.3 - 0.05 * k} for k in range(8)]


def json_again(data):
    """The same data after a way through JSON."""
    return json.loads(json.dumps(data))


def sweep(losses):
    test = clrcore.RangeTest(clrcore.exponential_sweep(1e-4, 1.0, 12))
    for loss, _ in zip(losses, test, strict=False):
        test.record(loss=loss, accuracy=None if loss > 1.95 else 0.5)
    return test


def confirmation(trials):
    check = clrcore.Confirmation(0.01, 8, seeds=2, total_steps=100)
    for _, trial in zip(range(trials), check, strict=False):
        for step, lr in enumerate(trial):
            trial.record(loss=math.exp(-lr * step), held_out_loss=1.0 if step == 7 else None)
    return check


def finish(check):
    """Run the trials that are left."""
    for trial in check:
        for step, lr in enumerate(trial):
            trial.record(loss=math.exp(-lr * step))
    return check.bounds


def loads(owner, state):
    """Whether a state is loaded; refused, it changes nothing, and loaded, it goes through JSON."""
    before = owner.state_dict(), repr(owner)
    if refused(outcome(owner.load_state_dict, state)):
        assert (owner.state_dict(), repr(owner)) == before
        return False
    again = owner.state_dict()
    owner.load_state_dict(json_again(again))
    assert owner.state_dict() == again
    return True


def read_policy(data):
    policy = outcome(clrcore.policy_from_dict, data)
    if not refused(policy):
        assert clrcore.policy_from_dict(json_again(policy.to_dict())) == policy
        assert all(0.0 <= policy(step) < math.inf for step in (0, 1, 7, 10**6, 10**15))
        assert hash(policy) == hash(policy)
        assert repr(policy)


def load_scheduler(state):
    scheduler = clrcore.Scheduler(POLICIES[0], 3)
    loads(scheduler, state)
    count = scheduler.step_count
    assert scheduler.lr == POLICIES[0](count)
    scheduler.step()
    assert scheduler.step_count == count + 1


def load_range_test(state):
    test = sweep([2.2, 2.1, 2.0])
    smoothed = test.smoothed_loss
    if not loads(test, state):
        assert test.smoothed_loss == smoothed
        return
    for _ in test:
        test.record(loss=1.0)
    assert test.reason
    outcome(clrcore.suggest_bounds, test.curve, errors=[clrcore.NoBoundsError])


def load_monitor(state):
    monitor = clrcore.CycleMonitor(POLICIES[0])
    monitor.update(0.5)
    loads(monitor, state)
    assert monitor.update(0.6).action in ("continue", "lower", "stop")


def load_confirmation(state):
    check = confirmation(3)
    if loads(check, state):
        outcome(finish, check, errors=[clrcore.NoBoundsError])


def read_bounds(data):
    bounds = outcome(clrcore.Bounds.from_dict, data)
    if refused(bounds):
        return
    assert clrcore.Bounds.from_dict(json_again(bounds.to_dict())) == bounds
    assert bounds.explain()
    assert bounds.policy(step_size=10).max_lr == bounds.max_lr
    outcome(bounds.policy, total_steps=100)
    check = outcome(clrcore.Confirmation, bounds, 8)
    if not refused(check):
        outcome(finish, check, errors=[clrcore.NoBoundsError])


def read_curve(data):
    answered(outcome(clrcore.Curve.from_dict, data))


def read_records(records):
    answered(outcome(clrcore.Curve.from_records, records))


def read_table(content):
    answered(outcome(clrcore.Curve.from_csv, io.BytesIO(content)))
    outcome(clrcore.Curve.from_csv, io.StringIO(content.decode("latin-1")), updates=2)


def read_columns(columns):
    answered(outcome(clrcore.Curve, columns, [2.0] * 8))
    answered(outcome(clrcore.Curve, [0.1 * k for k in range(8)], columns))


def record(metrics):
    """Of a range test, a trial and a monitor, also in blocks."""
    test, trial = sweep([2.0]), next(clrcore.Confirmation(0.1, 8))
    for run in (test, trial):
        run.next_rates(3)
        before = run.step_count, run.reason, run.smoothed_loss
        if refused(outcome(run.record_block, metrics, metrics)):
            assert (run.step_count, run.reason, run.smoothed_loss) == before
            run.record(loss=1.0)
    monitor = clrcore.CycleMonitor(POLICIES[0])
    for value in metrics if isinstance(metrics, list) else [metrics]:
        before = monitor.state_dict()
        if refused(outcome(monitor.update, value)):
            assert monitor.state_dict() == before


def answered(curve):
    """Read bounds off a curve, or be refused."""
    if refused(curve):
        return
    assert repr(curve)
    assert clrcore.Curve.from_dict(json_again(curve.to_dict())) == curve
    for metric in ("loss", "accuracy"):
        outcome(curve.smoothed, metric)
    for rule, (_, metric) in clrcore.bound_rules().items():
        if getattr(curve, metric) is not None:
            bounds = outcome(
                clrcore.suggest_bounds, curve, rule=rule, errors=[clrcore.NoBoundsError]
            )
            if not refused(bounds):
                assert clrcore.Bounds.from_dict(json_again(bounds.to_dict())) == bounds


MONITOR = clrcore.CycleMonitor(POLICIES[0]).state_dict() | {
    **{"cycles": 7, "cycles_at_bounds": 3, "stale": 1, "lowerings": 1, "best": 0.5}
}
READERS = {
    "policy": Reader(read_policy, [policy.to_dict() for policy in POLICIES]),
    "scheduler": Reader(load_scheduler, [clrcore.Scheduler(POLICIES[0], 7).state_dict()]),
    "range test": Reader(
        load_range_test, [sweep([2.0, 1.9] * n).state_dict() for n in (0, 2, 4, 6)]
    ),
    "monitor": Reader(load_monitor, [MONITOR]),
    "confirmation": Reader(load_confirmation, [confirmation(n).state_dict() for n in (0, 3)]),
    "bounds": Reader(read_bounds, [finish(confirmation(0)).to_dict()]),
    "curve": Reader(read_curve, [CURVE.to_dict()]),
    "records": Reader(read_records, [RECORDS]),
    "columns": Reader(read_columns, [[0.1 * k for k in range(8)]]),
    "metrics": Reader(record, [[2.0, 1.9, 1.8]]),
    "table": Reader(
        read_table, [TABLE, TABLE.replace(b",", b";"), TABLE.replace(b",", b" "), TABLE[26:]]
    ),
}


@each("name", READERS)
@SETTINGS
@given(data=st.data())
def test_damaged_data_are_read_or_refused(name, data):
    READERS[name].law(data.draw(READERS[name].data))


@each("name", [name for name in READERS if name != "table"])
def test_odd_values_are_read_or_refused(name):
    law, valid = READERS[name]
    for data in valid:
        law(data)
        for odd in with_odd_values(data):
            law(odd)


def test_states_that_cannot_be_compared_are_refused_by_name():
    """An array is neither equal to a word nor unequal to it."""
    array = clrcore.triangular(0.1, 1.0, 3).values(0, 3)
    monitor, test, check = clrcore.CycleMonitor(POLICIES[0]), sweep([2.0]), confirmation(1)
    for owner, key in ((monitor, "mode"), (test, "sweep"), (check, "seeds")):
        state = owner.state_dict() | {key: array}
        with pytest.raises(clrcore.ArgumentError) as caught:
            owner.load_state_dict(state)
        assert caught.value.argument == f"state['{key}']"


def test_updates_of_different_depths_are_refused_by_name():
    with pytest.raises(clrcore.ArgumentError) as caught:
        clrcore.Curve([0.1, 0.2], [2.0, 1.0], updates=[0, [1]])
    assert caught.value.argument == "updates"


@pytest.mark.parametrize("values", [5, np.array(0.5), "21"])
def test_what_is_no_list_is_refused_by_name(values):
    test = clrcore.RangeTest()
    test.next_rates(2)
    for call, name in (
        (lambda: test.record_block(values), "losses"),
        (lambda: clrcore.stepwise(0.1, values), "milestones"),
        (lambda: clrcore.chain(values), "stages"),
        (lambda: clrcore.range_tests(len, values), "settings"),
    ):
        with pytest.raises(TypeError) as caught:
            call()
        assert caught.value.argument == name


@each("columns", [[0.1] * 5000 + ["x" * 100_000], [[0.1]] * 5000 + [["x" * 100_000]]])
def test_a_long_text_among_numbers_is_refused_without_a_copy_for_each(columns):
    tracemalloc.start()
    try:
        with pytest.raises(clrcore.ArgumentError):
            clrcore.Curve(columns, [2.0] * len(columns))
        assert tracemalloc.get_traced_memory()[1] < 20 * 2**20
    finally:
        tracemalloc.stop()


def test_a_masked_value_is_no_metric():
    monitor = clrcore.CycleMonitor(POLICIES[0])
    with pytest.raises(TypeError, match="metric must be a number"):
        monitor.update(np.ma.masked)
    with pytest.raises(TypeError, match="none True, False or masked"):
        clrcore.Curve([0.1, 0.2], [2.0, np.ma.masked])


@pytest.mark.parametrize("size", [1e300, 1e-300, 1.7e308])
def test_losses_of_any_size_are_smoothed_alike(size):
    lr, loss = CURVE.lr[:20], CURVE.loss[:20] / 4.0
    usual, scaled = clrcore.Curve(lr, loss).smoothed(), clrcore.Curve(lr, size * loss).smoothed()
    assert scaled / size == pytest.approx(usual, rel=1e-12)


def test_a_seed_too_large_for_a_state_is_refused():
    data = clrcore.TrialResult(0.1, 0, (1.0,)).to_dict() | {"seed": 10**5000}
    with pytest.raises(ValueError, match="seed must be an integer from 0 to"):
        clrcore.TrialResult.from_dict(data)
