"""Whatever state `CycleEnds` is given, it loads it or refuses it; a refusal changes nothing."""

from hypothesis import given, settings

import clrcore
from clr_adapters.keras import CycleEnds
from hostile import Reader, outcome, refused, with_odd_values

POLICY = clrcore.triangular2(0.01, 0.1, 5, 7)
MONITOR = clrcore.CycleMonitor(POLICY).state_dict()
STATE = {
    "version": 2,
    "ends": [{"cycle": 0, "updates": 12, "metrics": {"loss": 1.0}, "action": "continue"}],
    "history": [
        {"monitor": MONITOR, "policies": [POLICY.to_dict(), None]},
        {"monitor": MONITOR | {"cycles": 1, "cycles_at_bounds": 1, "best": 0.5}, "policies": None},
    ],
}


def load(state):
    ends = CycleEnds(clrcore.CycleMonitor(POLICY), validation_data=([0.0], [0.0]))
    ends.load_state_dict(STATE)
    before = ends.state_dict()
    if refused(outcome(ends.load_state_dict, state)):
        assert ends.state_dict() == before


READERS = {"keras_cycle_ends": Reader(load, [STATE])}


@settings(max_examples=100, derandomize=True, deadline=None, database=None)
@given(READERS["keras_cycle_ends"].data)
def test_damaged_states_are_loaded_or_refused(state):
    load(state)


def test_odd_values_in_states_are_loaded_or_refused():
    load(STATE)
    for state in with_odd_values(STATE):
        load(state)
