"""Policies and range tests in Keras 3, on its TensorFlow, JAX and PyTorch backends."""

from .._extras import needed as _needed

with _needed(
    "tensorflow",
    "clr_adapters.keras needs Keras 3 and a backend",
    ', or ".[keras]" beside jax or torch, with KERAS_BACKEND set to it',
):
    import keras as _keras  # noqa: F401

from .cycle_ends import CycleEnds as CycleEnds
from .find_bounds import find_bounds as find_bounds
from .range_test import range_test as range_test
from .rate_logger import RateLogger as RateLogger
from .schedule import PolicySchedule as PolicySchedule
