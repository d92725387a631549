"""The start page of Keras in two processes."""

from start_pages import check_resumes


def test_a_run_is_resumed_in_another_process_and_stops(tmp_path):
    check_resumes("start-keras.md", tmp_path)
