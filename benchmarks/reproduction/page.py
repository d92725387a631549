"""The results in words, for the terminal and for the page of the docs.

Everything is computed from plain data, so the page can be written again from `evidence.json`.
"""

from __future__ import annotations

from collections.abc import Mapping

from clr_adapters.cli.demo.experiment import LONG, constant_name

from . import resplits
from .arms import CASES, GAMMA, PAPERS_EPOCH, above_name
from .claims import CLAIMS, HELD, NOT_CONFIRMED, TIED
from .prose import bullet, paragraph
from .tables import (
    CONTROLS,
    Plain,
    against,
    arms_table,
    bounds_table,
    controls,
    findings_table,
    further_table,
    table,
    verdict_table,
)

TITLES = {case.key: case.title for case in CASES}


def rules() -> str:
    """The claims and when they hold, fixed before anything is trained."""
    items = []
    for claim in CLAIMS:
        cases = "; ".join(TITLES[key] for key in claim.cases)
        items.append(bullet(f"**{claim.title}** ({cases}). {claim.says} *{claim.rule}*"))
    return "\n".join(items)


def findings(evidence: Plain) -> str:
    """Verdicts and tables of every case, for the terminal."""
    cases = evidence["result"]["cases"]
    return "\n\n".join(
        ["## Short version", summary(cases), verdict_table(cases), *results(evidence, lines=True)]
    )


def results(evidence: Plain, *, lines: bool) -> list[str]:
    """The tables of every case, further differences, and the same arms in PyTorch.

    lines: whether every line of a claim has its row; on the page a picture shows them.
    """
    result, run = evidence["result"], evidence["run"]
    cases = result["cases"]
    parts = ["## Results"]
    for case in cases.values():
        parts += [f"### {case['title']}", case_text(case), arms_table(case, result)]
        parts += [findings_table(case)] if lines else []
    parts += ["## Differences without a claim", further_table(cases)]
    if "torch" in run:
        parts += ["## In PyTorch", *torch_text(run["torch"])]
    return parts


def whole(evidence: Plain, today: str = "") -> str:
    """The page of the docs. today: the scoreboard's answer in a sentence."""
    result = evidence["result"]
    cases = result["cases"]
    parts = [
        "# The evidence",
        "## Short version",
        bullet(f"**Against today's schedules** ([scoreboard](scoreboard.md)): {today}")
        + "\n"
        + summary(cases)
        if today
        else summary(cases),
        "![The paper's staged cycles less each control, with 95 % intervals]"
        "(pictures/evidence-differences.png)",
        paragraph(
            "We tested the claims of [the paper](https://arxiv.org/abs/1506.01186) on a small "
            "task: 5000 digits of MNIST, a small network, "
            f"{len(result['settings']['seeds'])} seeds, and the controls that the paper lacks. "
            "Claims, rules and runs were fixed before the training. Differences are in points of "
            "test accuracy, with their 95 % intervals."
        ),
        "## The claims",
        verdict_table(cases),
        paragraph(
            "Each verdict rests on paired differences in test accuracy. All of them are in "
            "[evidence.json](evidence.json)."
        ),
        "![Test accuracy of the staged cycles, the best constant rate and the strongest other arm]"
        "(pictures/evidence-accuracy.png)",
        "## Limits",
        *limits(result),
        *results(evidence, lines=False),
        "## The rules of the claims",
        paragraph(
            "A claim holds in a case if all its lines hold. It ties if a line ties and no line is "
            "against it. Otherwise it is not confirmed. Differences are in percentage points."
        ),
        rules(),
        "## The range tests",
        *range_tests(result),
        "## The set-up",
        *set_up(evidence),
    ]
    return "\n\n".join(parts) + "\n"


def limits(result: Plain) -> list[str]:
    """What the results do not show."""
    return [
        "\n".join(
            bullet(text)
            for text in (
                "**One small network and 5000 digits.** Nothing here is about deep networks, large "
                "data or long trainings.",
                '**"Same accuracy in fewer updates" alone shows little**, because its stepwise '
                'baseline starts at base_lr, as in the paper, not at a tuned rate. "Better than '
                'tuned schedules" has the tuned controls. If that claim is not confirmed, we '
                "cannot even say that cycles match a tuned schedule.",
                '**"Cycles save tuning" depends on the width of the grid.** With two decades '
                "below the best rate it could hardly fail. The claims about usable bounds compare "
                "with the best constant.",
                '**"Cycles need their rise" does not show that a rise is needed.** Its control '
                "spends 42 of 50 epochs at base_lr. A stepwise schedule from max_lr has no rise "
                "either.",
                "**The bounds of the first case are not blind.** `suggest_bounds` was written with "
                "the demo in view. Its first form gave a max_lr of 0.6 there, and `triangular` was "
                "below the best constant. Since then it takes the lower max_lr of accuracy and "
                "loss. The other two cases were first run after that change.",
                "**Some outcomes of the first case were known in advance**, from a pilot with ten "
                "seeds and from the demo, which trains eleven of its arms on the same seeds.",
                f"**Intervals.** {resplit_text(result)}",
            )
        )
    ]


def range_tests(result: Plain) -> list[str]:
    """How the bounds were read."""
    ramps = len(result["settings"]["range_test_seeds"])
    return [
        "![Held-out accuracy along the ramps, and the bounds read off it]"
        "(pictures/evidence-range-tests.png)",
        paragraph(
            f"Linear ramps from 0 over 8 epochs, {ramps} seeds, with the accuracy on validation "
            "rows every second update, as in the paper's Figure 3. There are three readings:"
        ),
        "\n".join(
            bullet(text)
            for text in (
                "**suggest_bounds**, which the arms use;",
                "**the peak rule**, which the arms named after it use: max_lr is 0.8 of the rate "
                "with the best mean accuracy, base_lr = max_lr / 4;",
                "**by eye**, as in the paper: from where accuracy starts to rise to where it first "
                "slows, gets ragged or falls. No arm uses it. In the first case it is not "
                "independent, because the demo had shown its bounds.",
            )
        ),
        bounds_table(result["cases"]),
        paragraph(
            "The ends of the ramps were chosen by eye: 4 for the sigmoid and 0.1 for Adam showed "
            "no fall and were raised. The costs do not count that. A steeper ramp gives larger "
            "rates. The warnings of `suggest_bounds` are in [evidence.json](evidence.json)."
        ),
    ]


def set_up(evidence: Plain) -> list[str]:
    """Data, network, arms, costs and versions."""
    result, run = evidence["result"], evidence["run"]
    settings, versions, rows = result["settings"], result["versions"], result["settings"]["rows"]
    return [
        "\n".join(
            bullet(text)
            for text in (
                f"**Data.** 5000 digits of MNIST at 14 x 14 pixels: {rows['train']} to train, "
                f"{rows['validation']} to validate, {rows['test']} to test.",
                "**Network.** 196-64-64-10 with ReLU (He's initial weights) or sigmoid (LeCun's), "
                f"batches of 100 ({settings['updates_per_epoch']} updates an epoch), weight decay "
                "0.0005, and Adam or SGD with momentum 0.9 in Caffe's form (v = 0.9 v + lr g; "
                "w = w - v).",
                f"**Seeds.** {len(settings['seeds'])}. A seed fixes the split, the initial weights "
                "and the order of the batches for all arms, so differences are paired. Collapsed "
                "seeds are counted, not dropped.",
                "**Accuracy** is measured on the test rows after the last update, never the best "
                "on the way.",
                "**Tuning.** The bounds are medians over the ramps of 5 seeds; the best constant "
                "has the best mean accuracy on validation rows. Costs are per seed: five ramps "
                "cost 40 epochs, not 8. Rows that validate for one seed test for another, so these "
                "choices are not wholly blind to the test rows.",
                f"**Updates.** {settings['long_updates']} (140 epochs) for the long baseline and "
                f"{settings['short_updates']} (50 epochs) for all others, as the paper compares "
                "70,000 with 25,000. The target is the baseline's mean less "
                f"{settings['margin_points']} points.",
                "**Stepwise** divides the rate by ten at 6/7 and at 13/14 of the run, as in the "
                "paper. **Triangular, triangular2 and exp_range** make five cycles of 10 epochs. "
                "**Staged triangular2** is the paper's Table 2 in epochs: step sizes of 4, 2 and 1 "
                "for 32, 12 and 6 epochs, with a tenth of the bounds at each stage.",
                f"**Gamma** of exp and exp_range is the paper's per epoch, {GAMMA}^{PAPERS_EPOCH}, "
                "for 50 epochs instead of the paper's 140 and 84. They run in the first case only; "
                "decay and the stepwise run from max_lr do not run with Adam.",
                "**Constants above the grid** were added after a first run. They show whether a "
                "constant rate as high as the range test's peak is stable, and count for nothing "
                "else.",
                "**Intervals** are Student's at 95 % over the seeds, not corrected for their "
                "number: chance alone lets one in twenty exclude 0.",
                f"**Versions.** NumPy {versions['numpy']}, Python {versions['python']}, clrcore "
                f"{versions['clrcore']}, {versions['machine']}, two threads; "
                f"{run['processor_seconds'] / 60:.1f} minutes of processor time.",
            )
        ),
        "```sh\npip install -e '.[demo]'\npython benchmarks/reproduce.py --out reproduced\n```",
        paragraph(
            "Two runs on one machine give the same `results.json`, byte for byte. Another "
            "processor may round differently. "
            "[benchmarks/reproduce.py](../benchmarks/reproduce.py) writes this page from "
            "[evidence.json](evidence.json), and a test compares the two; "
            "only the bounds by eye and the text about the set-up are written by hand."
        ),
    ]


# In words.


def summary(cases: Mapping[str, Plain]) -> str:
    """How many claims held, tied and are not confirmed; the staged run against its controls."""
    words = [verdict for case in cases.values() for verdict in case["verdicts"].values()]
    counts = {word: words.count(word) for word in (HELD, TIED, NOT_CONFIRMED)}
    items = [
        bullet(
            f"**The paper's claims**: {len(CLAIMS)} claims in up to {len(cases)} cases make "
            f"{len(words)} checks. {counts[HELD]} held, {counts[TIED]} tied, "
            f"{counts[NOT_CONFIRMED]} are not confirmed."
        )
    ]
    for case in cases.values():
        beside = [against(row, CONTROLS[row["against"]]) for row in controls(case)]
        items.append(bullet(f"**{case['title']}**: the paper's staged cycles {'; '.join(beside)}."))
    return "\n".join(items)


def resplit_text(result: Plain) -> str:
    """The verdicts that change if the seeds count as splits of the same rows."""
    wider = resplits.factor(result["settings"])
    changed = [
        f"{claim} ({case['title']}): {word} instead of {case['verdicts'][claim]}"
        for case in result["cases"].values()
        for claim, word in resplits.changed_verdicts(case, wider).items()
    ]
    return (
        "The seeds split the same 5000 digits, so their outcomes are correlated, and the intervals "
        "are about these digits. For new data the usual correction (Nadeau and Bengio, 2003) makes "
        f"them {wider:.1f} times as wide, and {len(changed)} verdicts change: {'; '.join(changed)}."
    )


def case_text(case: Plain) -> str:
    """The target, the chosen constant and how high the peak is."""
    return paragraph(
        f"Target: {case['target']:.2f} %. The best constant on validation rows is "
        f"{case['chosen']:g}. {peak_text(case)} Differences are paired with {LONG}. Updates to the "
        "target include those of tuning; seeds that never reach it are in brackets. Epochs are "
        "tuning + training."
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
    """The same arms in PyTorch."""
    return [
        paragraph(
            f"The same arms with PyTorch {torch['version']} and `PolicyLR`, from the same initial "
            f"weights with the same batches, for {torch['seeds']} of the seeds. Rates are compared "
            "bit for bit; rates with a gamma may differ in their last bits. PyTorch's SGD "
            "multiplies the whole velocity by the rate, Caffe's form only the gradient, so "
            "trainings differ as soon as the rate moves. Otherwise only rounding differs. The "
            "constants above the grids are left out."
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
