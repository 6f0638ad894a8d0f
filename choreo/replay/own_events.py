"""``OwnEvents``: the events that a participant has published, read from its topics; for a rebuild."""

from __future__ import annotations

import json
import sqlite3
from typing import NamedTuple

from choreo.envelope import Envelope

_TABLE = """
CREATE TABLE events (
    number INTEGER PRIMARY KEY, event_id TEXT UNIQUE, causation_id TEXT, envelope TEXT, body BLOB
)
"""
_ADD = "INSERT OR IGNORE INTO events (event_id, causation_id, envelope, body) VALUES (?, ?, ?, ?)"
_GET = "SELECT envelope, body FROM events WHERE event_id = ?"
_OF = "SELECT envelope, body FROM events WHERE causation_id = ? ORDER BY number"


class PublishedEvent(NamedTuple):
    """An event on the topic, with its body."""

    envelope: Envelope
    body: bytes


class OwnEvents:
    """The participant's own events, in a temporary database, which SQLite deletes when it is closed.

    >>> events = OwnEvents()
    >>> events.add(Envelope("e2", "doer", "Acted", 7, "s1", "trip", 1, "doer.act", "succeeded",
    ...                       "compensatable", "e1"), b"...")
    >>> [found.envelope.id for found in events.caused_by("e1")]
    ['e2']
    >>> events.get("e1") is None
    True
    >>> events.close()
    """

    def __init__(self) -> None:
        self._connection = sqlite3.connect("", isolation_level=None)
        self._connection.execute(_TABLE)
        self._connection.execute("CREATE INDEX by_cause ON events (causation_id)")
        self._connection.execute("BEGIN")

    def add(self, envelope: Envelope, body: bytes) -> None:
        """Add an event; adding it again changes nothing."""
        self._connection.execute(_ADD, (envelope.id, envelope.causation_id, json.dumps(envelope), body))

    def get(self, event_id: str) -> PublishedEvent | None:
        """Return the event with that id, None where the topic does not hold it."""
        found = self._connection.execute(_GET, (event_id,)).fetchone()
        return _published(*found) if found else None

    def caused_by(self, event_id: str) -> list[PublishedEvent]:
        """Return the events that answer the event with that id, in the order of the topic."""
        return [_published(*row) for row in self._connection.execute(_OF, (event_id,)).fetchall()]

    def close(self) -> None:
        """Delete the database."""
        self._connection.close()


def _published(envelope: str, body: bytes) -> PublishedEvent:
    return PublishedEvent(Envelope(*json.loads(envelope)), body)
