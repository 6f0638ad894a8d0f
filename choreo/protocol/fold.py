"""``fold``: the one function that decides, everywhere, what an event or a command means for a saga."""

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
from choreo.protocol.role import Role

_Rule = Callable[[Role, Instance, Any, list[Decision]], None]

_RULES: dict[type, _Rule] = {
    Envelope: events.happened,
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


def fold(role: Role, saga: Instance, told: Input) -> tuple[Instance, list[Decision]]:
    """Give the saga after ``told``, and what is to be done about it.

    Pure: the same arguments give the same result, nothing is changed, there is no clock and no chance
    in it. An input that doesn't fit the state (a pause that is over for a step that has ended
    meanwhile, say) gives an equal saga and no decisions.
    """
    after = saga.copy()
    return after, fold_into(role, after, told)


def fold_into(role: Role, saga: Instance, told: Input) -> list[Decision]:
    """Fold ``told`` into the saga itself, for who needs what came before no more; give what is to be done."""
    decisions: list[Decision] = []
    _RULES[type(told)](role, saga, told, decisions)
    return decisions
