"""``OwnEvents``: the events that a participant has published, read from its topics; for a rebuild."""

from __future__ import annotations

import json
import sqlite3
from typing import NamedTuple

from choreo.envelope import Envelope, is_keyed_by_id

_TABLE = """
CREATE TABLE events (
    number INTEGER PRIMARY KEY, saga_id TEXT, saga_type TEXT, event_id TEXT, causation_id TEXT,
    envelope TEXT, body BLOB, UNIQUE (saga_id, saga_type, event_id)
)
"""
_BY_CAUSE = "CREATE INDEX by_cause ON events (saga_id, saga_type, causation_id)"
_ADD = """
INSERT OR IGNORE INTO events (saga_id, saga_type, event_id, causation_id, envelope, body)
VALUES (?, ?, ?, ?, ?, ?)
"""
_GET = "SELECT envelope, body FROM events WHERE saga_id = ? AND saga_type = ? AND event_id = ?"
_OF = """
SELECT envelope, body FROM events WHERE saga_id = ? AND saga_type = ? AND causation_id = ? ORDER BY number
"""
_SAGA = "SELECT envelope, body FROM events WHERE saga_id = ? AND saga_type = ?"
_KEYED = (
    "CREATE TABLE keyed_by_id (saga_id TEXT, saga_type TEXT, PRIMARY KEY (saga_id, saga_type)) WITHOUT ROWID"
)
_ADD_KEYED = "INSERT OR IGNORE INTO keyed_by_id VALUES (?, ?)"
_IS_KEYED = "SELECT 1 FROM keyed_by_id WHERE saga_id = ? AND saga_type = ?"


class PublishedEvent(NamedTuple):
    """An event on the topic, with its body."""

    envelope: Envelope
    body: bytes


class OwnEvents:
    """The participant's own events, in a temporary database, which SQLite deletes when it is closed.

    >>> events = OwnEvents()
    >>> event = Envelope("e2", "doer", "Acted", 7, "s1", "trip", 1, "doer.act", "succeeded",
    ...                  "compensatable", "e1")
    >>> events.add(event, b"...")
    >>> [found.envelope.id for found in events.caused_by(event._replace(id="e1"))]
    ['e2']
    >>> events.get("s1", "trip", "e1") is None
    True
    >>> events.close()
    """

    def __init__(self) -> None:
        self._connection = sqlite3.connect("", isolation_level=None)
        for statement in (_TABLE, _BY_CAUSE, _KEYED, "BEGIN"):
            self._connection.execute(statement)

    def add(self, envelope: Envelope, body: bytes) -> None:
        """Add an event; adding it again changes nothing."""
        values = (envelope.saga_id, envelope.saga_type, envelope.id, envelope.causation_id)
        self._connection.execute(_ADD, (*values, json.dumps(envelope), body))
        if is_keyed_by_id(envelope):
            self._connection.execute(_ADD_KEYED, values[:2])

    def are_keyed_by_id(self, saga_id: str, saga_type: str) -> bool:
        """Whether the participant derived the ids of a saga's events from the saga's id alone."""
        return self._connection.execute(_IS_KEYED, (saga_id, saga_type)).fetchone() is not None

    def steps(self, saga_id: str, saga_type: str) -> set[str]:
        """Return the steps that a saga's events name."""
        rows = self._connection.execute(_SAGA, (saga_id, saga_type))
        return {_published(*row).envelope.step for row in rows}

    def get(self, saga_id: str, saga_type: str, event_id: str) -> PublishedEvent | None:
        """Return a saga's event with that id, None where the topic does not hold it."""
        found = self._connection.execute(_GET, (saga_id, saga_type, event_id)).fetchone()
        return _published(*found) if found else None

    def caused_by(self, event: Envelope) -> list[PublishedEvent]:
        """Return the events that answer an event of their saga, in the order of the topic."""
        rows = self._connection.execute(_OF, (event.saga_id, event.saga_type, event.id))
        return [_published(*row) for row in rows.fetchall()]

    def close(self) -> None:
        """Delete the database."""
        self._connection.close()


def _published(envelope: str, body: bytes) -> PublishedEvent:
    return PublishedEvent(Envelope(*json.loads(envelope)), body)
