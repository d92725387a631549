"""The scheduler against a model: step, jump, save, load, in any order."""

import json

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

import clrcore
from cases import each
from strategies import policies


class SchedulerMachine(RuleBasedStateMachine):
    """The model is one integer."""

    @initialize(policy=policies, start=st.integers(0, 10**6))
    def begin(self, policy, start):
        self.policy = policy
        self.scheduler = clrcore.Scheduler(policy, start)
        self.count = start
        self.saved = []

    @rule()
    def step(self):
        self.count += 1

        assert self.scheduler.step() == self.policy.completes(self.count)

    @rule(step=st.integers(0, 10**15))
    def jump(self, step):
        self.scheduler.jump(step)
        self.count = step

    @rule()
    def save(self):
        self.saved.append((self.scheduler.state_dict(), self.count))

    @rule(data=st.data())
    def load(self, data):
        if self.saved:
            state, count = data.draw(st.sampled_from(self.saved))
            self.scheduler.load_state_dict(json.loads(json.dumps(state)))
            self.count = count

    @rule(data=st.data())
    def resume_elsewhere(self, data):
        if self.saved:
            state, count = data.draw(st.sampled_from(self.saved))
            self.scheduler = clrcore.Scheduler(self.policy)
            self.scheduler.load_state_dict(state)
            self.count = count

    @rule(bad=st.sampled_from([-1, 1.5, "3", None, True]))
    def refuse(self, bad):
        with pytest.raises((TypeError, ValueError)):
            self.scheduler.jump(bad)
        with pytest.raises((TypeError, ValueError)):
            self.scheduler.load_state_dict({"version": 1, "step_count": bad})

    @invariant()
    def agrees(self):
        if hasattr(self, "scheduler"):
            assert self.scheduler.step_count == self.count
            assert self.scheduler.lr == self.policy(self.count)


TestSchedulerMachine = SchedulerMachine.TestCase


def test_a_step_tells_the_cycle_it_completed():
    scheduler = clrcore.Scheduler(clrcore.triangular(0.0, 1.0, 2))

    assert [scheduler.step() for _ in range(9)] == [None] * 3 + [0] + [None] * 3 + [1, None]


def test_cycles_are_counted_through_the_stages_of_a_chain():
    """A stage that ends within a cycle leaves that cycle unfinished, with its number."""
    policy = clrcore.chain(
        [(clrcore.triangular(0.0, 1.0, 1), 5), (clrcore.triangular(0.0, 0.1, 2), 8)]
    )
    scheduler = clrcore.Scheduler(policy)

    completed = {step: scheduler.step() for step in range(1, 17)}

    ended = {step: cycle for step, cycle in completed.items() if cycle is not None}
    assert ended == {2: 0, 4: 1, 9: 3, 13: 4}
    assert policy.locate(4) == (2, 0, False, 0.0)  # the next stage starts at the same rate
    assert policy.cycle_ends(100) == [2, 4, 9, 13]


def test_jumps_check_their_step():
    with pytest.raises(ValueError, match=r"^step must be an integer >= 0, got -1"):
        clrcore.Scheduler(clrcore.constant(0.1)).jump(-1)


def test_the_state_is_two_numbers_of_its_own():
    scheduler = clrcore.Scheduler(clrcore.constant(0.1), start=7)
    state = scheduler.state_dict()
    state["step_count"] = 99

    assert scheduler.state_dict() == {"version": 1, "step_count": 7}


@each(
    ("state", "kind", "message"),
    [
        ({"version": 2, "step_count": 1}, ValueError, "state has version 2"),
        ({"version": 1}, ValueError, "state lacks 'step_count'"),
        ({"version": 1, "step_count": 1, "lr": 2}, ValueError, "state has unknown 'lr'"),
        ({"step_count": 1, "lr": 2}, ValueError, "state lacks 'version' and has unknown 'lr'"),
        ({"version": 1, "step_count": -1}, ValueError, r"state\['step_count'\] must be"),
        ([], TypeError, "state must be a dictionary"),
    ],
)
def test_wrong_states_change_nothing(state, kind, message):
    scheduler = clrcore.Scheduler(clrcore.constant(0.1), start=7)

    with pytest.raises(kind, match=message):
        scheduler.load_state_dict(state)

    assert scheduler.step_count == 7


def test_only_policies_are_walked():
    with pytest.raises(TypeError, match="policy must be a policy of clrcore, such as"):
        clrcore.Scheduler(lambda step: 0.1)
    with pytest.raises(ValueError, match="start must be an integer >= 0"):
        clrcore.Scheduler(clrcore.constant(0.1), start=-2)


def test_the_repr_makes_the_scheduler():
    scheduler = clrcore.Scheduler(clrcore.constant(0.1), start=7)

    assert repr(scheduler) == "Scheduler(constant(lr=0.1), start=7)"
    assert scheduler.policy == clrcore.constant(0.1)
