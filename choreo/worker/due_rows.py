"""``DueRows``: which rows of the schedule may run now, and when there is work again."""

from __future__ import annotations

from collections.abc import Sequence

from choreo.participant import Participant
from choreo.ports import Clock, Store
from choreo.records import Lane, Scheduled
from choreo.worker.calls import Call, Calls
from choreo.worker.partitions import Partitions
from choreo.worker.quiet import Quiet

_CALLS: tuple[Lane, ...] = ("undo", "call")
"""The lanes of calls, each with room of its own."""


class DueRows:
    """The rows of one participant's schedule that may run now, as far as there is room for calls.

    ``next`` is the time (ms) of the next work in the store or of the calls, or None; it is as of the last
    `look_ahead`. ``has_calls`` is whether there may be handlers that run outside of the transaction,
    ``lets_go`` whether held rows are still to be let go. A row that was under way at an end of the process
    waits for ``quiet``.
    """

    def __init__(
        self, participant: Participant, store: Store, partitions: Partitions, calls: Calls, clock: Clock
    ) -> None:
        self.next: int | None = None
        self.has_calls = any(handler.is_outside for handler in participant.handlers)
        self.quiet = Quiet(clock)
        self._store = store
        self._partitions = partitions
        self._calls = calls
        self._clock = clock
        self.lets_go = False
        self._have_held = False
        self._has_suspects = False

    def begin(self) -> None:
        """Look which lanes the last worker has left rows in, after the claim of what it had."""
        if self._store.next_due("doubt") is not None:  # only a claim makes suspects
            self._has_suspects = True
        # Handlers that an earlier release ran outside of the transaction may now run inside.
        lanes: tuple[Lane, ...] = (*_CALLS, "doubt")
        self.has_calls = self.has_calls or any(self._store.next_due(lane) is not None for lane in lanes)

    def expect_suspects(self) -> None:
        """Look for rows during which the process has ended from now on, too."""
        self.has_calls = self._has_suspects = True

    # When there is work again

    @property
    def is_due(self) -> bool:
        """Whether there is work that may be done now."""
        if not self._partitions.any_live or self.next is None:
            return False
        return self.next <= self._clock.now()

    def at_once(self) -> None:
        """Let there be work now, as nothing is known of the store."""
        self.next = self._clock.now()

    def look_ahead(self) -> None:
        """Find out when there is work again, after a change of the store or of the calls."""
        self.next = self._next() if self.has_calls else self._store.next_due()

    def _next(self) -> int | None:
        times = (
            *(self._store.next_due(), self._calls.next_limit),
            *(self._next_call(), self._next_undo(), self._next_suspect()),
        )
        return min((time for time in times if time is not None), default=None)

    def _next_call(self) -> int | None:
        """Return when an action can next be called or, without room, when one that waits is over; or None."""
        if self._calls.room("call"):
            return self._store.next_due("call")
        limit = self._store.next_limit()
        return None if limit is None else limit + 1

    def _next_undo(self) -> int | None:
        return self._store.next_due("undo") if self._calls.room("undo") else None

    def _next_suspect(self) -> int | None:
        rows = self._suspects(self._clock.now())
        return rows[0].due if rows else None

    # What may run now

    def rows(self, now: int, limit: int) -> tuple[Sequence[Scheduled], int]:
        """Return the due rows; the last so many of them have no room, and wait longer than they may."""
        rows = self._store.due(now, limit)
        if not self.has_calls:
            return rows, 0
        undo = self._store.due(now, min(limit, self._calls.room("undo")), "undo")
        room = self._calls.room("call")
        waiting = self._store.due(now, min(limit, room), "call") if room else ()
        overdue = () if room else self._store.overdue(now, limit)
        return [*undo, *rows, *waiting, *self._suspects(now), *overdue], len(overdue)

    def first(self, now: int) -> Scheduled | None:
        """Return a due row, one during which the process has ended only where there is no other."""
        rows = [*self._store.due(now, 1)]
        if self.has_calls:
            rows += [
                row for lane in _CALLS if self._calls.room(lane) for row in self._store.due(now, 1, lane)
            ]
            rows += self._suspects(now) or (() if self._calls.room("call") else self._store.overdue(now, 1))
        return rows[0] if rows else None

    def overdue_calls(self, now: int) -> list[Call]:
        """Return the calls whose time is over."""
        return [call for call in self._calls.overdue(now) if self.acts_on(call)]

    def acts_on(self, call: Call) -> bool:
        """Whether the saga of a call may be acted on (R4)."""
        trigger = call.item.trigger
        return self._partitions.acts_on(trigger.topic, trigger.partition)

    # Suspects

    @property
    def has_waiting_suspects(self) -> bool:
        """Whether rows that were under way at an end of the process wait for quiet, or for other calls."""
        return self.quiet.is_awaited or self._is_blocked()

    def _suspects(self, now: int) -> Sequence[Scheduled]:
        """Return the next row that was under way at an end of the process, once it may run.

        After several ends one at a time runs; while the worker is careful, beside no other call, which would
        be suspected too.
        """
        rows = self._store.due(now, 1, "doubt") if self._has_suspects else ()
        if not rows:
            self.quiet.end()
        elif self.quiet.allows(rows[0].deaths) and self._has_place(rows[0]):
            return rows
        return ()

    def _has_place(self, row: Scheduled) -> bool:
        if row.deaths > 1:
            is_beside = self._partitions.postpones and self._calls.out
            return self._calls.is_open and not (self._calls.has_doubtful or is_beside)
        return self._calls.room("undo" if row.task == "compensation" else "call") > 0

    def _is_blocked(self) -> bool:
        """Whether a row that was under way at several ends of the process waits for the calls under way."""
        if not (self._has_suspects and self._calls.out) or self._calls.has_doubtful:
            return False
        return any(row.deaths > 1 for row in self._store.due(self._clock.now(), 1, "doubt"))

    # Rows of sagas that may not be acted on yet

    def holds(self, row: Scheduled) -> bool:
        """Hold a due row while the partition of its saga isn't live; whether it was held.

        It leaves its lane, where others behind it would otherwise never come to be due.
        """
        where = self._store.partition_of(row.saga_id, row.saga_type)
        if where is None or self._partitions.acts_on(*where):
            return False
        self._store.hold(row)
        self._have_held = True
        return True

    def let_go(self) -> None:
        """Let the rows go on that were held for a partition which is live now."""
        self.lets_go = True  # also if the store is away just now
        if self._have_held:
            with self._store.turn():
                self._store.let_go()
            self._have_held = False
            self.look_ahead()
        self.lets_go = False
