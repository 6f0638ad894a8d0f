"""What a store holds of the sagas in flight: the work that a release may leave without a handler.

It is counted by the database, as there may be a million sagas; only the oldest of each kind is read. Each one
is read where it is given up.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import compress
from typing import Any, Literal

from choreo.outcome import COMPENSATABLE, PIVOT, RETRIABLE, SUCCEEDED
from choreo.records import InFlight, Many, Seen, Work
from choreo.store.chains import Read
from choreo.store.dialect import Dialect

Lacks = Callable[[str, str, str, str], bool]
Held = Literal["schedule", "letter", "done"]

_OF_HANDLERS = "task IN ('action', 'compensation', 'answer', 'observer', 'deadline', 'outcome')"
_ASKED = "(saga_type, task, name) IN ({triples})"
# A letter that is about to be settled is as good as open: without its handler it is opened again.
_OPEN = """
(state = 'open' OR CAST(id AS TEXT) IN (
    SELECT name FROM {schedule} WHERE task IN ('requeue', 'discard', 'resolve')
))
"""
_IN_FLIGHT = "last.saga_state NOT IN ('completed', 'failed')"
# An observer that has handled an event is no step, nor is an import or a deadline.
_MOVES = "input NOT IN ('event', 'observed', 'due') AND old_state <> new_state AND kind <> 'external'"
_SUCCESSES = f"input = 'event' AND outcome = '{SUCCEEDED}'"
_IS_SEEN = "sum(CASE WHEN input = 'event' AND note <> 'void' AND event_type = ? THEN 1 ELSE 0 END) > 0"

_WORK = "id, saga_id, saga_type, task, name, event_id"
_SCHEDULED = f"SELECT {_WORK}, '' AS reason FROM {{schedule}} WHERE {_OF_HANDLERS} AND {_ASKED}"
_LETTERS = f"SELECT {_WORK}, reason FROM {{dead_letters}} WHERE {_OF_HANDLERS} AND {_OPEN} AND {_ASKED}"
_DONE = f"""
SELECT id, saga_id, saga_type, 'compensation' AS task, step AS name, event_id, '' AS reason, event_type
FROM {{saga_log}}
WHERE id >= ? AND step IN ({{texts}}) AND new_state = 'completed' AND {_MOVES}
"""

_OF_SAGA = "FROM {saga_log} WHERE saga_id = work.saga_id AND saga_type = work.saga_type"
_MOVES_OF_STEP = f"{_OF_SAGA} AND step = work.name AND {_MOVES}"
_FIRST = f"(SELECT min(id) {_OF_SAGA})"
# A success comes back after the step was completed.
_KIND = f"(SELECT max(kind) {_OF_SAGA} AND id > work.id AND step = work.name AND {_SUCCESSES})"
_SUCCESS = f"(SELECT event_type {_MOVES_OF_STEP} AND outcome = '{SUCCEEDED}' ORDER BY id DESC LIMIT 1)"
_STATE = f"(SELECT new_state {_MOVES_OF_STEP} ORDER BY id DESC LIMIT 1)"
# What a letter already holds of a step that is done is not asked for a second time.
_IS_STILL_DONE = f"""
AND {_IN_FLIGHT} AND NOT EXISTS (SELECT 1 {_MOVES_OF_STEP} AND id > work.id) AND NOT EXISTS (
    SELECT 1 FROM {{dead_letters}} WHERE saga_id = work.saga_id AND saga_type = work.saga_type
    AND task = 'compensation' AND name = work.name AND {_OPEN}
)
"""


class _Statements:
    """The statements that count and list work of one kind, of whose columns there is a relation."""

    def __init__(
        self, dialect: Dialect, work: str, condition: str = "", *, result: str = _SUCCESS, kind: str = "''"
    ) -> None:
        rows = f"""
        FROM ({work}) AS work
        JOIN {{saga_log}} AS last ON last.id = (SELECT max(id) {_OF_SAGA})
        WHERE 1 = 1 {condition}
        """
        saga = "work.saga_type, last.saga_version"
        groups = f"work.task, work.name, coalesce({result}, ''), work.reason, coalesce({kind}, '')"
        self.count = dialect.sql(
            f"SELECT count(DISTINCT work.saga_id), min({_FIRST}), {saga}, {groups} {rows}"
            " GROUP BY 3, 4, 5, 6, 7, 8, 9 ORDER BY 3, 4, 5, 6, 7, 8, 9"
        )
        since = f"(SELECT recorded_at FROM {{saga_log}} WHERE id = {_FIRST})"
        self.list = dialect.sql(
            f"SELECT work.saga_id, {saga}, last.saga_state, {since}, {groups},"
            f" work.event_id, coalesce({_STATE}, 'pending') {rows} ORDER BY work.id"
        )


class Searches:
    """The statements that search a store for what is in flight, in one dialect."""

    def __init__(self, dialect: Dialect) -> None:
        sql = dialect.sql
        names = "SELECT DISTINCT saga_type, task, name FROM"
        self.names: dict[Held, str] = {
            "letter": sql(f"{names} {{dead_letters}} WHERE {_OF_HANDLERS} AND {_OPEN}"),
            "schedule": sql(f"{names} {{schedule}} WHERE {_OF_HANDLERS}"),
        }
        self.work: dict[Held, _Statements] = {
            "letter": _Statements(dialect, _LETTERS),
            "schedule": _Statements(dialect, _SCHEDULED),
            "done": _Statements(dialect, _DONE, _IS_STILL_DONE, result="work.event_type", kind=_KIND),
        }
        ends = "SELECT min(id) AS first, max(id) AS last FROM {saga_log} GROUP BY saga_id, saga_type"
        self.begin = sql(
            f"SELECT min(heads.first) FROM ({ends}) AS heads CROSS JOIN {{saga_log}} AS last"
            f" WHERE last.id = heads.last AND {_IN_FLIGHT}"
        )
        self.first = sql("SELECT saga_id, recorded_at FROM {saga_log} WHERE id = ?")
        self.steps = sql(
            "SELECT DISTINCT saga_type, step, CASE input WHEN 'event' THEN kind ELSE '' END, event_type"
            " FROM {saga_log} WHERE id >= ? AND {begins}"
            f" AND (({_MOVES} AND outcome = '{SUCCEEDED}') OR {_SUCCESSES})"
        )
        self.owner = sql("SELECT participant FROM {store}")
        self._sql = sql

    def counts(self, types: int) -> str:
        """Return the statement that counts sagas by which of so many event types they have seen."""
        names = "".join(f", seen_{number}" for number in range(types))
        columns = "".join(f", {_IS_SEEN} AS seen_{number}" for number in range(types))
        saga = "last.saga_type, last.saga_version, last.saga_state"
        return self._sql(
            f"SELECT {saga}, count(*){names} FROM"
            f" (SELECT max(id) AS last{columns} FROM {{saga_log}} GROUP BY saga_id, saga_type) AS heads"
            " CROSS JOIN {saga_log} AS last"
            f" WHERE last.id = heads.last AND {_IN_FLIGHT}"
            f" GROUP BY {saga}{names}"
        )


def in_flight(
    read: Read, sql: Searches, lacks: Lacks, steps: Collection[str] | None, types: Collection[str]
) -> InFlight:
    """Return what `choreo.ports.Store.in_flight` does."""
    return InFlight(
        [
            _many(read, sql, held, row)
            for held, values in _asked(read, sql, lacks, steps)
            for row in read(sql.work[held].count, *values)
            if row[8] not in (PIVOT, RETRIABLE)
        ],
        _counted(read, sql, sorted(types)) if types else [],
    )


def work(read: Read, sql: Searches, lacks: Lacks, steps: Collection[str] | None) -> Iterator[Work]:
    """Yield what `choreo.ports.Store.work` does."""
    for held, values in _asked(read, sql, lacks, steps):
        for row in read(sql.work[held].list, *values):
            saga_id, saga_type, version, state, since, task, name, result, reason, kind, event, step = row
            if kind not in (PIVOT, RETRIABLE):
                saga = saga_id, saga_type, version, state, since
                yield Work(*saga, held, task, name, event, result, step, reason, kind)


def _asked(
    read: Read, sql: Searches, lacks: Lacks, steps: Collection[str] | None
) -> Iterator[tuple[Held, tuple[Any, ...]]]:
    """Yield what is asked for, and how: most names of the schedule and of letters are not."""
    for held, statement in sql.names.items():
        asked = [list(each) for each in read(statement) if lacks(each[0], each[1], each[2], "")]
        if asked:
            yield held, (json.dumps(asked),)
    if steps is None or steps:
        begin = read(sql.begin)[0][0] or 0
        among = steps if steps is not None else _lacking(read, sql, begin, lacks)
        if among:
            yield "done", (begin, json.dumps(sorted(among)))


def _many(read: Read, sql: Searches, held: Held, row: Sequence[Any]) -> Many:
    """Return a group of work, by that of the saga which began first."""
    sagas, first, saga_type, version, task, name, result, reason, kind = row
    saga_id, since = read(sql.first, first)[0]
    return Many(
        Work(saga_id, saga_type, version, "", since, held, task, name, "", result, "", reason, kind), sagas
    )


def _lacking(read: Read, sql: Searches, begin: int, lacks: Lacks) -> set[str]:
    """Return the participant's steps that may need a compensation which is asked for."""
    kinds: dict[tuple[str, str, str], set[str]] = {}
    for saga_type, step, kind, result in read(sql.steps, begin, f"{read(sql.owner)[0][0]}."):
        kinds.setdefault((saga_type, step, result), set()).add(kind)
    # Of a step that succeeded for good no compensation is missing; where no success has come back, it may be.
    return {
        step
        for (saga_type, step, result), known in kinds.items()
        if (COMPENSATABLE in known or known == {""}) and lacks(saga_type, "compensation", step, result)
    }


def _counted(read: Read, sql: Searches, types: Sequence[str]) -> list[Seen]:
    """Return how many sagas that have not ended have seen which of the types."""
    rows = read(sql.counts(len(types)), *types)
    return [
        Seen(saga, version, state, frozenset(compress(types, seen)), sagas)
        for saga, version, state, sagas, *seen in rows
    ]
