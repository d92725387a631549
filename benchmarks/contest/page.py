"""The result in words, for the terminal and for the page of the docs."""

from __future__ import annotations

from collections.abc import Sequence

from reproduction.prose import bullet, paragraph
from reproduction.tables import table

from clr_adapters.cli.demo.statistics import Estimate

from .verdicts import (
    LOSES,
    TIES,
    TUNED_PEAK,
    UNTUNED,
    WINS,
    Plain,
    Record,
    Side,
    difference,
    mean,
    record,
    strongest,
    verdict,
)

# Chosen before the runs: the paper's headline cycle, and the default of `bounds.policy`.
CYCLES = "triangular2"
OTHER_CYCLES = ("triangular", "exp_range", "warm restarts")
TODAY = ("one cycle", "linear", "cosine", "WSD")
FIXED, PRODIGY, SCHEDULE_FREE = "fixed rate", "Prodigy", "Schedule-Free"
SCHEDULES = (FIXED, CYCLES, *OTHER_CYCLES, *TODAY)


def answer(result: Plain) -> str:
    """When cycles win, tie and lose against the best of today's schedules."""
    return (
        f"Cycles ({CYCLES}) {_against_best(list(result['tasks'].values()))}. Their opponent is the "
        "best of one cycle, linear, cosine and WSD on that task; both take the range test's rate."
    )


def counts(result: Plain) -> str:
    """How often cycles win, tie and lose over all tasks, against each kind of opponent."""
    tasks = list(result["tasks"].values())

    def against(source: str, *arms: str) -> str:
        return _noun(record(tasks, Side(CYCLES, source), [Side(arm, source) for arm in arms]))

    return "\n".join(
        bullet(text)
        for text in (
            f"**Against each of the four schedules of today**, over {len(tasks)} tasks: "
            f"{against(UNTUNED, *TODAY)} at the range test's rate; "
            f"{against(TUNED_PEAK, *TODAY)} with tuned peaks.",
            f"**Against a fixed rate**: {against(UNTUNED, FIXED)} at the range test's rate; "
            f"{against(TUNED_PEAK, FIXED)} tuned.",
            f"**The best mean score** of all schedules: {best(tasks, UNTUNED)} at the range test's "
            f"rate; {best(tasks, TUNED_PEAK)} with tuned peaks.",
            f"**Against optimizers that need no schedule**, at the rates that their authors "
            f"advise: {against(UNTUNED, PRODIGY)} against Prodigy, "
            f"{against(UNTUNED, SCHEDULE_FREE)} against Schedule-Free; with tuned peaks "
            f"{against(TUNED_PEAK, SCHEDULE_FREE)} against Schedule-Free.",
        )
    )


def short(result: Plain) -> str:
    """The answer, the counts, and when cycles win, tie and lose task by task."""
    return "\n\n".join((paragraph(answer(result)), counts(result), by_task(result), rates(result)))


def best(tasks: Sequence[Plain], source: str) -> str:
    """How often which schedule has the best mean score."""
    found = [strongest(task, source, SCHEDULES) for task in tasks]
    names = sorted(set(found), key=lambda name: (-found.count(name), name))
    return _list([f"{name} on {found.count(name)}" for name in names])


def by_task(result: Plain) -> str:
    """For each task the opponents that cycles beat, tie with and lose to, at the same rate."""
    items = []
    for task in result["tasks"].values():
        found: dict[str, list[str]] = {WINS: [], TIES: [], LOSES: []}
        for arm in TODAY:
            word = verdict(difference(task, Side(CYCLES, UNTUNED), Side(arm, UNTUNED)))
            found[word].append(arm)
        verbs = {WINS: "beat", TIES: "tie with", LOSES: "lose to"}
        said = "; ".join(f"{verbs[word]} {_list(arms)}" for word, arms in found.items() if arms)
        items.append(bullet(f"**{task['title']}**: cycles {said}."))
    return "\n".join(items)


def rates(result: Plain) -> str:
    """What the range test costs and loses against tuning."""
    tasks = list(result["tasks"].values())
    found = [
        verdict(difference(task, Side(arm, UNTUNED), Side(arm, TUNED_PEAK)))
        for task in tasks
        for arm in SCHEDULES
    ]
    verdicts = Record(*(found.count(word) for word in (WINS, TIES, LOSES)))
    search = [found["updates"] for task in tasks for found in task["found"]]
    tuning = [updates for task in tasks for updates in task["tuning_updates"].values()]
    return paragraph(
        f"**The range test's rate against a tuned peak**, the same schedule on both sides: "
        f"{_noun(verdicts)} in {len(found)} comparisons. The range test and its trials "
        f"take {min(search):,} to {max(search):,} updates and serve all schedules. Tuning takes "
        f"{min(tuning):,} to {max(tuning):,} for each schedule."
    )


def whole(result: Plain) -> str:
    """The page of the docs."""
    tasks = list(result["tasks"].values())
    parts = [
        "# Against today's schedules",
        paragraph(f"**{answer(result)}**"),
        counts(result),
        "![Cycles less each of today's schedules at the range test's rate, task by task]"
        "(pictures/scoreboard-cycles.png)",
        by_task(result),
        rates(result),
        "![Accuracy along the training: cycles, a fixed rate, the strongest schedule of today]"
        "(pictures/scoreboard-accuracy.png)",
        paragraph(
            f"Every verdict is on a paired difference over {len(result['seeds'])} seeds. Cycles "
            "win if its 95 % interval lies above 0, lose if it lies below 0, and tie otherwise. "
            "All arms of a task make the same number of updates from the same weights with the "
            "same batches. The numbers of every seed are in "
            "[scoreboard.json](scoreboard.json)."
        ),
        "## Cycles against each opponent",
        paragraph(
            f"Score of {CYCLES} less the opponent's, positive where cycles are better: points of "
            "test accuracy, or nats of test loss for text."
        ),
        "### At the range test's rate",
        differences(tasks, UNTUNED, (FIXED, *TODAY, PRODIGY, SCHEDULE_FREE)),
        "### With tuned peaks",
        differences(tasks, TUNED_PEAK, (FIXED, *TODAY, SCHEDULE_FREE)),
        "## Other cycles",
        paragraph(
            f"Wins, ties and losses over the {len(tasks)} tasks, at the range test's rate and "
            "with tuned peaks."
        ),
        records(tasks),
        "## The range test's rate against a tuned peak",
        paragraph("Score at the range test's rate less the score at the tuned peak."),
        sources(tasks),
        "## Every arm",
        paragraph("Mean test score: accuracy in percent, loss in nats for text (lower is better)."),
        scores(tasks),
        "## Limits",
        limits(result),
        "## The set-up",
        set_up(result),
        "```sh\npip install -e '.[demo,torch]' prodigyopt schedulefree\n"
        "python benchmarks/scoreboard.py --out compared\n"
        "python benchmarks/scoreboard.py --tune  # only for new peaks\n```",
        paragraph(
            "Nothing depends on the clock or on the number of processes: three of the 25 pairs of "
            "a task and a seed were run twice on one machine, with the same outcomes byte for "
            "byte. Another processor may round differently. [benchmarks/scoreboard.py]"
            "(../benchmarks/scoreboard.py) writes this page from [scoreboard.json]"
            "(scoreboard.json), and a test compares the two."
        ),
    ]
    return "\n\n".join(parts) + "\n"


# Tables.


def differences(tasks: Sequence[Plain], source: str, arms: Sequence[str]) -> str:
    """Cycles less each opponent, a column for each task."""
    rows = [
        (
            arm,
            *(
                _signed(difference(task, Side(CYCLES, source), Side(arm, source)), task)
                for task in tasks
            ),
        )
        for arm in arms
    ]
    return table(("against", *_titles(tasks)), rows, right=range(1, len(tasks) + 1))


def records(tasks: Sequence[Plain]) -> str:
    """Wins, ties and losses of every kind of cycle against the fixed rate and today's schedules."""
    rows = []
    for source in (UNTUNED, TUNED_PEAK):
        for arm in (CYCLES, *OTHER_CYCLES):
            cells = [
                "{} / {} / {}".format(*record(tasks, Side(arm, source), [Side(other, source)]))
                for other in (FIXED, *TODAY)
            ]
            rows.append((source, arm, *cells))
    return table(("rate", "cycles", FIXED, *TODAY), rows, right=range(2, 7))


def sources(tasks: Sequence[Plain]) -> str:
    """Each schedule at the range test's rate less the same schedule tuned."""
    rows = [
        (
            arm,
            *(
                _signed(difference(task, Side(arm, UNTUNED), Side(arm, TUNED_PEAK)), task)
                for task in tasks
            ),
        )
        for arm in SCHEDULES
    ]
    rows.append(("updates of tuning", *(_tuning_cost(task) for task in tasks)))
    rows.append(("updates of the range test", *(_search_cost(task) for task in tasks)))
    return table(("schedule", *_titles(tasks)), rows, right=range(1, len(tasks) + 1))


def scores(tasks: Sequence[Plain]) -> str:
    """The mean score of every arm; diverged seeds in brackets."""
    rows = []
    for source in (UNTUNED, TUNED_PEAK):
        for arm in tasks[0][source]:
            cells = []
            for task in tasks:
                score = mean(task, Side(arm, source))
                shown = f"{-score:.3f}" if task["in_nats"] else f"{score:.2f}"
                diverged = sum(task[source][arm]["diverged"])
                cells.append(f"{shown} ({diverged})" if diverged else shown)
            advised = source == UNTUNED and arm in (PRODIGY, SCHEDULE_FREE)
            rows.append(("advised" if advised else source, arm, *cells))
    return table(("rate", "arm", *_titles(tasks)), rows, right=range(2, len(tasks) + 2))


def _tuning_cost(task: Plain) -> str:
    costs = [task["tuning_updates"][arm] for arm in SCHEDULES]
    return f"{min(costs):,} to {max(costs):,}"


def _search_cost(task: Plain) -> str:
    costs = [found["updates"] for found in task["found"]]
    return f"{min(costs):,} to {max(costs):,}"


def _titles(tasks: Sequence[Plain]) -> list[str]:
    return [task["title"] for task in tasks]


def _signed(found: Estimate, task: Plain) -> str:
    digits = 3 if task["in_nats"] else 2
    word = {WINS: " win", TIES: "", LOSES: " loss"}[verdict(found)]
    return f"{found.mean:+.{digits}f} \N{PLUS-MINUS SIGN}{found.half_width:.{digits}f}{word}"


# In words.


def limits(result: Plain) -> str:
    """What the result does not show."""
    return "\n".join(
        bullet(text)
        for text in (
            "**Small networks, short trainings.** The largest network has 17,522 parameters, the "
            "trainings have 1000 or 1750 updates. Nothing here is about large models.",
            f"**Few seeds.** With {len(result['seeds'])} seeds intervals are wide: a tie means "
            "that no difference was found, not that there is none.",
            "**The best opponent is chosen by its test score**, which favours it a little.",
            "**A tuned peak rests on a single seed**, which is what most people can afford.",
            "**The range test takes longer than a training here.** Its updates do not grow with "
            "the training, so in a long training they are a small share.",
            "**Intervals are not corrected for their number.** Chance alone makes one comparison "
            "in twenty a win or a loss. Seeds share their test rows, except on MNIST-5k.",
            "**The text repeats passages**, so some test rows are much like rows that were trained "
            "on, in all arms alike.",
            "**Prodigy is an Adam.** On tasks that others train with SGD it also changes the "
            "optimizer, and so does Schedule-Free's averaging.",
        )
    )


def set_up(result: Plain) -> str:
    """Tasks, arms, rates and versions."""
    versions = result["versions"]
    named = ", ".join(f"{name} {number}" for name, number in versions.items())
    seeds = len(result["tuning_seeds"])
    tuned_with = "another seed" if seeds == 1 else f"{seeds} other seeds"
    return "\n".join(
        bullet(text)
        for text in (
            "**Tasks.** MNIST-5k is the demo's network in NumPy, as in [the evidence]"
            "(evidence.md), without its seeds. The others are settings of "
            "[benchmarks/long_settings.py](../benchmarks/long_settings.py), with rows kept to "
            "validate and to test. They were chosen before any run.",
            "**Cycles.** Four cycles of equal length between a quarter of the peak and the peak; "
            "exp_range lowers both bounds to 8 % over the training, as in the paper's run; warm "
            "restarts fall to 0 four times.",
            "**Today's schedules.** Linear and cosine fall to 0 after a warm-up of 5 %. WSD warms "
            "up for 5 % and falls to 0 over the last 20 %. One cycle has PyTorch's defaults.",
            "**The range test's rate.** Each seed runs the search of `find_bounds`, a range test "
            "and short trials from its own start, and takes the rates of "
            "`bounds.policy(total_steps=..., kind=...)`. exp_range takes the multiple of "
            "triangular2.",
            f"**Tuned peaks.** A search over rates half a decade apart, then a quarter, with "
            f"{tuned_with}. The validation rows "
            "decide. The peaks are in "
            "[benchmarks/data/tuned_peaks.json](../benchmarks/data/tuned_peaks.json).",
            "**Prodigy and Schedule-Free** take the rates that their authors advise: 1 with a "
            "cosine to 0 for Prodigy; for Schedule-Free 1 with SGD and 0.0025 with AdamW, both "
            "with a warm-up of 5 %. Schedule-Free is tuned as well.",
            "**A training that diverges** counts as untrained.",
            "**Time.** The comparison takes about 9 minutes of processor time, the tuning about 7.",
            f"**Versions.** {named}; one thread.",
        )
    )


def _noun(counts: Record) -> str:
    parts = (counts.wins, "win"), (counts.ties, "tie"), (counts.losses, "loss")
    plural = {"win": "wins", "tie": "ties", "loss": "losses"}
    words = [f"{count} {word if count == 1 else plural[word]}" for count, word in parts]
    return _list(words)


def _against_best(tasks: Sequence[Plain]) -> str:
    """On which tasks cycles win, tie and lose against the schedule with the best mean score."""
    found: dict[str, list[str]] = {WINS: [], TIES: [], LOSES: []}
    for task in tasks:
        best = Side(strongest(task, UNTUNED, TODAY), UNTUNED)
        name = task["title"].split(",")[0]
        found[verdict(difference(task, Side(CYCLES, UNTUNED), best))].append(name)
    verbs = {WINS: "win on", TIES: "tie on", LOSES: "lose on"}
    return "; ".join(
        f"{verbs[word]} {_list(names) if names else 'no task'}" for word, names in found.items()
    )


def _list(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
