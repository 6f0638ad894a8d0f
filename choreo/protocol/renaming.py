"""The names under which a saga knows handlers that a release has renamed (R9).

A handler's identity is its oldest name, its other names are aliases: a release that didn't declare the
rename had one of them for its identity. A saga that knows a handler under an alias goes on with that name, to
its end: its rows, the ids of its events and its idempotency keys stay the same, so nothing is done twice,
other participants see one step, and the release of before finds its own names again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from choreo.envelope import Envelope
from choreo.protocol.inputs import Input
from choreo.protocol.instance import Instance
from choreo.protocol.role import Role


def role_for(role: Role, saga: Instance) -> Role:
    """Return the role with the names under which a saga knows its handlers."""
    return role.under(_known(role, saga)) if role.names else role


def name_in(role: Role, saga: Instance, name: str) -> str:
    """Return the name under which a saga knows a handler, which may have several."""
    names = role.family.get(name)
    if names is None:
        return name
    known = _known(role, saga)
    if name in known and (name in role.action or name in role.deadline):
        return name
    return next((each for each in names if each in known), name)


def renamed(role: Role, saga: Instance, item: Input) -> tuple[Role, Input]:
    """Return the role, and a local command, with the names under which a saga knows its handlers.

    A name of which the saga knows none is the one that it goes on with. Events keep the step that they name,
    as every participant of the saga folds them alike.
    """
    if type(item) is not Envelope:
        command: Any = item
        name = name_in(role, saga, command[0])
        if name != command[0]:
            item = command._replace(**{command._fields[0]: name})
        if name in role.family:
            saga.names |= {name}
    return role_for(role, saga), item


def names_in_use(role: Role, names: Iterable[str]) -> frozenset[str]:
    """Return which of the names are those of handlers that have several."""
    return frozenset(role.family.keys() & set(names)) if role.names else frozenset()


def _known(role: Role, saga: Instance) -> frozenset[str]:
    found = (*saga.names, *saga.steps, *saga.deadlines, *saga.observers)
    return frozenset(name for name in found if name in role.family)
