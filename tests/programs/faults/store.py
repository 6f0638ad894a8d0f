"""A store that knows the points of the turn: choreo's own, with a fault point at its calls and tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from choreo.records import Entry
from tests.programs.faults.fault_point import FaultPoint

_STATEMENTS = (
    ("saga_log written", "after insert on main.saga_log when new.saga_id = {saga}"),
    ("outbox written", "after insert on main.outbox when new.saga_id = {saga}"),
    ("positions moved", "after update on main.positions when 1"),
    ("dead letter written", "after insert on main.dead_letters when new.saga_id = {saga}"),
)
"""Points inside of the transaction, as triggers of this connection alone: a fault there is SQLite's own."""

UNCOMMITTABLE = (
    "create temp table whole (id integer primary key)",
    "create temp table part (id integer references whole (id) deferrable initially deferred)",
)
"""A foreign key that only the COMMIT looks at, and refuses."""


class StruckStore:
    """A store that comes by the fault_point at each point of its own."""

    def __init__(self, store: Any, fault_point: FaultPoint) -> None:
        self._store = store
        self._fault_point = fault_point
        self._set_up()

    def _set_up(self) -> None:
        """Have this connection come by the points inside of the transaction."""
        fault_point, connection = self._fault_point, self._store.db.conn
        connection.create_function("strike", 1, fault_point.reach)
        for number, (point, when) in enumerate(_STATEMENTS):
            where = when.format(saga=f"'{fault_point.aim.saga_id}'")
            connection.execute(f"create temp trigger p{number} {where} begin select strike('{point}'); end")
        for statement in UNCOMMITTABLE:
            connection.execute(statement)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Open a turn: begun, commit sent, committed before produce."""
        _touch(self._fault_point.aim.folder / "knocked")
        with self._store.turn():
            self._fault_point.reach("begun")
            yield
            self._before_commit()
        self._after_commit()
        self._fault_point.reach("committed before produce")

    def append(self, entries: Iterable[Entry]) -> None:
        """Add to the saga log: what the protocol has decided for the saga in hand."""
        entries = list(entries)
        if any(entry.saga_id == self._fault_point.aim.saga_id for entry in entries):
            self._fault_point.reach("protocol folded")
        self._store.append(entries)

    def unschedule(self, saga_id: str, saga_type: str, task: str, name: str) -> None:
        """Take off the schedule: a deadline is claimed, or a call has finished."""
        self._store.unschedule(saga_id, saga_type, task, name)
        if (saga_id, task) == (self._fault_point.aim.saga_id, self._fault_point.aim.cell.task):
            self._fault_point.reach(
                "deadline claimed" if task == "deadline" else "call finished before commit"
            )

    def _after_commit(self) -> None:
        self._store.db.conn.set_trace_callback(None)

    def _before_commit(self) -> None:
        """Let the COMMIT itself fail, or strike when it comes to SQLite."""
        connection = self._store.db.conn
        if not self._fault_point.is_at("commit sent"):
            return
        if self._fault_point.aim.cell.fault == "exception":
            self._fault_point.aim.struck.touch()
            connection.execute("insert into temp.part values (1)")
        else:
            connection.set_trace_callback(self._traced)

    def _traced(self, statement: str) -> None:
        if statement == "COMMIT":
            self._fault_point.reach("commit sent")


def _touch(path: Any) -> None:
    if not path.exists():
        path.touch()
