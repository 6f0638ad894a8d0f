"""What the protocol must have been told, that day, before an outcome of the participant was published."""

from __future__ import annotations

import json
import sqlite3
from typing import NamedTuple

from choreo.envelope import Envelope
from choreo.outcome import COMPENSATED, FAILED, TIMED_OUT
from choreo.protocol import Begin, Ended, Instance
from choreo.worker.item import Item

REBUILT = "rebuilt"
"""The note of a row that the topic tells of, but whose like only the lost file had."""


def told_before(saga: Instance, own: Envelope) -> Begin | Ended | None:
    """Give what the protocol was told before this outcome was published; None where that is known already."""
    progress = saga.step(own.step)
    under_way = progress.state in ("pending", "executing") and progress.activity != "idle"
    if own.outcome != COMPENSATED:
        return Ended(own.step, own.outcome, own.type, reason=REBUILT) if under_way else None
    if progress.state == "compensating":
        return Ended(own.step, COMPENSATED, own.type, reason=REBUILT)
    if not under_way:
        return None
    # It was under way when somebody's deadline passed, and came to nothing (R5).
    is_late = saga.outcomes.get(own.step) == TIMED_OUT
    return Ended(own.step, FAILED, "", "raised", REBUILT) if is_late else Begin(own.step)


def called_by(item: Item, own: Published) -> Item:
    """Give the case as caused by the event that the outcome says, rather than by the outcome itself."""
    envelope = item.trigger.envelope._replace(id=own.envelope.causation_id)
    return item._replace(trigger=item.trigger._replace(envelope=envelope))


_TABLE = """
CREATE TABLE outcomes (
    number INTEGER PRIMARY KEY, event_id TEXT UNIQUE, causation_id TEXT, envelope TEXT, body BLOB
)
"""
_ADD = "INSERT OR IGNORE INTO outcomes (event_id, causation_id, envelope, body) VALUES (?, ?, ?, ?)"
_GET = "SELECT envelope, body FROM outcomes WHERE event_id = ?"
_OF = "SELECT envelope, body FROM outcomes WHERE causation_id = ? ORDER BY number"


class Published(NamedTuple):
    """One event that lies in the topic, with its body."""

    envelope: Envelope
    body: bytes


class Outcomes:
    """The participant's own events, in a database that SQLite keeps in a file of its own and deletes.

    >>> outcomes = Outcomes()
    >>> outcomes.add(Envelope("e2", "doer", "Acted", 7, "s1", "trip", 1, "doer.act", "succeeded",
    ...                       "compensatable", "e1"), b"...")
    >>> [found.envelope.id for found in outcomes.caused_by("e1")]
    ['e2']
    >>> outcomes.get("e1") is None
    True
    >>> outcomes.close()
    """

    def __init__(self) -> None:
        self._connection = sqlite3.connect("", isolation_level=None)
        self._connection.execute(_TABLE)
        self._connection.execute("CREATE INDEX by_cause ON outcomes (causation_id)")
        self._connection.execute("BEGIN")

    def add(self, envelope: Envelope, body: bytes) -> None:
        """Note an event; one that is there already changes nothing."""
        self._connection.execute(_ADD, (envelope.id, envelope.causation_id, json.dumps(envelope), body))

    def get(self, event_id: str) -> Published | None:
        """Give the event of that id, if the topic holds it."""
        found = self._connection.execute(_GET, (event_id,)).fetchone()
        return _published(*found) if found else None

    def caused_by(self, event_id: str) -> list[Published]:
        """Give the events that were answers to that one, in the order of the topic."""
        return [_published(*row) for row in self._connection.execute(_OF, (event_id,)).fetchall()]

    def close(self) -> None:
        """Forget all."""
        self._connection.close()


def _published(envelope: str, body: bytes) -> Published:
    return Published(Envelope(*json.loads(envelope)), body)
