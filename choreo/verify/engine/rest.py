"""What comes next depends on: two paths that are equal in it go on alike, so one of them is enough."""

from __future__ import annotations

from choreo.outcome import SUCCEEDED
from choreo.protocol import Instance
from choreo.verify.engine.model import Model
from choreo.verify.engine.run import Happened

Rest = tuple[object, ...]


def rest_of(model: Model, saga: Instance, unread: list[Happened], imported: int) -> Rest:
    """Give all that what comes depends on, once everything that was decided is done.

    On the way back nothing is called that isn't done yet, so what has come to nothing doesn't matter:
    only what is still to be undone does, and what it has heard of. That is why a chain's rollbacks, from
    whichever step, are one.
    """
    types = tuple(event.type for event in unread)
    if not _goes_back(model, saga, unread):
        known = (saga.types, saga.seen, saga.steps.items(), saga.deadlines.items())
        return (*map(frozenset, known), saga.end, saga.cancelled, types, imported)
    done = {step: each for step, each in saga.steps.items() if each.state == "completed"}
    heard = frozenset(event for step in done for event in model.calls[step] if event in saga.types)
    return (frozenset(done.items()), heard, types, saga.end, saga.pivoted, imported)


def _goes_back(model: Model, saga: Instance, unread: list[Happened]) -> bool:
    if not saga.failing or model.goes_on_in_rollback:
        return False
    return all(event.outcome != SUCCEEDED for event in unread)
