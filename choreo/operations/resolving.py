"""Dead letters whose work was done by hand: with which event each one ends, and what follows, in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from choreo.errors import ConfigurationError
from choreo.operations.letters import Found, is_called
from choreo.protocol import Answer, Expire, Moved, Publish, Queue
from choreo.worker.by_hand import Unresolvable, Way, Ways, usual, ways_in


def ways_of(found: Found[Any], comment: str = "") -> Ways:
    """Return how the work of a letter may end, by the type of its event. Raises `ConfigurationError`."""
    try:
        return ways_in(found.opened.store, found.letter._replace(comment=comment))
    except Unresolvable as error:
        raise Unresolvable(f"{found.title}: {error.message}", hint=error.hint) from None


def type_of(found: Found[Any], known: Ways, named: str, *, has_event: bool) -> str:
    """Return the type of the event with which the work ends, empty where it has none.

    ``named`` is a name of it, empty for the one with which work ends that was done. Raises
    `ConfigurationError` where there is no such event, or where there are several.
    """
    title, names = found.title, ", ".join(known)
    if "" in known:
        if has_event or named:
            raise ConfigurationError(f"{title}: its work ends without an event", hint="leave the event out")
        return ""
    meant: list[str | None] = [each for each in known if named and is_called(each, named)]
    meant = meant or [named or usual(known)]
    if len(meant) > 1 or meant[0] is None:
        raise ConfigurationError(
            f"{title}: its work may end with several events", hint=f"say which with --as: {names}"
        )
    if meant[0] not in known:
        raise ConfigurationError(f"{title}: its work does not end with {named}", hint=f"it ends with {names}")
    if not has_event:
        raise ConfigurationError(f"{title}: the event is missing", hint=f"give a {meant[0]} as JSON")
    return meant[0]


def objection_to_no_event(found: Found[Any]) -> str:
    """Return why a letter can't be resolved without an event; empty where it can."""
    try:
        known = ways_in(found.opened.store, found.letter)
    except Unresolvable as error:
        return error.message
    return "" if "" in known else "it ends with an event: resolve it by its number, with that event"


def following(way: Way) -> Iterator[str]:
    """Yield what follows where work ends in a way, in words."""
    for decision in way.decisions:
        match decision:
            case Moved(step, old, new):
                yield f"{step}: {old} → {new}"
            case Publish(_, outcome, name) | Answer(_, outcome, name):
                yield f"{name} is published as {outcome}"
            case Expire(name):
                yield f"the event of {name} is published as timed_out"
            case Queue(task, name):
                yield f"the {task} of {name} is due"
