"""The script for a GPU, as far as it runs without one."""

import pytest

pytest.importorskip("torch")

import gpu


def test_what_needs_no_device_passes(monkeypatch, capsys, tmp_path):
    checks = [gpu.graph, gpu.compiled, gpu.scheduler_waits]
    monkeypatch.setattr(gpu, "CHECKS", checks)
    results = tmp_path / "results.json"
    assert gpu.main(["--device", "cpu", "--small", "--json", str(results)]) == 0
    printed = capsys.readouterr().out
    assert "CPU, not a GPU" in printed
    assert "graph: {'not run': 'needs a CUDA device'" in printed
    assert printed.count("'passed': True") == 2
    assert '"graphs": 1' in results.read_text()


def test_a_check_that_fails_is_a_failure(monkeypatch, capsys):
    def breaks(setup):
        raise RuntimeError("on purpose")

    monkeypatch.setattr(gpu, "CHECKS", [breaks])
    assert gpu.main(["--device", "cpu", "--small"]) == 1
    assert "RuntimeError: on purpose" in capsys.readouterr().out
