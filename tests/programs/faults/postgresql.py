"""A store in PostgreSQL that knows the points of the turn: they are seen at the statements that it sends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg

from tests.programs.faults.store import UNCOMMITTABLE, StruckStore

_STATEMENTS = {
    "INSERT INTO choreo.saga_log": "saga_log written",
    "INSERT INTO choreo.outbox": "outbox written",
    "UPDATE choreo.positions SET next_offset": "positions moved",
    "INSERT INTO choreo.dead_letters": "dead letter written",
}


class StruckPostgreSQLStore(StruckStore):
    """A store whose statements come by the fault point; one that fails there is a server's error."""

    def _set_up(self) -> None:
        session = self._store._session
        execute = session.execute

        def struck(sql: str, values: Sequence[object] = ()) -> Any:
            if sql == "COMMIT":
                self._at_commit(execute)
            done = execute(sql, values)
            for begin, point in _STATEMENTS.items():
                if sql.lstrip().startswith(begin) and self._concerns(point, values):
                    self._fault_point.reach(point, psycopg.errors.RaiseException)
            return done

        session.execute = struck

    def _concerns(self, point: str, values: Sequence[object]) -> bool:
        """Whether rows are of the saga in hand; of the columns, some are lists of all rows' values."""
        saga = self._fault_point.aim.saga_id
        return point == "positions moved" or any(
            each == saga or (isinstance(each, list) and saga in each) for each in values
        )

    def _at_commit(self, execute: Any) -> None:
        if self._fault_point.aim.cell.fault != "exception":
            self._fault_point.reach("commit sent")
        elif self._fault_point.is_at("commit sent"):
            self._fault_point.aim.struck.touch()
            for statement in (*UNCOMMITTABLE, "insert into pg_temp.part values (1)"):
                execute(statement)

    def _before_commit(self) -> None:
        """Do nothing: the COMMIT itself is seen."""

    def _after_commit(self) -> None:
        """Do nothing."""
