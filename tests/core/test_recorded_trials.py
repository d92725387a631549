"""The decision of `Confirmation` on recorded trials of networks whose best rates are known."""

import long_results as long
import pytest
from long_scores import single_curves

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


def test_intervals_of_single_curves_hold_on_settings_that_no_number_is_fitted_on():
    settings = long.check_results()
    assert len(settings) >= 12
    assert not {results.name for results in settings} & {results.name for results in SETTINGS}
    for sweep, widest in (("exp300", 1.3), ("exp100", 1.5)):
        found = single_curves(settings, sweep, long.LONG).summary()
        assert found["covered"] >= 80.0
        assert found["decades"] <= widest
