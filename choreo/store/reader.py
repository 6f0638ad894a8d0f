"""``TableReader``: reads one store beside its worker; the part that is the same on every database."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, Self, TypeVar

from choreo.cloudevents import time_in
from choreo.outcome import CANCEL
from choreo.records import (
    DeadLetter,
    Depths,
    Entry,
    InFlight,
    Partition,
    Recorded,
    Release,
    Scheduled,
    StateChange,
    StateCount,
    StateNews,
)
from choreo.store.dialect import Dialect
from choreo.store.in_flight import Searches, in_flight
from choreo.store.releases import release_of
from choreo.timeline.participant_view import ParticipantView
from choreo.timeline.source import LastEntry

T = TypeVar("T")

_HEAD = "last.id, last.saga_id, last.saga_type, last.saga_state"
_LAST_ENTRY = f"{_HEAD}, last.recorded_at, last.saga_version, last.step"
_PAGE = 200
_BEYOND = 2**62
_COUNTS = "input = 'event' AND note <> 'void'"
_OF_IT = "FROM {saga_log} WHERE saga_id = each.saga_id AND saga_type = each.saga_type"
# The time is as in `choreo.timeline.transitions`.
_MOVED = f"old_state <> new_state OR ({_COUNTS})"
_MOVING = f"""
SELECT {_HEAD}, coalesce(moved.recorded_at, last.recorded_at)
  - CASE WHEN event.recorded_at > event.event_time THEN event.recorded_at - event.event_time ELSE 0 END,
  last.saga_version, coalesce(moved.step, last.step)
FROM {{sagas_in_flight}} AS each
"""
UNENDED = f"""{_MOVING}
JOIN {{saga_log}} AS last ON last.id = (SELECT max(id) {_OF_IT})
LEFT JOIN {{saga_log}} AS moved ON moved.id = (SELECT max(id) {_OF_IT} AND ({_MOVED}))
LEFT JOIN {{saga_log}} AS event ON event.id = (SELECT max(id) {_OF_IT} AND {_COUNTS} AND id <= moved.id)
ORDER BY 5, last.id
"""
"""Selects the last row of every saga that has not ended."""
_LAST = "ORDER BY id DESC LIMIT 1"
UNENDED_LATERAL = f"""{_MOVING}
CROSS JOIN LATERAL (SELECT * {_OF_IT} {_LAST}) AS last
LEFT JOIN LATERAL (SELECT * {_OF_IT} AND ({_MOVED}) {_LAST}) AS moved ON true
LEFT JOIN LATERAL (SELECT * {_OF_IT} AND {_COUNTS} AND id <= moved.id {_LAST}) AS event ON true
ORDER BY 5, last.id
"""
"""Selects the same; where a database has other ways to join, this one never reads the whole saga log."""


class Reading:
    """The statements of `TableReader` in one dialect; ``unended`` is the one of these above for it."""

    def __init__(self, dialect: Dialect, unended: str = UNENDED) -> None:
        sql = dialect.sql
        self.entries = sql("SELECT {entry} FROM {saga_log} WHERE saga_id = ? ORDER BY id")
        self.scheduled = sql("SELECT {scheduled} FROM {schedule} WHERE saga_id = ? ORDER BY due, id")
        self.letters = sql("SELECT {letter} FROM {dead_letters} WHERE saga_id = ? ORDER BY id")
        self.unpublished = sql("SELECT saga_type, event_id FROM {outbox} WHERE saga_id = ?")
        self.owner = sql("SELECT participant FROM {store}")
        # From the newest row back, so that no more is read than is taken.
        self.latest = sql(
            f"SELECT {_LAST_ENTRY} FROM {{saga_log}} AS last"
            " WHERE last.id < ? AND last.input <> 'pruned' AND NOT EXISTS ("
            " SELECT 1 FROM {saga_log} AS newer WHERE newer.saga_id = last.saga_id"
            " AND newer.saga_type = last.saga_type AND newer.id > last.id) ORDER BY last.id DESC LIMIT ?"
        )
        self.unended = sql(unended)
        self.unpublished_rows = sql("SELECT count(*) FROM {outbox}")
        self.first_unpublished = sql("SELECT headers FROM {outbox} ORDER BY seq LIMIT 1")
        self.lanes = sql("SELECT lane, count(*), min(due) FROM {schedule} GROUP BY lane ORDER BY lane")
        self.reasons = sql(
            "SELECT reason, count(*) FROM {dead_letters} WHERE state = 'open' GROUP BY reason ORDER BY reason"
        )
        same = "FROM {saga_log} AS each WHERE each.saga_id = log.saga_id AND each.saga_type = log.saga_type"
        enters = (
            "log.saga_state <> 'pending' AND log.saga_state IS DISTINCT FROM"  # most rows have that of before
            f" (SELECT each.saga_state {same} AND each.id < log.id ORDER BY each.id DESC LIMIT 1)"
            f" AND NOT EXISTS (SELECT 1 {same} AND each.id < log.id AND each.saga_state = log.saga_state)"
            f" AND NOT (log.input = 'pruned' AND log.step = '{CANCEL}')"  # it was in no state
        )
        self.state_changes = sql(
            "SELECT log.id, log.saga_type, log.saga_state, log.input,"
            " CASE WHEN log.input = 'pruned' THEN log.event_time ELSE log.recorded_at END,"
            f" (SELECT each.recorded_at {same} ORDER BY each.id LIMIT 1) FROM {{saga_log}} AS log"
            f" WHERE log.id > ? AND {enters} ORDER BY log.id"
        )
        self.state_counts = sql(
            "SELECT log.saga_type, log.saga_state, log.input = 'pruned', count(*) FROM {saga_log} AS log"
            f" WHERE log.id <= ? AND {enters} GROUP BY 1, 2, 3"
        )
        # A row that another process has asked for has the time of then, however late it was taken up.
        self.row_before = sql(
            "SELECT id FROM {saga_log} WHERE recorded_at < ? AND input IN ('event', 'pruned')"
            " ORDER BY id DESC LIMIT 1"
        )
        self.letter_page = sql("SELECT {letter_heads} FROM {dead_letters} WHERE id > ? ORDER BY id LIMIT ?")
        self.letters_of = sql(
            "SELECT {letter_heads} FROM {dead_letters} WHERE saga_id = ? AND saga_type = ? ORDER BY id"
        )
        self.letter = sql("SELECT {letter} FROM {dead_letters} WHERE id = ?")
        self.head = sql(
            f"SELECT {_LAST_ENTRY} FROM {{saga_log}} AS last WHERE last.saga_id = ? AND last.saga_type = ?"
            " AND last.input <> 'pruned' ORDER BY last.id DESC LIMIT 1"
        )
        self.positions = sql("SELECT topic, partition, next_offset FROM {positions}")
        self.recorded = sql("SELECT store_id, cluster_id, participant FROM {store}")
        self.places = sql("SELECT topic, partition, next_offset, topic_id FROM {positions}")
        self.delays = sql(
            "SELECT recorded_at - event_time FROM {saga_log} WHERE input = 'event' ORDER BY id DESC LIMIT 200"
        )
        self.last_row = sql("SELECT coalesce(max(id), 0) FROM {saga_log}")
        ids = "SELECT DISTINCT saga_id FROM {saga_log} WHERE saga_id"
        self.after = sql(f"{ids} >= ? ORDER BY saga_id LIMIT ?")
        self.before = sql(f"{ids} < ? ORDER BY saga_id DESC LIMIT ?")
        self.releases = sql("SELECT {release} FROM {releases} ORDER BY id")
        self.newest_release = sql("SELECT {release} FROM {releases} ORDER BY id DESC LIMIT 1")


class TableReader(ABC):
    """Reads one store, as a `choreo.timeline.source.Source`; it and the worker never wait for each other.

    ``owner`` is the participant that has used it, empty where none has.
    """

    path: str
    owner: str
    participant: str
    late_seconds = 0.0
    """How long a row may become visible after another one with a higher number."""
    _sql: Reading
    _searches: Searches

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Close the store."""

    @abstractmethod
    def _rows(self, sql: str, *values: object) -> Sequence[Any]:
        """Execute a statement, and return its rows. Raises `StoreError`."""

    @abstractmethod
    def _at_once(self, read: Callable[[], T]) -> T:
        """Return what ``read`` returns, all of which is of one moment."""

    def _rows_of(self, statements: Sequence[str], *values: object) -> list[Sequence[Any]]:
        """Execute statements one after the other, and return the rows of each. Raises `StoreError`."""
        return [self._rows(each, *values) for each in statements]

    def _requested(self, saga_id: str, known: Collection[str]) -> Sequence[Entry]:
        """Return the entries that another process has asked for, and that the saga log has not yet.

        ``known`` are the ids of the events that it has.
        """
        del saga_id, known
        return ()

    def _newly_requested(self) -> Sequence[LastEntry]:
        """Return the last rows of sagas that the saga log knows nothing of yet, the oldest first."""
        return ()

    def views(self, saga_id: str) -> dict[str, ParticipantView]:
        """Return the views of the sagas with that id, all of one moment, by their type."""
        sql = self._sql
        statements = (sql.entries, sql.scheduled, sql.letters, sql.unpublished)

        def read() -> tuple[list[Sequence[Any]], list[Entry], Sequence[Entry]]:
            rows = self._rows_of(statements, saga_id)
            entries = [Entry._make(row) for row in rows[0]]
            return rows, entries, self._requested(saga_id, {each.event_id for each in entries})

        rows, kept, asked = self._at_once(read)
        entries = [*kept, *asked]
        scheduled = [Scheduled._make(row) for row in rows[1]]
        letters = [DeadLetter._make(row) for row in rows[2]]
        unpublished = [*rows[3], *((entry.saga_type, entry.event_id) for entry in asked)]
        return {
            saga_type: ParticipantView(
                self.participant,
                [entry for entry in entries if entry.saga_type == saga_type],
                [row for row in scheduled if row.saga_type == saga_type],
                [letter for letter in letters if letter.saga_type == saga_type],
                frozenset(event_id for of_type, event_id in unpublished if of_type == saga_type),
                self.path,
            )
            for saga_type in dict.fromkeys(entry.saga_type for entry in entries)
        }

    def in_flight(
        self,
        lacks: Callable[[str, str, str, str], bool],
        steps: Collection[str] | None,
        types: Collection[str],
    ) -> InFlight:
        """Return what sagas still need of some handlers, and which events they have seen; see the port.

        All of it is of one moment.
        """
        return self._at_once(lambda: in_flight(self._rows, self._searches, lacks, steps, types))

    def latest(self, before: int | None = None) -> Iterator[LastEntry]:
        """Yield the last row of every saga, the newest first; no more is read than is taken.

        With ``before``, only rows with lower numbers.
        """
        asked = reversed(self._newly_requested())
        yield from (last for last in asked if before is None or last.row < before)
        before = _BEYOND if before is None else min(before, _BEYOND)
        while rows := self._rows(self._sql.latest, before, _PAGE):
            yield from map(LastEntry._make, rows)
            before = rows[-1][0]

    def unended(self) -> Iterator[LastEntry]:
        """Yield the last row of every saga that has not ended, what moved last at the end."""
        yield from map(LastEntry._make, self._rows(self._sql.unended))
        yield from self._newly_requested()

    def head(self, saga_id: str, saga_type: str) -> LastEntry | None:
        """Return the last row of one saga, None where the saga log has none."""
        rows = self._rows(self._sql.head, saga_id, saga_type)
        return LastEntry._make(rows[0]) if rows else None

    def letters(self, after: int, limit: int) -> list[DeadLetter]:
        """Return dead letters without their bodies, those after the id ``after``, oldest first."""
        return [DeadLetter._make(row) for row in self._rows(self._sql.letter_page, after, limit)]

    def letters_of(self, saga_id: str, saga_type: str) -> list[DeadLetter]:
        """Return a saga's dead letters without their bodies, open or closed, oldest first."""
        return [DeadLetter._make(row) for row in self._rows(self._sql.letters_of, saga_id, saga_type)]

    def dead_letter(self, identity: int) -> DeadLetter | None:
        """Return one dead letter, None where there is none with that id."""
        rows = self._rows(self._sql.letter, identity)
        return DeadLetter._make(rows[0]) if rows else None

    def positions(self) -> dict[Partition, int]:
        """Return the next offset to fold, for every partition that was ever assigned."""
        return {Partition(topic, number): at for topic, number, at in self._rows(self._sql.positions)}

    def recorded(self) -> Recorded:
        """Return what the store has recorded of itself, its cluster and its topics."""
        sql = self._sql
        statements = (sql.recorded, sql.places, self._searches.begin, sql.delays)
        ids, places, begin, delays = self._at_once(lambda: [self._rows(each) for each in statements])
        oldest = self._rows(self._searches.first, begin[0][0]) if begin and begin[0][0] else ()
        store_id, cluster, participant = ids[0] if ids else ("", "", "")
        return Recorded(
            store_id,
            cluster or "",
            participant or "",
            {Partition(topic, number): at for topic, number, at, _ in places},
            {topic: identity for topic, _, _, identity in places},
            (oldest[0][0], oldest[0][1]) if oldest else None,
            [delay for (delay,) in delays],
        )

    def takeovers(self) -> dict[Partition, int]:
        """Return how often each partition was taken over, where several workers share the store."""
        return {}

    def last_row(self) -> int:
        """Return the number of the newest row of the saga log, 0 where there is none."""
        return int(self._rows(self._sql.last_row)[0][0])

    def state_changes(self, after: int) -> StateNews:
        """Return which sagas first enter which states, but pending, behind a row."""
        return self._at_once(lambda: self._news([], after))

    def all_states(self, since: int) -> StateNews:
        """Return which states all sagas have been in: counted, up to a row from before ``since``."""
        return self._at_once(lambda: self._all_states(since))

    def _all_states(self, since: int) -> StateNews:
        before = self._rows(self._sql.row_before, since)
        upto = int(before[0][0]) if before else 0
        counts = self._rows(self._sql.state_counts, upto) if upto else ()
        return self._news(
            [StateCount(saga_type, state, bool(pruned), n) for saga_type, state, pruned, n in counts], upto
        )

    def _news(self, counts: Sequence[StateCount], after: int) -> StateNews:
        changes = [StateChange._make(row) for row in self._rows(self._sql.state_changes, after)]
        return StateNews(counts, after, changes, self.last_row(), self.late_seconds)

    def depths(self) -> Depths:
        """Return what waits in the store, all of one moment."""
        sql = self._sql
        statements = (sql.unpublished_rows, sql.first_unpublished, sql.lanes, sql.reasons)
        count, first, lanes, reasons = self._at_once(lambda: self._rows_of(statements))
        return Depths(
            count[0][0],
            time_in(first[0][0]) if first else 0,
            {lane: (rows, due) for lane, rows, due in lanes},
            dict(reasons),
        )

    def releases(self) -> list[Release]:
        """Return the declarations that the store's workers ran with, oldest first."""
        return [release_of(row, self.path) for row in self._rows(self._sql.releases)]

    def newest_release(self) -> Release | None:
        """Return the newest of them, None where there is none."""
        rows = self._rows(self._sql.newest_release)
        return release_of(rows[0], self.path) if rows else None

    def similar(self, saga_id: str, limit: int) -> list[str]:
        """Return ids that stand beside an unknown one in the order of ids, and the latest ones."""
        found = [*self._rows(self._sql.after, saga_id, limit), *self._rows(self._sql.before, saga_id, limit)]
        latest = [last.saga_id for last in map(LastEntry._make, self._rows(self._sql.latest, _BEYOND, limit))]
        return [*(row[0] for row in found), *latest]
