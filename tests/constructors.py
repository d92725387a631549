"""Valid arguments of every constructor of a policy, all of them but `scale`."""

import clrcore

CYCLIC = {
    **{"base_lr": 0.1, "max_lr": 1.0, "step_size": 10, "step_size_down": 5},
    "window": "welch",
}
FALL = {"base_lr": 0.1, "max_lr": 1.0}
SWEEP = {"min_lr": 0.1, "max_lr": 1.0, "num_steps": 10}
ARGUMENTS = {
    "triangular": CYCLIC,
    "triangular2": CYCLIC | {"window": "hann"},
    "exp_range": CYCLIC | {"gamma": 0.9, "decays": "bounds", "window": "triangular"},
    "cyclic": CYCLIC,
    "constant": {"lr": 0.1},
    "stepwise": {"lr": 0.1, "milestones": [10, 20], "factor": 0.5},
    "exponential": {"lr": 0.1, "gamma": 0.9},
    "decay": FALL | {"step_size": 10},
    "cosine": FALL | {"num_steps": 10},
    "linear_sweep": SWEEP,
    "exponential_sweep": SWEEP,
    "one_cycle": {
        **{"max_lr": 1.0, "total_steps": 100, "form": "three_phase", "pct_start": 0.4},
        **{"anneal_strategy": "linear", "div_factor": 10.0, "final_div_factor": 100.0},
    },
    "smith_one_cycle": FALL | {"step_size": 10},
    "warm_restarts": FALL | {"period": 10, "multiplier": 2},
    "chain": {"stages": [(clrcore.constant(0.1), 10)]},
    "cooldown": {
        **{"policy": clrcore.constant(0.1), "at": 20, "num_steps": 10},
        **{"final_lr": 0.0, "shape": "linear"},
    },
}
