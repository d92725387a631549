"""The start page of NumPy in two processes."""

import pytest

from start_pages import check_resumes


@pytest.mark.slow
def test_a_run_is_resumed_in_another_process_and_stops(tmp_path):
    check_resumes("start.md", tmp_path)
