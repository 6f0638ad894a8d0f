"""``Handlers``: a participant's handlers by the names that the protocol uses."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from choreo.events import event_name
from choreo.participant import Handler, Participant
from choreo.protocol import Instance
from choreo.records import Lane


class Handlers:
    """A participant's handlers, by task and step."""

    def __init__(self, participant: Participant) -> None:
        self._named = {handler.name: handler for handler in participant.handlers}
        self._of_step: dict[tuple[str, str], list[Handler]] = {}
        for handler in participant.handlers:
            self._of_step.setdefault((handler.task, handler.step), []).append(handler)
        self._outside = {(each.task, each.step) for each in participant.handlers if each.is_outside}
        self._timeouts = {each.step: each.timeout for each in participant.handlers if each.task == "action"}
        self._partial_inside = {
            (each.task, each.step) for each in participant.handlers if each.partial and not each.is_outside
        }
        self._names = {name for handler in participant.handlers for name in (handler.name, handler.step)}

    def is_outside(self, task: str, name: str) -> bool:
        """Whether a scheduled task may have to run outside of the transaction."""
        return (task, name) in self._outside

    def lane_of(self, task: str, name: str) -> Lane:
        """Return the lane in which a scheduled task waits."""
        if (task, name) not in self._outside:
            return "turn"
        return "undo" if task == "compensation" else "call"

    def timeout_of(self, step: str) -> timedelta | None:
        """Return the timeout of a step's action, or None."""
        return self._timeouts.get(step)

    def is_partial_inside(self, task: str, name: str) -> bool:
        """Whether an action runs inside of the transaction and may have effects outside of it."""
        return (task, name) in self._partial_inside

    def is_scheduled(self, task: str, name: str) -> bool:
        """Whether a task never runs in the turn of the event that calls it."""
        return (task, name) in self._outside or (task, name) in self._partial_inside

    def knows(self, name: str) -> bool:
        """Whether a handler or a step has that name in this release of the service."""
        return name in self._names

    def named(self, name: str) -> Handler:
        """Return a handler, such as an observer or a deadline, by its own name."""
        return self._named[name]

    def of_step(self, task: str, step: str, saga: Instance) -> Handler:
        """Return a step's action, or the compensation for the success event that the step emitted."""
        candidates = self._of_step[(task, step)]
        if len(candidates) == 1:
            return candidates[0]
        result = saga.step(step).result
        return next(h for h in candidates if result in h.results)

    def answer(self, step: str, name: str) -> tuple[type, Callable[..., Any] | None]:
        """Return the class of a step's answer, and the function that builds it, if any."""
        for task in ("action", "compensation"):
            for handler in self._of_step.get((task, step), ()):
                for cls in handler.emits.values():
                    if event_name(cls) == name:
                        return cls, handler.answer
        raise KeyError(name)
