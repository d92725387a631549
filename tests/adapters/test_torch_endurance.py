"""Many parameter groups; `tests/endurance.py` tries 10,000."""

import endurance


def test_steps_of_many_groups_leave_nothing_behind():
    endurance.many_groups(200, 20)
