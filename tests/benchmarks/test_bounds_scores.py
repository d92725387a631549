"""The commands that fit and score bounds run on the settings at real length."""

import bounds_fit
import bounds_noise

from clrcore.bounds.calibration import NUMBERS


def test_the_fit_prints_every_number_and_changes_none(capsys):
    before = dict(NUMBERS)
    cases = bounds_fit.at_real_length()
    assert len({case.setting for case in cases}) >= 12
    bounds_fit.fit_numbers(cases, [])
    printed = capsys.readouterr().out

    assert before == NUMBERS
    assert all(f"\n{name} " in f"\n{printed}" for name in bounds_fit.RATES)
    assert "lr_below" in printed


def test_most_intervals_contain_the_best_rate_at_real_length(capsys):
    bounds_fit.coverage([])
    printed = capsys.readouterr().out
    line = next(line for line in printed.splitlines() if line.startswith("exp300 long "))
    assert int(line.split()[3]) >= 80


def test_pure_noise_is_hardly_ever_answered(capsys):
    bounds_noise.noise(3)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + len(bounds_noise.NOISES)
    assert lines[2].split() == ["normal", "0.0", "0.0"]
