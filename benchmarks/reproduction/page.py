"""The results in words: on the terminal, and on the page of the docs.

Everything is computed from plain data, so the page can be made again from what is kept.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

from clr_adapters.cli.demo.experiment import LONG, SHORT, STAGED, constant_name

from . import resplits
from .arms import CASES, GAMMA, PAPERS_EPOCH, SHORT_MAX, above_name
from .claims import BEST, CLAIMS, HELD, NOT_SHOWN, TIED
from .tables import (
    Plain,
    arms_table,
    bounds_table,
    findings_table,
    further_table,
    shown_difference,
    table,
    verdict_table,
    versus,
)

TITLES = {case.key: case.title for case in CASES}


def rules() -> str:
    """The claims and when they hold, as they stand before anything is trained."""
    items = []
    for claim in CLAIMS:
        cases = "; ".join(TITLES[key] for key in claim.cases)
        items.append(_item(f"**{claim.key}** ({cases}). {claim.says} *{claim.rule}*"))
    return "\n".join(items)


def findings(evidence: Plain, pictures: Sequence[str] = ()) -> str:
    """Verdicts and tables of every case. pictures: lines that come after the verdicts."""
    result, run = evidence["result"], evidence["run"]
    cases = result["cases"]
    parts = ["## What came out", summary(cases), verdict_table(cases), *pictures]
    for case in cases.values():
        parts += [f"### {case['title']}", case_text(case), arms_table(case, result)]
        parts += [findings_table(case)]
    parts += ["## Differences that no claim is made about", further_table(cases)]
    if "torch" in run:
        parts += ["## Through PyTorch", *torch_text(run["torch"])]
    return "\n\n".join(parts)


def whole(evidence: Plain) -> str:
    """The page of the docs."""
    result, run = evidence["result"], evidence["run"]
    settings, versions = result["settings"], result["versions"]
    epoch = settings["updates_per_epoch"]
    seeds, ramps = len(settings["seeds"]), len(settings["range_test_seeds"])
    rows = settings["rows"]
    parts = [
        "# The evidence",
        _text(
            "The claims of [the paper](https://arxiv.org/abs/1506.01186), put to the test on a "
            "task small enough for anybody's machine, with the controls that the paper does not "
            "have. The claims, their rules and all arms but the constants above the grids were "
            "fixed before the arms were trained. Known by then were a pilot with ten seeds and the "
            "demo, which trains eleven of the arms of the first case on the same seeds: there, the "
            "outcome of every line on `triangular` or staged triangular2 against the long "
            "baseline, its compressed form at base_lr or the constants. Ties and failures are "
            "printed like the rest. This page is written by [benchmarks/reproduce.py]"
            "(../benchmarks/reproduce.py) from [evidence.json](evidence.json), and a test "
            "compares the two: no number of a table and no verdict is put in by hand, apart from "
            "the bounds read by eye. Sentences about the set-up and earlier runs are written by "
            "hand."
        ),
        _text(
            "`suggest_bounds` itself was written with the demo in view. Its first form gave a "
            "max_lr of 0.6 in the first case, with which `triangular` was lower than the best "
            "constant on these test rows; it was then changed to take the lower of the accuracy's "
            "and the loss's max_lr, which sets max_lr in all three cases. So the bounds of the "
            "first case are not blind to its outcome. The other two cases were first run after "
            "that."
        ),
        "## What was run",
        _text(
            f"5000 digits of MNIST, 14 x 14 pixels: {rows['train']} to train, "
            f"{rows['validation']} to validate, {rows['test']} to test. A network 196-64-64-10 "
            "with ReLU or sigmoid, batches of 100 "
            f"({epoch} updates an epoch), He's initial weights for ReLU and LeCun's for the "
            "sigmoid, weight decay 0.0005; SGD with momentum 0.9 in Caffe's "
            "form (v = 0.9 v + lr g; w = w - v), or Adam. "
            f"{seeds} seeds; a seed fixes the split, the initial weights and the order of "
            "batches, the same for all arms, so that differences are paired. Intervals are "
            "Student's at 95 %; they say how seeds scatter, and are not corrected for their "
            "number: one in twenty would leave out 0 by chance alone."
        ),
        _text(
            "Accuracy is that on the test rows after the last update, never the best on the way. "
            "Bounds come from range tests, and the best constant is chosen on validation rows "
            "alone; the bounds are medians over the ramps of 5 seeds, the constant has the best "
            "mean over all seeds, and costs are told per seed (who reads five ramps for one run "
            "pays 40 epochs, not 8). Rows that validate for one seed test for another, so what is "
            "chosen over seeds is not wholly blind to the test rows. Seeds that collapse are "
            "counted, not dropped. All arms but the baseline make "
            f"{settings['short_updates']} updates (50 epochs); the baseline makes "
            f"{settings['long_updates']} (140 epochs), as in the paper's comparison of 25,000 "
            "with 70,000. The target is the baseline's mean less "
            f"{settings['margin_points']} points."
        ),
        _text(
            "The stepwise baseline lowers its rate tenfold at 6/7 and at 13/14 of the run, as the "
            "paper's does; at 50 epochs it is run from base_lr and from max_lr. Triangular, "
            "triangular2 and exp_range make five cycles of 10 epochs; the staged run is the "
            "paper's Table 2 in epochs: triangular2 with step sizes of 4, 2 and 1 for 32, 12 and "
            "6 epochs, the bounds a tenth from stage to stage. The gamma of exp and exp_range is "
            f"the paper's per epoch, {GAMMA}^{PAPERS_EPOCH}, for 50 epochs, where the paper runs "
            "140 and 84. exp and exp_range are run in the "
            "first case alone, decay and the stepwise run from max_lr not with Adam."
        ),
        _text(
            "Every grid of constant rates stops below the rate where its range test's accuracy "
            "peaks. The constants above the grid carry it on to at least twice that rate. They "
            "were added after a first run had shown the peaks, to see whether a constant rate as "
            "high as the peak is stable, and count for that alone: not for the grid's mean, its "
            "best constant or its cost, and for no claim."
        ),
        _text(
            f"NumPy {versions['numpy']}, Python {versions['python']}, clrcore "
            f"{versions['clrcore']}, {versions['machine']}, two threads; trained in "
            f"{run['seconds'] / 60:.1f} minutes, with {run['processor_seconds'] / 60:.1f} minutes "
            "of processor time."
        ),
        "```sh\npip install -e '.[demo]'\npython benchmarks/reproduce.py --out reproduced\n```",
        _text(
            "Two runs on one machine leave the same `results.json`, byte for byte. On another "
            "processor the last bits of a product may differ, and so may accuracies, a little."
        ),
        "## The claims and their rules",
        _text(
            "A claim holds in a case if all its lines hold; it ties if one ties and none is "
            "against it; otherwise it did not show. Differences are in percentage points."
        ),
        rules(),
        "## Range tests",
        _text(
            "The ramps of the paper's Figure 3: linear from 0 over 8 epochs, accuracy on "
            f"validation rows every second update, {ramps} seeds. Three readings: that of "
            "`suggest_bounds`, which the arms use; the peak rule (max_lr = 0.8 of the rate where "
            "the accuracy of the mean over seeds peaks, base_lr = max_lr / 4), which arms named "
            "after it use; and one by eye, as the paper does it: where accuracy starts to rise, "
            "and where it first slows, gets ragged or falls. The last is used for nothing. With "
            "the sigmoid and Adam it was read off the picture before any rule had been run on it; "
            "in the first case the demo had shown its bounds, so there it is not independent."
        ),
        _text(
            "How far the ramps go was chosen by looking at them: for the sigmoid 4 and for Adam "
            "0.1 were too low to show a fall, so they were raised, and the costs below do not "
            "count that. Warnings of `suggest_bounds` are below the table. The rates read off move "
            "with that, as a steeper ramp gets further before accuracy has had the time to rise."
        ),
        "![Held-out accuracy along the ramps, and the bounds read off it]"
        "(pictures/evidence-range-tests.png)",
        bounds_table(result["cases"]),
        warnings(result["cases"]),
        findings(
            evidence,
            [
                "![Paired differences with their intervals, by verdict]"
                "(pictures/evidence-differences.png)",
                "![Test accuracy along the main arms](pictures/evidence-accuracy.png)",
            ],
        ),
        "## What this does not say",
        _text(
            "One small network and 5000 digits: nothing here is about deep networks, large "
            "data or long trainings. The stepwise baseline runs at base_lr, as in "
            "the paper, and not at a rate tuned for it: C1 alone says little, and C1' is there "
            "for that; where C1' did not show, not even that cycles match a tuned schedule may "
            "be said. C3 depends on how wide the grid is: with two decades below the best rate "
            "it could hardly fail; C1' and C2 have the best constant. C4 compares with the "
            "paper's decay alone, which spends 42 of 50 epochs at base_lr. A stepwise schedule "
            "from max_lr has no rise either, so C4 does not show that a rise is needed. The "
            "paper's own networks and data are another matter."
        ),
        _text(resplit_text(result)),
    ]
    return "\n\n".join(parts) + "\n"


# In words.


def summary(cases: Mapping[str, Plain]) -> str:
    """Which claims held, tied and did not show, and the headline arm against its controls."""
    items = []
    for word in (HELD, TIED, NOT_SHOWN):
        places = [
            f"{claim} ({case['title']})"
            for case in cases.values()
            for claim, verdict in case["verdicts"].items()
            if verdict == word
        ]
        items.append(_item(f"**{word.capitalize()}**: {'; '.join(places) or 'nothing'}."))
    for case in cases.values():
        beside = {
            found["against"]: f"{found['against']}: {versus(found['difference'])}, "
            f"{shown_difference(found['difference'])}"
            for found in case["findings"]
            if found["arm"] == STAGED and found["against"] in (SHORT, SHORT_MAX, BEST)
        }
        items.append(
            _item(
                f"{case['title']}, staged triangular2 against {'; against '.join(beside.values())}."
            )
        )
    items.append(
        _item("A pilot with ten seeds had made a tie with the best constant the expected result.")
    )
    return "\n".join(items)


def warnings(cases: Mapping[str, Plain]) -> str:
    """What `suggest_bounds` warned of."""
    return "\n".join(
        _item(f"{case['title']}: {warning}.")
        for case in cases.values()
        for warning in case["bounds"]["warnings"]
    )


def resplit_text(result: Plain) -> str:
    """What would change if the seeds counted as what they are, splits of the same rows."""
    wider = resplits.factor(result["settings"])
    changed = [
        f"{claim} ({case['title']}): {word} instead of {case['verdicts'][claim]}"
        for case in result["cases"].values()
        for claim, word in resplits.changed_verdicts(case, wider).items()
    ]
    return (
        "The seeds split the same 5000 digits anew, so their outcomes are correlated, and the "
        "intervals are about these digits. For a statement about new data the usual correction "
        f"(Nadeau and Bengio, 2003) makes them {wider:.1f} times as wide. The verdicts would then "
        f"be others on {len(changed)} claims: {'; '.join(changed)}."
    )


def case_text(case: Plain) -> str:
    """The target, the chosen constant and how high the peak is."""
    return _text(
        f"Target: {case['target']:.2f} %. The best constant by validation rows is "
        f"{case['chosen']:g}. {peak_text(case)} Differences are paired with {LONG}. Worst: the "
        "worst seed. Updates to the target count those of tuning; in brackets, seeds that never "
        "reach it. Epochs: tuning + training."
    )


def peak_text(case: Plain) -> str:
    """The range test's peak beside the largest stable constant, and what the next one did."""
    peak, stable = case["peak"]["lr"], case["largest_stable"]
    names = {lr: constant_name(lr) for lr in case["grid"]}
    names |= {lr: above_name(lr) for lr in case["above"]}
    if stable is None:
        return f"Seeds collapsed at every constant rate; the range test's peak is {peak:.3g}."
    text = (
        f"The range test's peak, {peak:.3g}, is {peak / stable:.2g} times the largest constant "
        f"rate at which no seed collapsed, {stable:g}"
    )
    higher = [lr for lr in names if lr > stable]
    if not higher:
        return f"{text}; none above that was run."
    collapsed = {row["name"]: row["collapsed"] for row in case["rows"]}
    return f"{text}; at the next, {min(higher):g}, {collapsed[names[min(higher)]]} did."


def torch_text(torch: Plain) -> list[str]:
    """What the same arms did in PyTorch."""
    return [
        _text(
            f"The same arms in PyTorch {torch['version']}, for {torch['seeds']} of the seeds: a "
            "real optimizer under `PolicyLR`, from the same initial weights, with the same "
            "batches. Its SGD multiplies the whole velocity by the rate, where Caffe's form lets "
            "the rate into the velocity, so the trainings differ wherever the rate moves; with "
            "Adam, and at a constant rate, by rounding alone, which grows on the way. Rates are "
            "compared bit for bit; those with a gamma may differ in their last bits, as NumPy "
            "raises many numbers to a power otherwise than one. The constants above the grids are "
            "left out: where training collapses, rounding decides."
        ),
        table(
            ("case", "updates", "rates equal", "off by", "NumPy %", "PyTorch %", "farthest arm"),
            [
                (
                    TITLES[key],
                    str(case["updates"]),
                    f"{sum(not arm['rates_off'] for arm in case['arms'])} of {len(case['arms'])}",
                    f"{max(arm['rates_off'] for arm in case['arms']):.1e}",
                    f"{case['numpy']:.2f}",
                    f"{case['torch']:.2f}",
                    f"{case['farthest']['name']} ({case['farthest']['difference']:+.2f})",
                )
                for key, case in torch["cases"].items()
            ],
            right=range(1, 6),
        ),
    ]


def _item(text: str) -> str:
    return _wrapped(f"- {text}", "  ")


def _text(text: str) -> str:
    return _wrapped(text.strip(), "")


def _wrapped(text: str, indent: str) -> str:
    return textwrap.fill(
        text, 100, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
