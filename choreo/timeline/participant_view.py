"""``ParticipantView``: one saga as one participant's store holds it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, get_args

from choreo.chain import PRUNED
from choreo.errors import StoreError
from choreo.outcome import Outcome, SagaState, StepState
from choreo.protocol.recorded_inputs import INPUT_NAMES
from choreo.records import DeadLetter, Entry, Scheduled


class ParticipantView(NamedTuple):
    """One participant's rows of one saga: of its saga log, its schedule and its dead letters.

    ``unpublished`` are the ids of the events that its outbox still holds; ``source`` names, in messages,
    where all this was read.
    """

    participant: str
    entries: Sequence[Entry]
    scheduled: Sequence[Scheduled] = ()
    dead_letters: Sequence[DeadLetter] = ()
    unpublished: frozenset[str] = frozenset()
    source: str = ""


_STATES = frozenset(get_args(StepState))
_SAGA_STATES = frozenset(get_args(SagaState))
_OUTCOMES = frozenset((*get_args(Outcome), ""))
_INPUTS = frozenset((*INPUT_NAMES.values(), PRUNED, ""))


def refuse_corrupt(view: ParticipantView) -> None:
    """Raise `StoreError`, naming the row, where the saga log has one that choreo can't have written."""
    source = view.source or f"the store of {view.participant}"
    for number, entry in enumerate(view.entries, 1):
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
