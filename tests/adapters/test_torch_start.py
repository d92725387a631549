"""The start page of PyTorch in two processes."""

from start_pages import check_resumes


def test_a_run_is_resumed_in_another_process_and_stops(tmp_path):
    check_resumes("start-pytorch.md", tmp_path)
