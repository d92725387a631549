"""A Keras training that is killed and resumed; its weights show the rates that were used."""

import os
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import keras
import numpy as np

import clrcore
from clr_adapters.keras import CycleEnds, PolicySchedule
from crashes import note
from keras_probe import data, probe

if find_spec("tensorflow"):
    import_module("tensorflow")  # which every life would import

TOTAL, EVERY = 60, 3
POLICY = clrcore.triangular(1e-3, 0.1, 4)


def score(target, predicted):
    return 0.0 * keras.ops.mean(predicted)  # never better: the bounds are lowered


class Backup(keras.callbacks.Callback):
    """Notes each update, and saves the model with the state of CycleEnds after every few."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder, self.path = folder, folder / "checkpoint.weights.h5"

    def on_train_begin(self, logs=None):
        if self.path.exists():
            self.model.load_weights(self.path)

    def on_train_batch_end(self, batch, logs=None):
        made = int(self.model.optimizer.iterations)
        kernel = keras.ops.convert_to_numpy(self.model.layers[0].kernel.value)
        note(self._folder, "update", made - 1, float(kernel[made - 1, 0]).hex())
        if made % EVERY == 0:
            draft = self.path.with_name("checkpoint.part.weights.h5")
            self.model.save_weights(draft, overwrite=True)
            os.replace(draft, self.path)  # whole, or the one before
            note(self._folder, "saved", made)


def train(folder: Path) -> None:
    """Train up to the last update, from the checkpoint if there is one."""
    keras.utils.set_random_seed(0)
    optimizer = keras.optimizers.SGD(PolicySchedule(POLICY))
    model = probe(optimizer, TOTAL, metrics=[score])
    optimizer.build(model.trainable_variables)
    backup = Backup(folder)
    rows, targets = data(TOTAL)
    monitor = clrcore.CycleMonitor(POLICY, mode="max")
    ends = CycleEnds(monitor, validation_data=(rows, targets), metric="score")
    made = 0
    if backup.path.exists():
        model.load_weights(backup.path)
        made = int(optimizer.iterations)
    if made < TOTAL:
        inputs = {"batch_size": 1, "shuffle": False, "verbose": 0}
        model.fit(
            rows[made:], targets[made:], callbacks=[backup, ends], **inputs
        )  # saved, then judged
    kernel = keras.ops.convert_to_numpy(model.layers[0].kernel.value)
    note(folder, "end", *(f"{value:.9g}" for value in np.ravel(kernel)))
