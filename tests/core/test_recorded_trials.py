"""The decision of `Confirmation` on recorded trials of networks whose best rates are known."""

import long_results as long
import pytest

SETTINGS = long.all_results()


@pytest.mark.parametrize("steps", [long.SHORT, long.LONG])
def test_confirmed_rates_train_well_at_the_planned_length_within_the_budget(steps):
    good, fewer = [], []
    for results in SETTINGS:
        suggested = long.suggestion(results, "exp300", 0)
        for seed in long.TRIAL_SEEDS:
            bounds, updates = long.confirmed(results, suggested, steps, seed)
            good.append(hasattr(bounds, "lr") and results.missed(bounds.lr, steps) <= long.NEAR)
            fewer.append(300 + updates <= 1500)

    assert len(SETTINGS) >= 12
    assert long.percent(good) >= 90.0
    assert all(fewer)
