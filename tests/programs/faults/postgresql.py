"""A store in PostgreSQL that knows the points of the turn: they are seen at the statements that it sends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import psycopg
from psycopg.rows import tuple_row

from tests.programs.faults.store import UNCOMMITTABLE, StruckStore

_STATEMENTS = {
    "INSERT INTO choreo.saga_log": "saga_log written",
    "INSERT INTO choreo.outbox": "outbox written",
    "WITH moved AS": "positions moved",
    "INSERT INTO choreo.dead_letters": "dead letter written",
}


class StruckPostgreSQLStore(StruckStore):
    """A store whose statements come by the fault point; one that fails there is a server's error."""

    def _set_up(self) -> None:
        session = self._store._session
        execute, execute_all = session.execute, session.execute_all

        def struck(sql: str, values: Sequence[object] = ()) -> Any:
            return self._come_by(sql, values, lambda: execute(sql, values))

        def all_struck(statements: Sequence[tuple[str, Sequence[object]]]) -> Any:
            """Send them one by one where one may be struck: they are one round trip otherwise."""
            if not self._fault_point.at_hand:
                return execute_all(statements)
            return [self._alone(sql, values) for sql, values in statements]

        session.execute, session.execute_all = struck, all_struck

    def _alone(self, sql: str, values: Sequence[object]) -> Any:
        cursor = psycopg.Cursor(self._store._session.connection, row_factory=tuple_row)
        return self._come_by(sql, values, lambda: cursor.execute(sql.encode(), values or None))

    def _come_by(self, sql: str, values: Sequence[object], execute: Callable[[], Any]) -> Any:
        if sql == "COMMIT":
            self._at_commit()
        done = execute()
        for begin, point in _STATEMENTS.items():
            if sql.lstrip().startswith(begin) and self._concerns(point, values):
                self._fault_point.reach(point, psycopg.errors.RaiseException)
        return done

    def _concerns(self, point: str, values: Sequence[object]) -> bool:
        """Whether rows are of the saga in hand; a column of many rows is one text, an array's."""
        saga = self._fault_point.aim.saga_id
        return point == "positions moved" or any(
            each == saga or (isinstance(each, str) and f'"{saga}"' in each) for each in values
        )

    def _at_commit(self) -> None:
        if self._fault_point.aim.cell.fault != "exception":
            self._fault_point.reach("commit sent")
        elif self._fault_point.is_at("commit sent"):
            self._fault_point.aim.struck.touch()
            for statement in (*UNCOMMITTABLE, "insert into pg_temp.part values (1)"):
                self._store._session.cursor.execute(statement.encode())

    def _before_commit(self) -> None:
        """Do nothing: the COMMIT itself is seen."""

    def _after_commit(self) -> None:
        """Do nothing."""
