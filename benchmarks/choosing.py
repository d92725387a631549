"""How much the outcome hangs on step_size and on the bounds, on the demo's digits.

    python benchmarks/choosing.py [--seeds 20]

Triangular cycles of 48 epochs on 5000 MNIST digits, with the demo's network, data, batches and
seeds. 48 epochs are whole cycles for every step size that is tried. Nothing is chosen by what is
seen: every row that was run is printed.
"""

import argparse
import os

for variable in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(variable, "1")  # matrices this small are slower with more

import clrcore  # noqa: E402
from clr_adapters.cli.demo import data, experiment, statistics, training  # noqa: E402

EPOCHS = 48
STEP_SIZES = (1, 2, 4, 8, 24)
USUAL = 4
# What the demo's range test gives.
BASE_LR, MAX_LR = 0.027, 0.30
TOPS = (0.15, 0.30, 0.60)
RATIOS = (2, 4, 10)
COLLAPSED = 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    seeds = range(parser.parse_args().seeds)
    splits = data.split(data.load(), seeds)
    total = EPOCHS * experiment.EPOCH

    def run(base_lr: float, max_lr: float, epochs: int) -> statistics.Floats:
        policy = clrcore.triangular(base_lr, max_lr, epochs * experiment.EPOCH)
        history = training.train(
            policy, total, splits, seeds, evaluate_every=total, tick=lambda steps: None
        )
        return history.test[:, -1]

    print(f"{len(seeds)} seeds, {total} updates; test accuracy in %, 95 % intervals, paired")
    usual = run(BASE_LR, MAX_LR, USUAL)
    print(f"\n| step_size, epochs | cycles | accuracy | difference to {USUAL} epochs | collapsed |")
    print("|---|---|---|---|---|")
    for epochs in STEP_SIZES:
        final = usual if epochs == USUAL else run(BASE_LR, MAX_LR, epochs)
        report(f"{epochs} | {EPOCHS // (2 * epochs)}", final, usual)
    print(f"\n| max_lr | base_lr | accuracy | difference to {BASE_LR} to {MAX_LR} | collapsed |")
    print("|---|---|---|---|---|")
    for max_lr in TOPS:
        for ratio in RATIOS:
            report(f"{max_lr} | {max_lr / ratio:g}", run(max_lr / ratio, max_lr, USUAL), usual)


def report(label: str, final: statistics.Floats, usual: statistics.Floats) -> None:
    mean = statistics.estimate(100 * final)
    row = f"| {label} | {mean.mean:.2f} ± {mean.half_width:.2f} |"
    if final is usual:
        row += " |"
    else:
        gap = statistics.estimate(100 * (final - usual))
        row += f" {gap.mean:+.2f} ± {gap.half_width:.2f} |"
    print(f"{row} {int((final < COLLAPSED).sum())} |", flush=True)


if __name__ == "__main__":
    main()
