"""Whatever fails in a range test or a search, at any moment, everything is put back."""

import faults


def test_faults_and_presses_leave_no_trace():
    """`nox -s faults` injects more."""
    faults.check("keras", times=1, presses=1)
