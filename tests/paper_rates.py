"""Compares the arms of an example's plan with a table of the paper's rates."""

import pytest


def assert_rates(arms, table):
    """The arms have the names of the table, its numbers of updates, and its rates at its steps."""
    assert [arm.name for arm in arms] == list(table)
    for arm in arms:
        total, rates = table[arm.name]
        assert arm.total_steps == total
        for step, rate in rates.items():
            # To the last digits: the tables are decimal.
            assert arm.policy(step) == pytest.approx(rate, rel=1e-12), (arm.name, step)
