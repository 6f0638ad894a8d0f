"""A saga whose branches are joined: so many branches, each of which ends in one of several ways."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from choreo import Context, Participant, Permanent, Saga, all_of, event
from choreo.graph import derive


class Wide(NamedTuple):
    """The participants, of which the first starts the saga, and its starting event."""

    participants: list[Participant]
    started: Any


def _event(name: str) -> Any:
    fields = {"key": str, "reason": str}
    return event(namespace="wide")(
        type(
            name, (), {"__annotations__": fields, "reason": "", "__doc__": f"{name}.", "__module__": __name__}
        )
    )


def _function(name: str, takes: Any, returns: Any, does: Callable[[Any], Any]) -> Callable[..., Any]:
    if takes is None:

        def function(ctx: Context) -> Any:
            return does(ctx)

        function.__annotations__ = {"ctx": Context, "return": returns}
    else:

        def function(given: Any, ctx: Context) -> Any:  # type: ignore[misc]
            return does(ctx)

        function.__annotations__ = {"given": takes, "ctx": Context, "return": returns}
    function.__name__ = function.__qualname__ = name
    return function


def _union(classes: list[Any]) -> Any:
    whole = classes[0]
    for each in classes[1:]:
        whole |= each
    return whole


def wide(width: int, ends: int, *, hosts: int = 1, joins: int = 1) -> Wide:
    """Return a saga of so many branches, with so many ends each, that are joined by a join of joins.

    The branches are on so many participants. In a saga the step that its id names fails: ``do7``, ``meet``.
    """
    started, met, unmet, parted = map(_event, ("Started", "Met", "NotMet", "Parted"))
    completed, failed, unpaid = map(_event, ("Completed", "Failed", "NotPaid"))
    saga = Saga("wide", starts=started, completes=completed, fails=failed)
    desk = Participant("desk", sagas=[saga])
    branches = [Participant(f"host{number}", sagas=[saga]) for number in range(hosts)]

    def result(name: str, cls: Any) -> Callable[[Any], Any]:
        def does(ctx: Any) -> Any:
            if name == ctx.saga_id:
                raise Permanent("it is meant to fail")
            return cls(ctx.saga_id)

        return does

    slots = []
    for number in range(width):
        owner, name = branches[number % hosts], f"do{number}"
        done = [_event(f"Done{number}x{each}") for each in range(ends)]
        fails, undone = _event(f"Failed{number}"), _event(f"Undone{number}")
        action = _function(name, started, _union(done), result(name, done[number % ends]))
        owner.action(fails=fails)(action)
        owner.compensation(of=action)(
            _function(f"undo{number}", None, undone, lambda ctx, cls=undone: cls(ctx.saga_id))
        )
        slots.append(_union(done))
    parts = [all_of(*slots[at::joins]) for at in range(joins)]
    meet = _function("meet", None, met, result("meet", met))
    desk.action(fails=unmet, on=all_of(*parts) if len(parts) > 1 else parts[0])(meet)
    desk.compensation(of=meet)(_function("part", None, parted, lambda ctx: parted(ctx.saga_id)))
    desk.action(kind="pivot", fails=unpaid)(_function("pay", met, completed, result("pay", completed)))
    desk.compensation(of=saga.start)(_function("give_up", None, failed, lambda ctx: failed(ctx.saga_id)))
    participants = [desk, *branches]
    derive(participants)
    return Wide(participants, started)
