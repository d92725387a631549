"""What `tests/endurance.py` measures at length, with small sizes."""

import multiprocessing

import pytest

import endurance


def test_steps_leave_nothing_behind():
    assert "bytes" in endurance.scheduler_steps(50_000)


def test_a_stage_is_found_by_a_search():
    assert "14 comparisons" in endurance.many_stages(10**4)


def test_threads_share_policies():
    endurance.threads(16, 20)


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_policies_go_to_other_processes(method):
    endurance.processes(method)
