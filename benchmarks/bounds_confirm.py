"""Confirmed answers on the settings of `settings.py`: real trials, with seeds of their own."""

from known import Measured
from settings import SETTINGS, Run, Setting, updates

import clrcore
from clrcore.confirmation import MOST_RATES
from clrcore.search import trial_steps

SWEEPS = ("exp300", "exp100")
# The most updates of all runs, and the seed of the trials, which the truth has not.
MAX_UPDATES, TRIAL_SEED = 1500, 1000
DEFAULT_RATES = {"sgd": 0.01, "mom": 0.01, "adam": 1e-3, "adamw": 1e-3}


def confirm(measured: list[Measured]) -> None:
    """Print how many answers are good before and after trials, with their refusals."""
    trained = {setting.name: setting for setting in SETTINGS}
    print("sweep   length  answers  one curve  confirmed  or refused, in %; not good")
    for sweep in SWEEPS:
        for known in (True, False):
            alone, good, refused, wrong = [], [], [], []
            for setting in measured:
                if setting.name not in trained:
                    continue
                curve = setting.losses[sweep][0]
                before, after = _answers(trained[setting.name], curve, known)
                alone.append(hasattr(before, "lr") and setting.is_good(before.lr))
                good.append(hasattr(after, "lr") and setting.is_good(after.lr))
                refused.append(not hasattr(after, "lr"))
                if not good[-1]:
                    wrong.append(setting.name)
            right = [a or b for a, b in zip(good, refused, strict=True)]
            shares = [f"{100 * sum(flags) / len(flags):9.1f}" for flags in (alone, good, right)]
            length = "known" if known else "unknown"
            print(f"{sweep:7} {length:7} {len(good):7} {' '.join(shares)}  {', '.join(wrong)}")


def _answers(setting: Setting, curve: clrcore.Curve, known: bool) -> tuple[object, object]:
    """The suggestion, and the confirmed answer; a refusal instead of either."""
    start: clrcore.Bounds | float = DEFAULT_RATES[setting.optimizer]
    before: object
    try:
        before = start = clrcore.suggest_bounds(curve)
    except clrcore.NoBoundsError as error:
        before = error
    total = updates(setting) if known else None
    left = MAX_UPDATES - len(curve)
    length = min(trial_steps(total, left), total or left)
    most = min(left, MOST_RATES * length)
    check = clrcore.Confirmation(start, length, total_steps=total, max_updates=most)
    for trial in check:
        run = Run(setting, TRIAL_SEED + trial.seed)
        for lr in trial:
            trial.record(loss=run.update(lr)[0])
    try:
        return before, check.bounds
    except clrcore.NoBoundsError as error:
        return before, error
