"""What one participant's store says of one saga: its side of the story."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, get_args

from choreo.chain import PRUNED
from choreo.errors import StoreError
from choreo.outcome import Outcome, SagaState, StepState
from choreo.protocol.history import INPUT_NAMES
from choreo.records import Entry


class Planned(NamedTuple):
    """What a participant has yet to do for a saga, and when it is due (milliseconds since the epoch).

    ``task`` is ``action``, ``compensation``, ``observer``, ``deadline`` or ``answer``; ``lane`` is ``out``
    while a call is under way.
    """

    task: str
    name: str
    due: int
    attempt: int = 0
    lane: str = "turn"


class Letter(NamedTuple):
    """A dead letter of a saga; ``state`` is ``open``, ``requeued`` or ``discarded``."""

    number: int
    task: str
    name: str
    reason: str
    detail: str
    time: int
    state: str = "open"
    comment: str = ""


class Account(NamedTuple):
    """One participant's side: its rows of the saga log, and what waits there now.

    ``unsent`` are the ids of the events that its outbox still holds; ``source`` says where all this was
    read, for a message.
    """

    participant: str
    entries: Sequence[Entry]
    planned: Sequence[Planned] = ()
    letters: Sequence[Letter] = ()
    unsent: frozenset[str] = frozenset()
    source: str = ""


_STATES = frozenset(get_args(StepState))
_SAGA_STATES = frozenset(get_args(SagaState))
_OUTCOMES = frozenset((*get_args(Outcome), ""))
_INPUTS = frozenset((*INPUT_NAMES.values(), PRUNED, ""))


def refuse_corrupt(entries: Iterable[Entry], source: str) -> None:
    """Raise `StoreError` at the first row that choreo can't have written, naming it."""
    for number, entry in enumerate(entries, 1):
        wrong = next(
            (f"{name} is {value!r}" for name, value, known in _words(entry) if value not in known), ""
        )
        if not wrong and entry.input == "event" and entry.offset < 0:
            wrong = "an event of the log has no offset"
        if wrong:
            raise StoreError(
                f"{source}: row {number} of saga {entry.saga_id} is corrupt: {wrong}",
                hint="restore the store from a backup; `choreo log verify` looks at all of its rows",
            )


def _words(entry: Entry) -> Iterable[tuple[str, str, frozenset[str]]]:
    return (
        ("input", entry.input, _INPUTS),
        ("old_state", entry.old_state, _STATES),
        ("new_state", entry.new_state, _STATES),
        ("saga_state", entry.saga_state, _SAGA_STATES),
        ("outcome", entry.outcome, _OUTCOMES),
    )
