"""What a training step costs with PolicySchedule beside a constant rate, on one backend.

On PyTorch, which runs eagerly, beside Keras's CosineDecayRestarts. KERAS_BACKEND names the
backend. Every row is the median of several runs with the lowest and the highest of them; the row
"a constant rate, to itself" is the noise.
"""

from collections.abc import Callable

import keras
import numpy as np
from paired import command, ratios, row

import clrcore
from clr_adapters.keras import PolicySchedule

STEPS = 50
LIMIT = 1.05
# A fit takes up to a second.
TURNS = 7
POLICIES = {
    "triangular": clrcore.triangular(0.0001, 0.0006, 2000),
    "triangular2": clrcore.triangular2(0.0001, 0.0006, 2000),
    "exp_range": clrcore.exp_range(0.0001, 0.0006, 2000, gamma=0.99994, decays="amplitude"),
    "hann": clrcore.triangular(0.0001, 0.0006, 2000, window="hann"),
}


def training(rate: object) -> Callable[[], object]:
    """A call trains a network of three layers for STEPS batches."""
    layers = [keras.layers.Dense(256, activation="relu") for _ in range(3)]
    model = keras.Sequential([keras.Input((64,)), *layers, keras.layers.Dense(10)])
    model.compile(keras.optimizers.Adam(rate), loss="mse")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64 * STEPS, 64)).astype("float32")
    y = rng.normal(size=(64 * STEPS, 10)).astype("float32")

    def train() -> object:
        return model.fit(x, y, batch_size=64, shuffle=False, verbose=0)

    train()  # compiles
    return train


def main() -> None:
    backend = keras.backend.backend()
    constant = training(0.0003)
    row("a constant rate, to itself", ratios(training(0.0003), constant, turns=TURNS), LIMIT)
    theirs, name, limit = constant, "a constant rate", LIMIT
    if backend == "torch":  # where nothing is compiled, a schedule costs what its operators cost
        theirs = training(keras.optimizers.schedules.CosineDecayRestarts(0.0006, 2000))
        name, limit = "CosineDecayRestarts", 1.0
    for kind, policy in POLICIES.items():
        ours = training(PolicySchedule(policy))
        row(f"{kind}, to {name}", ratios(ours, theirs, turns=TURNS), limit)


if __name__ == "__main__":
    engine = {"tensorflow": "tensorflow-cpu"}.get(keras.backend.backend(), keras.backend.backend())
    command(__doc__, main, "keras", engine)
