"""``Handlers``: a participant's handlers by the names that the protocol uses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any

from choreo.events import event_name
from choreo.participant import Handler, Participant
from choreo.protocol import Instance, serves
from choreo.records import Lane, Scheduled
from choreo.retry import Retry


class Handlers:
    """A participant's handlers, by saga type, task and step: each saga's start is a step of that name.

    One that was renamed is found by each of its names, as a saga knows it that goes on with that name.
    """

    def __init__(self, participant: Participant) -> None:
        handlers = tuple(_under_each_name(participant.handlers))
        self._named = {name: each.under(name) for each in participant.handlers for name in each.names}
        self._of_step: dict[tuple[str, str, str], list[Handler]] = {}
        for handler in handlers:
            self._of_step.setdefault(_key(handler), []).append(handler)
        self._outside = {_key(each) for each in handlers if each.is_outside}
        self._timeouts = {each.step: each.timeout for each in handlers if each.task == "action"}
        self._partial_inside = {_key(each) for each in handlers if each.partial and not each.is_outside}
        self._names = {*self._named, *(handler.step for handler in handlers)}

    def is_outside(self, saga_type: str, task: str, name: str) -> bool:
        """Whether a scheduled task may have to run outside of the transaction."""
        return (saga_type, task, name) in self._outside

    def lane_of(self, saga_type: str, task: str, name: str) -> Lane:
        """Return the lane in which a scheduled task waits."""
        if (saga_type, task, name) not in self._outside:
            return "turn"
        return "undo" if task == "compensation" else "call"

    def retry_of(self, row: Scheduled) -> Retry | None:
        """Return the pauses of the handler that a row is scheduled for, None where there is none."""
        step = self._of_step.get((row.saga_type, row.task, row.name))
        handler = step[0] if step else self._named.get(row.name)
        return handler.retry if handler else None

    def timeout_of(self, step: str) -> timedelta | None:
        """Return the timeout of a step's action, or None."""
        return self._timeouts.get(step)

    def is_partial_inside(self, saga_type: str, task: str, name: str) -> bool:
        """Whether an action runs inside of the transaction and may have effects outside of it."""
        return (saga_type, task, name) in self._partial_inside

    def is_scheduled(self, saga_type: str, task: str, name: str) -> bool:
        """Whether a task never runs in the turn of the event that calls it."""
        work = (saga_type, task, name)
        return work in self._outside or work in self._partial_inside

    def knows(self, saga_type: str, task: str, name: str) -> bool:
        """Whether this release of the service has a handler, or the step, for a scheduled task."""
        return name in self._names and (task != "compensation" or (saga_type, task, name) in self._of_step)

    def is_of(self, name: str, version: int) -> bool:
        """Whether the handler or the step of that name is of a version of its saga; 0: not known yet."""
        handler = self._named.get(name)
        return handler is None or version == 0 or handler.versions.includes(version)

    def observes(self, name: str, event_type: str) -> bool:
        """Whether there is an observer of that name, and it takes the events of a type."""
        handler = self._named.get(name)
        return handler is not None and handler.task == "observer" and handler.takes(event_type)

    def undoes(self, saga_type: str, step: str, result: str) -> bool:
        """Whether a compensation undoes a step that emitted the success event ``result``."""
        return any(serves(each, result) for each in self._of_step.get((saga_type, "compensation", step), ()))

    def named(self, name: str) -> Handler:
        """Return a handler, such as an observer or a deadline, by its own name or a former one."""
        return self._named[name]

    def of_step(self, saga_type: str, task: str, step: str, saga: Instance) -> Handler:
        """Return a step's action, or the compensation for the success event that the step emitted."""
        candidates = self._of_step[saga_type, task, step]
        if len(candidates) == 1:
            return candidates[0]
        result = saga.step(step).result
        return next(h for h in candidates if result in h.results)

    def answer(self, saga_type: str, step: str, name: str) -> tuple[type, Callable[..., Any] | None]:
        """Return the class of a step's answer, and the function that builds it, if any."""
        for task in ("action", "compensation"):
            for handler in self._of_step.get((saga_type, task, step), ()):
                for cls in handler.emits.values():
                    if event_name(cls) == name:
                        return cls, handler.answer
        raise KeyError(name)


def _under_each_name(handlers: Sequence[Handler]) -> Iterator[Handler]:
    """Yield every handler of a step under the step's identity, and under each of its aliases."""
    aliases = {each.step: each.aliases for each in handlers if each.task == "action"}
    for handler in handlers:
        yield handler
        if handler.is_of_step:
            yield from (handler.under(name) for name in aliases.get(handler.step, ()))


def _key(handler: Handler) -> tuple[str, str, str]:
    return handler.saga.name, handler.task, handler.step
