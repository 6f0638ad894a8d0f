"""Requests: starts and cancellations that other processes than a participant's worker have written.

A saga's rows are chained, so they have one writer, the worker that owns the saga's partition. Any other
process adds a request, in a transaction that shares no lock with the worker's or another one's, and the
worker takes it up in a turn. It takes what is there: numbers are given before the commit, so that a greater
one may be seen before a smaller one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from choreo.records import Entry, Unpublished
from choreo.store.postgresql.key_hash import key_hash

Read = Callable[[str, Sequence[object]], Sequence[Any]]
"""Executes a statement with its values, and returns the rows."""

INSERT = """
INSERT INTO choreo.requests (event_id, saga_id, saga_type, topic, exports, key_hash, headers, body, entry)
VALUES (%s, %s, %s, %s, %s::text[], %s, %s, %s, %s)
"""
DELETE = "DELETE FROM choreo.requests WHERE id = ANY(%s::bigint[])"
_NEW = """
SELECT id, entry FROM choreo.requests AS request WHERE NOT EXISTS (
    SELECT 1 FROM choreo.saga_log AS known
    WHERE known.saga_id = request.saga_id AND known.saga_type = request.saga_type
) ORDER BY id
"""
_OF_SAGA = "SELECT entry, body FROM choreo.requests WHERE saga_id = %s ORDER BY id"
# What has happened to the saga meanwhile is not what the other process saw.
_FIRST = """
SELECT request.id, event_id, topic, exports, headers, body, entry,
    (SELECT saga_state FROM choreo.saga_log AS last WHERE last.saga_id = request.saga_id
        AND last.saga_type = request.saga_type ORDER BY last.id DESC LIMIT 1),
    EXISTS (SELECT 1 FROM choreo.saga_log AS known WHERE known.saga_id = request.saga_id
        AND known.saga_type = request.saga_type
        AND (known.event_id = request.event_id OR known.input = 'pruned'))
FROM choreo.requests AS request {} ORDER BY request.id LIMIT %s
"""
_OWN = """
JOIN unnest(%s::text[], %s::bigint[], %s::bigint[]) AS own (type, number, partitions)
ON request.saga_type = own.type AND request.key_hash %% own.partitions = own.number
"""

FIRST, FIRST_OWN = _FIRST.format(""), _FIRST.format(_OWN)
"""The first requests: all, or those on partitions of which the saga types, numbers and counts are given."""

IS_ASKED = "EXISTS (SELECT 1 FROM choreo.requests)"
"""Whether there are requests, in SQL."""


def values_of(entry: Entry, rows: Sequence[Unpublished]) -> tuple[object, ...]:
    """Return the values of `INSERT` for an event: its entry, and its rows of the outbox, at least one."""
    first, *others = rows
    return (
        *(first.event_id, first.saga_id, first.saga_type, first.topic),
        [row.topic for row in others],
        *(key_hash(first.saga_id), first.headers, first.body),
        json.dumps(entry._replace(payload=None)._asdict()),
    )


class Request(NamedTuple):
    """One request; ``is_known`` where the saga log has the event, or nothing of its saga any more."""

    id: int
    event_id: str
    entry: Entry
    rows: list[Unpublished]
    is_known: bool


def request_of(row: Sequence[Any]) -> Request:
    """Return a request from a row of `FIRST`."""
    identity, event_id, topic, exports, headers, body, entry, state, is_known = row
    given = _entry_of(entry, body)
    if state is not None:
        given = given._replace(saga_state=state)
    rows = [
        Unpublished(event_id, given.saga_id, given.saga_type, each, headers, body)
        for each in (topic, *exports)
    ]
    return Request(identity, event_id, given, rows, is_known)


def entries_of(read: Read, saga_id: str, saga_type: str) -> list[Entry]:
    """Return the entries that the requests for a saga will have; without a type, for all with the id.

    Read them before the saga log: what is taken up in between is then in both, and not in neither.
    """
    entries = [_entry_of(entry, body) for entry, body in read(_OF_SAGA, (saga_id,))]
    return [entry for entry in entries if saga_type in ("", entry.saga_type)]


def newly_requested(read: Read) -> list[tuple[int, Entry]]:
    """Return the last request for each saga that the saga log knows nothing of, with its number."""
    rows = ((identity, _entry_of(entry, b"")) for identity, entry in read(_NEW, ()))
    return list({entry[:2]: (identity, entry) for identity, entry in rows}.values())


def with_requested(entries: Sequence[Entry], requested: Sequence[Entry]) -> list[Entry]:
    """Return the entries of a saga's log, and those of requests that are not among them yet."""
    seen = {entry.event_id for entry in entries}
    return [*entries, *(entry for entry in requested if entry.event_id not in seen)]


def _entry_of(text: str, body: bytes) -> Entry:
    fields = json.loads(text)  # another version of choreo may have written it
    known = {name: value for name, value in fields.items() if name in Entry._fields}
    return Entry(**{**known, "payload": bytes(body)})
