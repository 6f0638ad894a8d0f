"""The statements on a store's tables, as both databases take them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

from choreo.records import Lane
from choreo.store.dialect import Dialect

_ITS_LANE = "CASE task WHEN 'compensation' THEN 'undo' ELSE 'call' END"


def _of_each_lane(sql: str) -> Mapping[str, str]:
    """Return a statement for each lane, with the lane in its text.

    As one of the indices is of one lane, SQLite plans a statement anew whenever a parameter has another lane.
    """
    return {lane: sql.replace("$lane", f"'{lane}'") for lane in get_args(Lane)}


class Statements:
    """The statements of `choreo.store.tables` in one dialect."""

    def __init__(self, dialect: Dialect) -> None:
        sql = dialect.sql
        self.history = sql("SELECT {entry} FROM {saga_log} WHERE saga_id = ? AND saga_type = ? ORDER BY id")
        self.histories = sql("SELECT {entry} FROM {saga_log} WHERE saga_id = ? ORDER BY id")
        self.rows = sql("SELECT id, {entry} FROM {saga_log} WHERE id > ? ORDER BY id LIMIT ?")
        self.last_entry = sql("SELECT max(id) FROM {saga_log} WHERE saga_id = ?")
        self.payload = sql(
            "SELECT payload FROM {saga_log} WHERE saga_id = ? AND saga_type = ? AND event_type = ?"
            " AND (payload IS NOT NULL OR digest IS NOT NULL) AND note <> 'void' ORDER BY id LIMIT 1"
        )
        self.partition_of = sql(
            "SELECT topic, partition FROM {saga_log}"
            " WHERE saga_id = ? AND saga_type = ? AND partition >= 0 LIMIT 1"
        )
        self.is_keyed_by_id = sql(
            "SELECT 1 FROM {saga_log} WHERE saga_id = ? AND saga_type = ?"
            " AND id <= (SELECT keyed_by_id FROM {store}) LIMIT 1"
        )
        self.unpublished = sql("SELECT {unpublished} FROM {outbox} WHERE seq > ? ORDER BY seq LIMIT ?")
        self._schedule(dialect)
        self._positions(dialect)
        self._letters(dialect)
        self.releases = sql("SELECT {release} FROM {releases} ORDER BY id")
        self.newest_release = sql("SELECT {release} FROM {releases} ORDER BY id DESC LIMIT 1")
        self.add_release = sql(
            "INSERT INTO {releases} (digest, manifest, since, positions, after, retired)"
            " VALUES (?, ?, ?, ?, (SELECT coalesce(max(id), 0) FROM {saga_log}), ?) RETURNING id"
        )

    def _schedule(self, dialect: Dialect) -> None:
        sql = dialect.sql
        self.scheduled = sql(
            "SELECT {scheduled} FROM {schedule} WHERE saga_id = ? AND saga_type = ? ORDER BY id"
        )
        self.all_scheduled = sql("SELECT {scheduled} FROM {schedule} ORDER BY id")
        due = "SELECT {scheduled} FROM {schedule} WHERE lane = $lane AND due <= ? ORDER BY"
        self.due = _of_each_lane(sql(f"{due} due, id LIMIT ?"))
        self.doubted = _of_each_lane(sql(f"{due} deaths, due, id LIMIT ?"))
        self.postponed = sql(
            "SELECT {scheduled} FROM {schedule} WHERE due > ? AND task <> 'deadline' ORDER BY id"
        )
        self.next_due = _of_each_lane(
            sql("SELECT due FROM {schedule} WHERE lane = $lane ORDER BY due LIMIT 1")
        )
        limited = "FROM {schedule} WHERE lane = 'call' AND until > 0"
        self.overdue = sql(f"SELECT {{scheduled}} {limited} AND until < ? ORDER BY until, id LIMIT ?")
        self.next_limit = sql(f"SELECT until {limited} ORDER BY until LIMIT 1")
        self.waiting = _of_each_lane(
            sql("SELECT count(*), coalesce(min(due), 0) FROM {schedule} WHERE lane = $lane AND due <= ?")
        )
        self.recall = sql("UPDATE {schedule} SET lane = 'doubt', deaths = deaths + 1 WHERE lane = 'out'")
        # An older choreo kept compensations in the lane of actions.
        self.release = sql(
            f"UPDATE {{schedule}} SET lane = {_ITS_LANE}"
            " WHERE lane = 'out' OR (lane = 'call' AND task = 'compensation')"
        )
        self.trust = sql("UPDATE {store} SET deaths = 0")
        self.let_go = sql("UPDATE {schedule} SET lane = substr(lane, 6) WHERE substr(lane, 1, 5) = 'held-'")

    def _positions(self, dialect: Dialect) -> None:
        sql = dialect.sql
        self.positions = sql("SELECT topic, partition, next_offset FROM {positions}")
        self.joined = sql("SELECT topic, partition, end_offset, acts_from FROM {positions}")
        # One that was only noted, see `choreo.worker.topics`, has no position and no beginning yet.
        self.join = sql(
            "INSERT INTO {positions} (topic, partition, next_offset, end_offset, acts_from)"
            " VALUES (?, ?, ?, ?, ?) ON CONFLICT (topic, partition) DO UPDATE"
            " SET next_offset = excluded.next_offset, end_offset = excluded.end_offset,"
            " acts_from = excluded.acts_from WHERE positions.next_offset = -1 AND positions.acts_from = -1"
        )
        self.advance = sql(
            "UPDATE {positions} SET next_offset = ? WHERE topic = ? AND partition = ? AND next_offset = ?"
        )
        self.topics = sql("SELECT topic, max(topic_id) FROM {positions} GROUP BY topic")
        self.identify = sql("UPDATE {positions} SET topic_id = ? WHERE topic = ? AND topic_id = ''")
        self.leave = sql("DELETE FROM {positions} WHERE topic = ? AND topic_id = ?")
        self.owner = sql("SELECT store_id, cluster_id, participant FROM {store}")
        self.own = sql("UPDATE {store} SET cluster_id = ?, participant = ? WHERE cluster_id IS NULL")

    def _letters(self, dialect: Dialect) -> None:
        sql = dialect.sql
        self.add_letter = sql(
            "INSERT INTO {dead_letters} ({new_letter}) VALUES ({letter_values}) RETURNING id"
        )
        self.restore_letter = sql("INSERT INTO {dead_letters} ({letter}) VALUES ({whole_letter})")
        self.letters = sql("SELECT {letter} FROM {dead_letters} ORDER BY id")
        self.open_letters = sql(
            "SELECT {letter} FROM {dead_letters} WHERE state = 'open' AND reason = ? ORDER BY id"
        )
        self.letter = sql("SELECT {letter} FROM {dead_letters} WHERE id = ?")
        self.letter_page = sql("SELECT {letter_heads} FROM {dead_letters} WHERE id > ? ORDER BY id LIMIT ?")
        self.letters_of = sql(
            "SELECT {letter_heads} FROM {dead_letters} WHERE saga_id = ? AND saga_type = ? ORDER BY id"
        )
        self.close_letter = sql(
            "UPDATE {dead_letters} SET state = ?, comment = ?, closed_at = ?, closed_by = ?"
            " WHERE id = ? AND state = 'open'"
        )
        self.add_result = sql("UPDATE {dead_letters} SET result_type = ?, result = ? WHERE id = ?")
        self.edit_letter = sql("UPDATE {dead_letters} SET edited = ? WHERE id = ? AND state = 'open'")
        self.edited = sql(
            "SELECT edited FROM {dead_letters} WHERE saga_id = ? AND saga_type = ? AND edited IS NOT NULL"
            " AND task = ? AND name = ? AND event_id = ? ORDER BY id DESC LIMIT 1"
        )
