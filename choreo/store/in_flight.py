"""What a store holds of the sagas in flight: the work that a release may leave without a handler.

Sagas are counted by the database, as there may be a million; those that need something are listed, which
searches the saga log from the first row of the oldest saga that has not ended.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import compress
from typing import Any, NamedTuple

from choreo.outcome import COMPENSATABLE, PIVOT, RETRIABLE, SUCCEEDED
from choreo.records import InFlight, SagaKey, Seen, Work
from choreo.store.chains import Read
from choreo.store.dialect import Dialect

Lacks = Callable[[str, str, str, str], bool]

_OF_HANDLERS = "task IN ('action', 'compensation', 'answer', 'observer', 'deadline', 'outcome')"
_ASKED = "(saga_type, task, name) IN ({triples})"
# A letter that is about to be settled is as good as open: without its handler it is opened again.
_OPEN = """
(state = 'open' OR CAST(id AS TEXT) IN (SELECT name FROM {schedule} WHERE task IN ('requeue', 'discard')))
"""
_HEAD = "last.saga_id, last.saga_type, last.saga_version, last.saga_state, first.recorded_at, heads.first"
_ROWS_OF_HEADS = """
CROSS JOIN {saga_log} AS last CROSS JOIN {saga_log} AS first
WHERE last.id = heads.last AND first.id = heads.first
"""
# An observer that has handled an event is no step, nor is an import or a deadline.
_MOVES = "input NOT IN ('event', 'observed', 'due') AND old_state <> new_state AND kind <> 'external'"
_SUCCESSES = f"input = 'event' AND outcome = '{SUCCEEDED}'"
_IS_SEEN = "sum(CASE WHEN input = 'event' AND note <> 'void' AND event_type = ? THEN 1 ELSE 0 END) > 0"
_ROW = "saga_id, saga_type, step, input, new_state, event_id, event_type, outcome, kind"


class Searches:
    """The statements that search a store for what is in flight, in one dialect."""

    def __init__(self, dialect: Dialect) -> None:
        sql = dialect.sql
        work = "saga_id, saga_type, task, name, event_id"
        names = "SELECT DISTINCT saga_type, task, name FROM"
        self.scheduled_names = sql(f"{names} {{schedule}} WHERE {_OF_HANDLERS}")
        self.letters_names = sql(f"{names} {{dead_letters}} WHERE {_OF_HANDLERS} AND {_OPEN}")
        self.scheduled = sql(
            f"SELECT {work}, '' FROM {{schedule}} WHERE {_OF_HANDLERS} AND {_ASKED} ORDER BY id"
        )
        self.letters = sql(
            f"SELECT {work}, reason FROM {{dead_letters}}"
            f" WHERE {_OF_HANDLERS} AND {_OPEN} AND {_ASKED} ORDER BY id"
        )
        ends = "SELECT min(id) AS first, max(id) AS last FROM {saga_log}"
        self.heads = sql(
            f"SELECT {_HEAD} FROM ({ends} GROUP BY saga_id, saga_type) AS heads {_ROWS_OF_HEADS}"
            " AND last.saga_state NOT IN ('completed', 'failed')"
        )
        self.one_head = sql(
            f"SELECT {_HEAD} FROM ({ends} WHERE saga_id = ? AND saga_type = ?) AS heads {_ROWS_OF_HEADS}"
        )
        self.search = sql(
            f"SELECT {_ROW} FROM {{saga_log}}"
            f" WHERE id >= ? AND step IN ({{texts}}) AND ({_MOVES} OR {_SUCCESSES}) ORDER BY id"
        )
        self.steps = sql(
            "SELECT DISTINCT saga_type, step, CASE input WHEN 'event' THEN kind ELSE '' END, event_type"
            " FROM {saga_log} WHERE id >= ? AND {begins}"
            f" AND (({_MOVES} AND outcome = '{SUCCEEDED}') OR {_SUCCESSES})"
        )
        self.of_step = sql(
            f"SELECT {_ROW} FROM {{saga_log}}"
            f" WHERE saga_id = ? AND saga_type = ? AND step = ? AND {_MOVES} ORDER BY id"
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
            " WHERE last.id = heads.last AND last.saga_state NOT IN ('completed', 'failed')"
            f" GROUP BY {saga}{names}"
        )


class _Head(NamedTuple):
    saga_id: str
    saga_type: str
    version: int
    state: str
    since: int
    first: int


class _Step(NamedTuple):
    state: str
    event_id: str = ""
    result: str = ""
    kind: str = ""


_NOTHING = _Step("pending")


def in_flight(
    read: Read, sql: Searches, lacks: Lacks, steps: Collection[str] | None, types: Collection[str]
) -> InFlight:
    """Return what `choreo.ports.Store.in_flight` does."""
    heads = _Heads(read, sql)
    held = [
        *_held(read, sql, heads, "letter", lacks),
        *_held(read, sql, heads, "schedule", lacks),
    ]
    seen = _counted(read, sql, sorted(types)) if types else []
    if steps is not None and not steps:
        return InFlight(held, seen)
    unended = heads.unended()
    begin = min((head.first for head in unended.values()), default=0)
    if steps is None:
        steps = _lacking(read, sql, begin, lacks)
    return InFlight([*held, *_done(unended, read(sql.search, begin, json.dumps(sorted(steps))))], seen)


class _Heads:
    """The heads of sagas, read for each saga or for all that have not ended at once."""

    def __init__(self, read: Read, sql: Searches) -> None:
        self._read = read
        self._sql = sql
        self._known: dict[SagaKey, _Head | None] = {}

    def of(self, key: SagaKey) -> _Head | None:
        """Return the head of a saga, None where it has no rows."""
        if key not in self._known:
            rows = self._read(self._sql.one_head, *key)
            self._known[key] = _Head._make(rows[0]) if rows else None
        return self._known[key]

    def unended(self) -> dict[SagaKey, _Head]:
        return {SagaKey(*row[:2]): _Head._make(row) for row in self._read(self._sql.heads)}


def _held(read: Read, sql: Searches, heads: _Heads, held: Any, lacks: Lacks) -> Iterator[Work]:
    """Yield the asked work of the schedule, or of letters: most names of these are not asked for."""
    is_letter = held == "letter"
    names = sql.letters_names if is_letter else sql.scheduled_names
    asked = [list(each) for each in read(names) if lacks(each[0], each[1], each[2], "")]
    if not asked:
        return
    for saga_id, saga_type, task, name, event_id, reason in read(
        sql.letters if is_letter else sql.scheduled, json.dumps(asked)
    ):
        head = heads.of(SagaKey(saga_id, saga_type))
        if head is None:  # a damaged row
            continue
        step = _progress(read(sql.of_step, saga_id, saga_type, name))
        saga = saga_id, saga_type, head.version, head.state, head.since
        yield Work(*saga, held, task, name, event_id, step.result, step.state, reason)


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


def _done(heads: dict[SagaKey, _Head], rows: Iterable[Any]) -> Iterator[Work]:
    """Yield the steps that are completed in sagas that have not ended, but for those that nothing undoes."""
    progress: dict[tuple[str, str, str], _Step] = {}
    for row in rows:
        key = row[:3]
        if row[3] != "event":
            progress[key] = _after(progress.get(key, _NOTHING), row)
        elif row[8] in (PIVOT, RETRIABLE):
            progress.pop(key, None)
        elif key in progress:
            progress[key] = progress[key]._replace(kind=row[8])
    for (saga_id, saga_type, name), step in progress.items():
        head = heads.get(SagaKey(saga_id, saga_type))
        if head is not None and step.state == "completed":
            saga = saga_id, saga_type, head.version, head.state, head.since
            done = "compensation", name, step.event_id, step.result, step.state
            yield Work(*saga, "done", *done, kind=step.kind)


def _counted(read: Read, sql: Searches, types: Sequence[str]) -> list[Seen]:
    """Return how many sagas that have not ended have seen which of the types."""
    rows = read(sql.counts(len(types)), *types)
    return [
        Seen(saga, version, state, frozenset(compress(types, seen)), sagas)
        for saga, version, state, sagas, *seen in rows
    ]


def _progress(rows: Iterable[Any]) -> _Step:
    step = _NOTHING
    for row in rows:
        step = _after(step, row)
    return step


def _after(step: _Step, row: Any) -> _Step:
    """Return the progress of a step after one of its transitions."""
    _, _, _, _, new_state, event_id, event_type, outcome, _ = row
    if outcome == SUCCEEDED:
        return _Step(new_state, event_id, event_type)
    return step._replace(state=new_state)
