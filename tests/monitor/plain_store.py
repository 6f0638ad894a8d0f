"""What a store says of its sagas and of its work, in SQL of the tests' own."""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import psycopg

from choreo.store.opening import is_address

Series = dict[tuple[str, ...], float]
"""Values by the name of a metric, and by those of its labels' values that differ, without zeros."""

STATES = ("started", "compensating", "completed", "failed")

_TABLES = re.compile(r"\b(saga_log|outbox|schedule|dead_letters)\b")
_UNENDED = """
SELECT saga_state, count(*) FROM saga_log AS last WHERE saga_state NOT IN ('completed', 'failed')
AND id = (SELECT max(id) FROM saga_log AS any_row WHERE any_row.saga_id = last.saga_id) GROUP BY saga_state
"""


class PlainStore:
    """A store of either kind, each question to which is one statement; any thread may ask."""

    def __init__(self, place: str) -> None:
        self._place = place

    def rows(self, sql: str) -> Sequence[Any]:
        """Return the rows of a statement, which names tables as a file has them."""
        if not is_address(self._place):
            with closing(sqlite3.connect(f"file:{self._place}?mode=ro", uri=True, timeout=30)) as file:
                return file.execute(sql).fetchall()
        with psycopg.connect(self._place, autocommit=True) as server:
            return server.execute(_TABLES.sub(r"choreo.\1", sql).encode()).fetchall()

    def counts(self) -> dict[str, int]:
        """Return how many sagas have ever been in each state, those that are pruned too."""
        passed: dict[str, set[str]] = {}
        for saga_id, state, input in self.rows("SELECT DISTINCT saga_id, saga_state, input FROM saga_log"):
            states = passed.setdefault(saga_id, set())
            states.add(state)
            if input == "pruned":
                states.update(("started", "compensating") if state == "failed" else ("started",))
        found = Counter(state for states in passed.values() for state in states)
        return {state: found[state] for state in STATES}

    def gauges(self) -> Series:
        """Return what the gauges of whoever reads the store ought to be."""
        ((unpublished,),) = self.rows("SELECT count(*) FROM outbox")
        letters = self.rows("SELECT reason, count(*) FROM dead_letters WHERE state = 'open' GROUP BY reason")
        lanes = self.rows("SELECT lane, count(*) FROM schedule GROUP BY lane")
        found: Series = {("choreo_outbox_rows",): unpublished, ("choreo_store_up",): 1}
        found |= {("choreo_dead_letters", reason): count for reason, count in letters}
        found |= {("choreo_schedule_rows", lane): count for lane, count in lanes}
        return {series: value for series, value in found.items() if value}

    def of_sagas(self) -> Series:
        """Return what is told of sagas where all that have not ended are stuck."""
        stuck: Series = {("saga_stuck_count", state): count for state, count in self.rows(_UNENDED)}
        return stuck | {(f"saga_{state}_total",): count for state, count in self.counts().items() if count}

    def incidents(self) -> Series:
        """Return what was repeated, void or refused, as long as nothing is pruned."""
        asked: dict[tuple[str, ...], str] = {
            ("choreo_retries_total",): "input = 'deferred'",
            ("choreo_void_total",): "input = 'event' AND note = 'void'",
            ("choreo_refused_total", "outcome"): "input = 'event' AND note = 'unowned'",
            ("choreo_refused_total", "step"): "new_state = 'refused' AND old_state <> 'refused'",
        }
        count = "SELECT count(*) FROM saga_log WHERE"
        found: Series = {series: self.rows(f"{count} {where}")[0][0] for series, where in asked.items()}
        unread = "SELECT count(*) FROM dead_letters WHERE reason = 'unreadable-headers'"
        found["choreo_refused_total", "record"] = self.rows(unread)[0][0]
        return {series: value for series, value in found.items() if value}

    def calls(self) -> Series:
        """Return how many calls are under way, and how many wait for room, in all replicas."""
        lanes = dict(self.rows("SELECT lane, count(*) FROM schedule GROUP BY lane"))
        return {("choreo_calls_out",): lanes.get("out", 0), ("choreo_calls_waiting",): lanes.get("call", 0)}

    def is_at_rest(self) -> bool:
        """Whether nothing is to be done."""
        return not (self.rows("SELECT 1 FROM schedule LIMIT 1") or self.rows("SELECT 1 FROM outbox LIMIT 1"))

    def has_calls(self) -> bool:
        """Whether calls are under way, and others wait for room."""
        return all(self.calls().values())
