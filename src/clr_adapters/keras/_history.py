"""What a `CycleEnds` has judged, as plain data and in the checkpoints of a model."""

from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np

import clrcore
from clrcore.arguments import check_ends, check_keys, check_state, check_type, refuse

from ._private import KerasSaveable

VERSION = 2


class History:
    """The ends of cycles, and the states of monitor and policies before the first and after each.

    So training can go back to an earlier update.

    Args:
        monitor: The monitor that judges the ends, or None.
    """

    def __init__(self, monitor: clrcore.CycleMonitor | None) -> None:
        self._monitor = monitor
        self.ends: list[dict[str, Any]] = []
        self._states = [self._state(None)]

    def append(self, end: dict[str, Any], policies: list[dict[str, Any] | None]) -> None:
        """Note an end, and the policies after it."""
        self.ends.append(end)
        self._states.append(self._state(policies))

    def go_back(
        self, updates: int, policies: list[dict[str, Any] | None]
    ) -> list[clrcore.Policy | None]:
        """Forget the ends after so many updates, and put the monitor back.

        Args:
            updates: Completed updates.
            policies: The present policies, which are those of the start if no others are known.

        Returns:
            The policies of that time.
        """
        self.ends = [end for end in self.ends if end["updates"] <= updates]
        del self._states[len(self.ends) + 1 :]
        state = self._states[-1]
        if self._monitor is not None:
            self._monitor.load_state_dict(state["monitor"])
        if state["policies"] is None:
            state["policies"] = policies
        return [data and clrcore.policy_from_dict(data) for data in state["policies"]]

    def state_dict(self) -> dict[str, Any]:
        """A copy as plain data."""
        return copy.deepcopy({"version": VERSION, "ends": self.ends, "history": self._states})

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to a state that `state_dict` described; a refused state changes nothing."""
        check_state("state", state, VERSION, ["ends", "history"])
        ends = check_ends("state['ends']", state["ends"])
        states = check_type("state['history']", state["history"], list, "a list")
        if len(states) != len(ends) + 1:
            allowed = f"a list of {len(ends) + 1}, one more than the ends"
            refuse(ValueError, "state['history']", allowed, states)
        before = self._state(None)["monitor"]
        try:
            for i, item in enumerate(states):
                self._check(f"state['history'][{i}]", item)
        except BaseException:
            if self._monitor is not None:
                self._monitor.load_state_dict(before)
            raise
        self.ends, self._states = ends, copy.deepcopy(states)

    def _state(self, policies: list[dict[str, Any] | None] | None) -> dict[str, Any]:
        monitor = None if self._monitor is None else self._monitor.state_dict()
        return {"monitor": monitor, "policies": policies}

    def _check(self, name: str, item: dict[str, Any]) -> None:
        """Refuse an item of the history; the monitor takes its state."""
        check_keys(name, item, ["monitor", "policies"])
        if (item["monitor"] is None) != (self._monitor is None):
            advice = "make CycleEnds with a monitor if the state has a monitor, and without if not"
            allowed = "the state of this CycleEnds' monitor, or None without a monitor"
            refuse(ValueError, f"{name}['monitor']", allowed, item["monitor"], advice=advice)
        check_type(f"{name}['policies']", item["policies"], list | None, "a list or None")
        for data in item["policies"] or []:
            if data is not None:
                clrcore.policy_from_dict(data)
        if self._monitor is not None:
            self._monitor.load_state_dict(item["monitor"])


class Saved(KerasSaveable):  # type: ignore[misc]
    """A history as an attribute of a model, which Keras saves and loads with the weights."""

    # History itself stays an object that can be copied and pickled as any other.
    def __init__(self, history: History) -> None:
        self._history = history

    def _obj_type(self) -> str:
        return "Loss"  # Keras knows no others; it names attributes that are not searched

    def save_own_variables(self, store: Any) -> None:
        """Write the state into a checkpoint of a model."""
        store["state"] = np.frombuffer(json.dumps(self._history.state_dict()).encode(), np.uint8)

    def load_own_variables(self, store: Any) -> None:
        """Read the state, if the checkpoint has one."""
        if "state" in store.keys():
            self._history.load_state_dict(json.loads(bytes(np.asarray(store["state"]))))
