"""Fine-tuning pretrained networks: is the confirmed rate near the best?

    python benchmarks/fine_tuning.py

Each network is trained here on a task, and then fine-tuned on another: all weights or the new head
only. The best rate is the constant whose held-out loss is lowest at the end of the fine-tuning, a
mean over two seeds. The search has a fresh seed, held-out losses, and the recipe's usual rate.
"""

import copy
import math
from collections.abc import Iterator

import torch
from long_settings import CONTEXT, LanguageModel, arrays, network
from torch import Tensor, nn
from torch.nn import functional

import clrcore

STEPS = 400
RATES = [10 ** (q / 4) for q in range(-20, 1)]


class Tuning:
    """A pretrained network, new data, and what is trained."""

    def __init__(self, name: str, model: nn.Module, data: tuple[Tensor, Tensor], usual: float):
        self.name, self.model, self.usual = name, model, usual
        x, y = data
        held = len(x) // 5
        self.x, self.y, self.held_x, self.held_y = x[held:], y[held:], x[:held], y[:held]

    def run(self, seed: int, batch: int = 32) -> "TuningRun":
        """A fresh copy, before its first update."""
        return TuningRun(self, seed, batch)


class TuningRun:
    """A fine-tuning in progress."""

    def __init__(self, tuning: Tuning, seed: int, batch: int) -> None:
        self.tuning = tuning
        self.model = copy.deepcopy(tuning.model)
        weights = [p for p in self.model.parameters() if p.requires_grad]
        adaptive = tuning.usual < 0.01
        self.optimizer: torch.optim.Optimizer = (
            torch.optim.AdamW(weights, fused=True)
            if adaptive
            else torch.optim.SGD(weights, momentum=0.9, fused=True)
        )
        self.batches = self._endless(torch.Generator().manual_seed(seed), batch)

    def _endless(self, generator: torch.Generator, batch: int) -> Iterator[Tensor]:
        while True:
            yield from torch.randperm(len(self.tuning.x), generator=generator).split(batch)

    def update(self, lr: float) -> float:
        """An update at that rate; the loss before it."""
        chosen = next(self.batches)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        loss = functional.cross_entropy(self.model(self.tuning.x[chosen]), self.tuning.y[chosen])
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()

    @torch.no_grad()
    def held_out(self) -> float:
        """The held-out loss."""
        found = self.model(self.tuning.held_x[:1000])
        return functional.cross_entropy(found, self.tuning.held_y[:1000]).item()


def train(model: nn.Module, x: Tensor, y: Tensor, lr: float, steps: int) -> nn.Module:
    """Train with Adam."""
    optimizer = torch.optim.Adam(model.parameters(), lr=lr, fused=True)
    generator = torch.Generator().manual_seed(5)
    for _ in range(steps):
        chosen = torch.randint(len(x), (32,), generator=generator)
        loss = functional.cross_entropy(model(x[chosen]), y[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


def digits(kind: str, data: str, frozen: bool, usual: float) -> Tuning:
    """Trained on the digits 0 to 4, fine-tuned on 5 to 9 with a new head."""
    x, y = arrays(data)
    torch.manual_seed(3)
    model = train(network(kind, x.shape[1]), x[y < 5], y[y < 5], 3e-3, 800)
    if frozen:
        model.requires_grad_(False)
    head = list(model.named_modules())[-1][0]
    width = model.get_submodule(head).in_features
    model.set_submodule(head, nn.Linear(width, 5))  # type: ignore[arg-type]
    what = "new head only" if frozen else "all weights"
    return Tuning(f"{kind} on {data}, {what}", model, (x[y >= 5], y[y >= 5] - 5), usual)


def text() -> Tuning:
    """Trained on prose, fine-tuned on the longest words and code: the second half of the text."""
    from pydoc_data.topics import topics

    from long_settings import SYMBOLS

    def windows(text: str) -> tuple[Tensor, Tensor]:
        ids = torch.tensor([SYMBOLS.index(c) for c in text.lower() if c in SYMBOLS])
        rows = ids[: len(ids) // (CONTEXT + 1) * (CONTEXT + 1)].view(-1, CONTEXT + 1)
        rows = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(1))]
        return rows[:, :-1], rows[:, 1:]

    import argparse
    import pathlib

    prose = "\n".join(topics[key] for key in sorted(topics))
    code = pathlib.Path(argparse.__file__).read_text()
    torch.manual_seed(3)
    model = train(LanguageModel("transformer"), *windows(prose), 5e-3, 1500)
    return Tuning("transformer from prose to code, all weights", model, windows(code), 1e-3)


def best_rate(tuning: Tuning) -> tuple[float, list[float]]:
    """The best constant rate, and the held-out losses of all."""
    ends = []
    for lr in RATES:
        losses = []
        for seed in (0, 1):
            run = tuning.run(seed)
            finite = all(math.isfinite(run.update(lr)) for _ in range(STEPS))
            losses.append(run.held_out() if finite else math.inf)
        ends.append(sum(losses) / len(losses))
    return RATES[ends.index(min(ends))], ends


def confirmed(tuning: Tuning) -> tuple[clrcore.Bounds | None, str]:
    """The answer of a search, and what its range test said."""
    search = clrcore.BoundsSearch(tuning.usual, total_steps=STEPS)
    for each in search:
        run = tuning.run(1000)
        for lr in each:
            loss = run.update(lr)
            if isinstance(each, clrcore.RangeTest):
                each.record(loss=loss)
            else:
                due = each.validation_due()
                each.record(loss=loss, held_out_loss=run.held_out() if due else None)
    try:
        clrcore.suggest_bounds(search.curves)
        said = "answered"
    except clrcore.NoBoundsError as error:
        said = f"refused ({error.kind})"
    try:
        return search.bounds, said
    except clrcore.NoBoundsError as error:
        return None, f"{said}, {error.kind}"


def main() -> None:
    torch.set_num_threads(1)
    tunings = [
        digits("resmlp_layer", "mnist", False, 0.01),
        digits("resmlp_layer", "mnist", True, 0.01),
        digits("resnet_group", "digits", False, 1e-3),
        digits("resnet_group", "digits", True, 1e-3),
        digits("vit", "digits", False, 1e-3),
        text(),
    ]
    for tuning in tunings:
        best, ends = best_rate(tuning)
        bounds, said = confirmed(tuning)
        low = [lr for lr, end in zip(RATES, ends, strict=True) if end <= 1.05 * min(ends)]
        lr = math.nan if bounds is None else bounds.lr
        nearest = min(range(len(RATES)), key=lambda i: abs(math.log(RATES[i] / (lr or 1))))
        print(
            f"{tuning.name:45} range test {said:20} lr {lr:8.3g}  best {best:8.3g} "
            f"(within 5 %: {low[0]:.2g} to {low[-1]:.2g})  factor {max(lr / best, best / lr):4.1f} "
            f"held-out {ends[nearest]:.3f} of {min(ends):.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
