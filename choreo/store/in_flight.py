"""What a store holds of the sagas in flight: the work that a release may leave without a handler.

It is counted by the database, as there may be a million sagas; only the oldest of each kind is read. Each one
is read where it is given up.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import compress
from typing import Any, Literal, cast

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
_IS_SEEN = "max(CASE WHEN event_type = ? AND input = 'event' AND note <> 'void' THEN 1 ELSE 0 END)"
_LAST_MOVE = f"max(CASE WHEN step = ? AND {_MOVES} THEN id END)"
_KINDS = f"max(CASE WHEN step = ? AND {_SUCCESSES} THEN kind END)"

_AT_ONCE = 20
"""So many steps are looked for in one scan: a statement of SQLite joins 64 tables at most."""

_LASTING = (PIVOT, RETRIABLE)
"""The kinds of steps that no compensation undoes once they have succeeded."""

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
_KIND = f"(SELECT max(kind) {_OF_SAGA} AND step = work.name AND {_SUCCESSES})"
_SUCCESS = f"(SELECT event_type {_MOVES_OF_STEP} AND outcome = '{SUCCEEDED}' ORDER BY id DESC LIMIT 1)"
_STATE = f"(SELECT new_state {_MOVES_OF_STEP} ORDER BY id DESC LIMIT 1)"


def _not_held(step: str) -> str:
    """Return the condition that no letter holds the compensation of a step, which is then asked for there."""
    return f"""
    NOT EXISTS (
        SELECT 1 FROM {{dead_letters}} WHERE saga_id = last.saga_id AND saga_type = last.saga_type
        AND task = 'compensation' AND name = {step} AND {_OPEN}
    )
    """


_IS_STILL_DONE = f"""
AND {_IN_FLIGHT} AND NOT EXISTS (SELECT 1 {_MOVES_OF_STEP} AND id > work.id) AND {_not_held("work.name")}
"""
# The first row of a saga that goes on.
_BEGIN = """
SELECT min((
    SELECT min(id) FROM {saga_log} WHERE saga_id = each.saga_id AND saga_type = each.saga_type
)) FROM {sagas_in_flight} AS each
"""
# Sagas that are in the table of those in flight and have ended, or aren't and haven't.
_ASTRAY = """
SELECT count(*) FROM (
    SELECT saga_id, saga_type FROM {saga_log} UNION SELECT saga_id, saga_type FROM {sagas_in_flight}
) AS each
WHERE EXISTS (
    SELECT 1 FROM {sagas_in_flight} WHERE saga_id = each.saga_id AND saga_type = each.saga_type
) = (coalesce((
    SELECT saga_state FROM {saga_log} WHERE saga_id = each.saga_id AND saga_type = each.saga_type
    ORDER BY id DESC LIMIT 1
), 'completed') IN ('completed', 'failed'))
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
        self.begin = sql(_BEGIN)
        self.astray = sql(_ASTRAY)
        self.first = sql("SELECT saga_id, recorded_at FROM {saga_log} WHERE id = ?")
        self.steps = sql(
            "SELECT DISTINCT saga_type, step, CASE input WHEN 'event' THEN kind ELSE '' END, event_type"
            " FROM {saga_log} WHERE id >= ? AND {begins}"
            f" AND (({_MOVES} AND outcome = '{SUCCEEDED}') OR {_SUCCESSES})"
        )
        self.owner = sql("SELECT participant FROM {store}")
        self._sql = sql

    def tally(self, types: int, steps: int) -> str:
        """Return the statement that counts sagas that have not ended, in one scan of the saga log.

        They are counted by which of so many event types they have seen and, for each of so many steps, by
        the success event of one that is still done and the kind with which that came back; each is NULL where
        there is none. The values are the types, each step twice, and the row to begin with.
        """
        ends = [f", {_IS_SEEN} AS seen_{number}" for number in range(types)]
        names = [f", seen_{number}" for number in range(types)]
        joins = []
        for number in range(steps):
            done, move, kind = f"done_{number}", f"move_{number}", f"kind_{number}"
            ends.append(f", {_LAST_MOVE} AS {move}, {_KINDS} AS {kind}")
            names.append(f", {done}.event_type, CASE WHEN {done}.id > 0 THEN {kind} END")
            joins.append(
                f" LEFT JOIN {{saga_log}} AS {done} ON {done}.id = {move}"
                f" AND {done}.new_state = 'completed' AND {_not_held(f'{done}.step')}"
            )
        saga = f"last.saga_type, last.saga_version, last.saga_state{''.join(names)}"
        return self._sql(
            f"SELECT count(*), min(heads.first), {saga}"
            f" FROM (SELECT min(id) AS first, max(id) AS last{''.join(ends)} FROM {{saga_log}} WHERE id >= ?"
            " GROUP BY saga_id, saga_type) AS heads"
            f" CROSS JOIN {{saga_log}} AS last{''.join(joins)}"
            f" WHERE last.id = heads.last AND {_IN_FLIGHT} GROUP BY {saga}"
        )


def in_flight(
    read: Read, sql: Searches, lacks: Lacks, steps: Collection[str] | None, types: Collection[str]
) -> InFlight:
    """Return what `choreo.ports.Store.in_flight` does."""
    waiting = [
        _many(read, sql, held, row)
        for held, values in _waiting(read, sql, lacks)
        for row in read(sql.work[held].count, *values)
    ]
    begin = _begin(read, sql) if types or steps is None or steps else None
    if begin is None:
        return InFlight(waiting, [])
    seen: list[Seen] = []
    done: list[Many] = []
    among, names = _among(read, sql, lacks, steps, begin), sorted(types)
    for at in range(0, len(among) or bool(names), _AT_ONCE):
        asked = among[at : at + _AT_ONCE]
        twice = [step for step in asked for _ in range(2)]
        rows = read(sql.tally(len(names), len(asked)), *names, *twice, begin)
        seen = seen or _seen(rows, names)
        done += [_many(read, sql, "done", row) for row in _done(rows, asked, len(names))]
        names = []
    return InFlight([*waiting, *done], seen)


def work(read: Read, sql: Searches, lacks: Lacks, steps: Collection[str] | None) -> Iterator[Work]:
    """Yield what `choreo.ports.Store.work` does."""
    asked = list(_waiting(read, sql, lacks))
    if steps is None or steps:
        begin = _begin(read, sql)
        among = [] if begin is None else _among(read, sql, lacks, steps, begin)
        if among:
            asked.append(("done", (begin, json.dumps(among))))
    for held, values in asked:
        for row in read(sql.work[held].list, *values):
            saga_id, saga_type, version, state, since, task, name, result, reason, kind, event, step = row
            if kind not in _LASTING:
                saga = saga_id, saga_type, version, state, since
                yield Work(*saga, held, task, name, event, result, step, reason, kind)


def _waiting(read: Read, sql: Searches, lacks: Lacks) -> Iterator[tuple[Held, tuple[Any, ...]]]:
    """Yield what is asked for of letters and of the schedule, and how: most of their names are not."""
    for held, statement in sql.names.items():
        asked = [list(each) for each in read(statement) if lacks(each[0], each[1], each[2], "")]
        if asked:
            yield held, (json.dumps(asked),)


def _begin(read: Read, sql: Searches) -> int | None:
    """Return the first row of the sagas that go on, None where there are none."""
    return cast(int | None, read(sql.begin)[0][0])


def _among(
    read: Read, sql: Searches, lacks: Lacks, steps: Collection[str] | None, begin: int
) -> Sequence[str]:
    """Return the steps whose completion is asked for."""
    return sorted(_lacking(read, sql, begin, lacks) if steps is None else steps)


def _done(rows: Sequence[Sequence[Any]], steps: Sequence[str], types: int) -> Iterator[Sequence[Any]]:
    """Yield how many sagas need the compensation of a step that is done, in the columns of other work."""
    counts: dict[tuple[str, int, str, str, str], tuple[int, int]] = {}
    for sagas, first, saga_type, version, _, *seen in rows:
        for number, step in enumerate(steps):
            result, kind = seen[types + 2 * number : types + 2 * number + 2]
            if result is not None and kind not in _LASTING:
                key = saga_type, version, step, result, kind or ""
                known, since = counts.get(key, (0, first))
                counts[key] = known + sagas, min(since, first)
    for key, (sagas, first) in sorted(counts.items()):
        saga_type, version, step, result, kind = key
        yield sagas, first, saga_type, version, "compensation", step, result, "", kind


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


def _seen(rows: Sequence[Sequence[Any]], types: Sequence[str]) -> list[Seen]:
    """Return how many sagas that have not ended have seen which of the types; nothing for none."""
    if not types:
        return []
    counts: dict[tuple[str, int, str, frozenset[str]], int] = {}
    for sagas, _, saga_type, version, state, *seen in rows:
        key = saga_type, version, state, frozenset(compress(types, seen))
        counts[key] = counts.get(key, 0) + sagas
    return [Seen(*key, sagas) for key, sagas in counts.items()]


def lost_triggers(names: Sequence[str]) -> tuple[str, str]:
    """Return what is wrong, and a hint, where the saga log has lost triggers, which keep the table."""
    why = f"its saga log has lost {', '.join(names)}: sagas in flight may not be found"
    return why, "copy it with `choreo store copy`: a new store has all triggers"


def astray(sagas: int) -> tuple[str, str]:
    """Return what is wrong, and a hint, where the table differs from the saga log by so many sagas."""
    why = f"its sagas in flight are not those of its saga log: {sagas} differ"
    return why, "copy it with `choreo store copy`: a new store has the right ones"
