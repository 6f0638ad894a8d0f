"""``fold``: the function that applies one input, an event or a local command, to the state of a saga."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from choreo.envelope import Envelope
from choreo.protocol import commands, events
from choreo.protocol.decisions import Decision
from choreo.protocol.inputs import (
    Begin,
    Buried,
    Deferred,
    Discarded,
    Due,
    Ended,
    Input,
    Observed,
    Pruned,
    Requeued,
)
from choreo.protocol.instance import Instance
from choreo.protocol.renaming import renamed
from choreo.protocol.role import Role

_Fold = Callable[[Role, Instance, Any, list[Decision]], None]

_FOLD_OF: dict[type, _Fold] = {
    Envelope: events.fold_event,
    Begin: commands.begin,
    Ended: commands.ended,
    Deferred: commands.deferred,
    Buried: commands.buried,
    Requeued: commands.requeued,
    Discarded: commands.discarded,
    Observed: commands.observed,
    Due: commands.due,
    Pruned: commands.pruned,
}


def fold(role: Role, saga: Instance, item: Input) -> tuple[Instance, list[Decision]]:
    """Return the saga after an input, and the decisions.

    The function is pure: it changes none of its arguments, and uses no clock and no randomness. For an input
    that does not apply to the state, such as a `Begin` of a step that has ended meanwhile, it returns an
    equal saga and no decisions.
    """
    after = saga.copy()
    return after, fold_into(role, after, item)


def fold_into(role: Role, saga: Instance, item: Input) -> list[Decision]:
    """Fold an input into the saga in place, and return the decisions."""
    if role.names:
        role, item = renamed(role, saga, item)
    decisions: list[Decision] = []
    _FOLD_OF[type(item)](role, saga, item, decisions)
    return decisions
