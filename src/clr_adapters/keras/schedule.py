"""`PolicySchedule`: a policy as the learning-rate schedule of a Keras optimizer.

The rate is a function of the optimizer's own counter, so it is compiled into the training step,
costs as much as Keras's own schedules, and resumes with the optimizer.
"""

from __future__ import annotations

from typing import Any, Self

import keras
import numpy as np
from keras import ops

import clrcore
from clrcore.arguments import check_float, check_int, check_keys, check_type, policy_advice, refuse


@keras.saving.register_keras_serializable(package="clr_adapters")
class PolicySchedule(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """Gives an optimizer, update by update, the rate of a policy.

    Rates are float32 and within 5e-7 of max_lr of the policy's own; those of an exponential sweep
    within 3e-7 of max_lr per decade that it spans. A counter of 32 bits (JAX and PyTorch) that has
    run over after 2^31 updates holds the last rate.

    Weights loaded into an optimizer that is not built leave its counter at 0, so the policy begins
    anew. A schedule cannot see that; the callbacks CycleEnds and RateLogger warn of it.

    Args:
        policy: A policy of clrcore. A custom window or scale is refused: it is Python code, which
            neither a compiled training step nor a saved model can hold.
        gradient_accumulation_steps: The optimizer's own, an integer >= 1. Keras shows a schedule
            batches, not updates; with it the policy counts updates.
        momentum: Must be None. Keras compiles an optimizer's momentum into the training step, so
            that changing it does nothing on TensorFlow and JAX.
        name: A name, as the schedules of Keras have it.

    Raises:
        TypeError: For an argument of the wrong type; the message names it.
        ValueError: For a value that is not allowed.

    Example:
        >>> import clrcore, keras
        >>> from clr_adapters.keras import PolicySchedule
        >>> schedule = PolicySchedule(clrcore.triangular2(0.001, 0.006, step_size=2000))
        >>> optimizer = keras.optimizers.SGD(schedule, momentum=0.9)
        >>> round(float(schedule(1000)), 6)
        0.0035
    """

    def __init__(
        self,
        policy: clrcore.Policy,
        *,
        gradient_accumulation_steps: int = 1,
        momentum: None = None,
        name: str = "PolicySchedule",
    ) -> None:
        if not isinstance(policy, clrcore.Policy):
            allowed = "a policy of clrcore, such as clrcore.triangular"
            refuse(TypeError, "policy", allowed, policy, advice=policy_advice(policy))
        every = check_int("gradient_accumulation_steps", gradient_accumulation_steps, 1)
        if momentum is not None:
            advice = "Keras compiles momentum into the training step on TensorFlow and JAX, so a "
            advice += "schedule for it would silently do nothing; give the optimizer a constant"
            refuse(ValueError, "momentum", "None", momentum, advice=advice)
        check_type("name", name, str, "a string")
        try:
            policy.to_dict()
        except ValueError as error:
            raise ValueError(
                "policy must be plain data, as a compiled training step and a saved model hold "
                f"no Python function, but {error}; for Keras use window='triangular', 'hann' or "
                "'welch', and clrcore.triangular2 or clrcore.exp_range in place of a scale"
            ) from error
        self.policy = policy
        self.gradient_accumulation_steps = every
        self.name = name

    def __call__(self, step: Any) -> Any:
        """The rate of the update that comes after `step` batches, as a float32 tensor.

        Args:
            step: An integer >= 0 of Python or NumPy, or a tensor or Keras variable of integers.
                Of a float, as some optimizers count, the integer part is taken.

        Raises:
            TypeError: For a bool of Python or NumPy.
            ValueError: For a negative number, NaN or infinity of Python or NumPy.
        """
        if isinstance(step, bool | int | float | np.generic):
            update = _integer(step) // self.gradient_accumulation_steps
            # In Python, as the backend may have no integer that is large enough.
            return ops.convert_to_tensor(self.policy(update), dtype="float32")
        counter = ops.convert_to_tensor(step)
        kind = keras.backend.standardize_dtype(counter.dtype)
        if "int" not in kind:
            counter, kind = ops.cast(counter, "int32"), "int32"
        # One that ran over stays at the end instead of starting the policy again.
        counter = ops.where(counter < 0, _largest(kind), counter)
        if self.gradient_accumulation_steps > 1:
            counter = counter // self.gradient_accumulation_steps
        return self.policy.evaluate(counter, ops, _float32)

    def get_config(self) -> dict[str, Any]:
        """The policy's dictionary, the accumulation steps and the name, as plain data."""
        return {
            "policy": self.policy.to_dict(),
            "gradient_accumulation_steps": self.gradient_accumulation_steps,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The schedule that `get_config` described.

        Raises:
            ValueError: For missing and unknown keys, and values that are not allowed.
        """
        config = {"name": "PolicySchedule", **config}  # which models of 0.1.0 do not have
        check_keys("config", config, ["policy", "gradient_accumulation_steps", "name"])
        return cls(**config | {"policy": clrcore.policy_from_dict(config["policy"])})

    def __repr__(self) -> str:
        every = self.gradient_accumulation_steps
        more = "" if every == 1 else f", gradient_accumulation_steps={every}"
        return f"PolicySchedule({self.policy!r}{more})"


def _integer(step: Any) -> int:
    """The integer part of a number of Python or NumPy."""
    if isinstance(step, float | np.floating):
        return int(check_float("step", step, 0.0))
    return check_int("step", step)


def _float32(counter: Any) -> Any:
    return ops.cast(counter, "float32")


def _largest(kind: str) -> int:
    """The largest number that a signed counter of this type reaches."""
    return 2**63 - 1 if kind == "int64" else 2**31 - 1
