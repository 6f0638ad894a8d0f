"""``WhatIf``: runs today's handlers on recorded events, and compares their results with the record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from choreo.outcome import START, SUCCEEDED
from choreo.participant import Participant
from choreo.ports import Codec, Store
from choreo.protocol import Role
from choreo.protocol.recorded_inputs import is_attempt, names_in_rows, shows_keyed_by_id
from choreo.records import Entry, version_of
from choreo.release.in_force import InForce, RoleAt
from choreo.replay.fold import Difference, Replay
from choreo.replay.handler_result import HandlerResult, difference
from choreo.replay.pending_work import table_differences, work_of
from choreo.replay.rerun import HandlerRun, Rerun
from choreo.replay.stored_saga import letters_of, stored_rows
from choreo.worker.results import TIMED_OUT

_RESULTS = ("ended", "observed", "due")
"""The inputs that are results of handlers."""

_PAGE = 1_000
"""The rows of the saga log that are read at once."""


class Changed(NamedTuple):
    """One difference between the record and today's code.

    ``row`` is the number of the row in the saga's log, or 0 where the difference has no row there.
    """

    saga_id: str
    row: int
    step: str
    recorded: str
    now: str

    def __str__(self) -> str:
        where = f", row {self.row}" if self.row else ""
        return f"saga {self.saga_id}{where}: {self.step}: recorded {self.recorded}, now {self.now}"


class WhatIf:
    """Runs handlers on the rows of a saga log, saga by saga or all in their order; collects differences.

    Each row is folded by the declarations that were in force when it was written.

    ``changes`` are the differences; ``older`` maps the sagas that an earlier release has had a part in to the
    number of its rows: today's code is not compared with what called their handlers. ``nondeterministic``
    maps handlers that call the clock or random numbers to the places where they do. ``counts`` are the
    numbers of runs that were compared, that were taken from the record, and that need a base. ``scratch`` is
    as for `Rerun`; ``wanted`` are the sagas to report, None for all; where a ``saga_type`` is given, of that.
    """

    def __init__(
        self,
        participant: Participant,
        codec: Codec,
        record: Store,
        scratch: Store,
        *,
        has_base: bool = False,
        wanted: frozenset[str] | None = None,
        saga_type: str = "",
    ) -> None:
        self.changes: list[Changed] = []
        self.older: dict[str, int] = {}
        self.nondeterministic: dict[str, dict[str, None]] = {}
        self.counts: Counter[str] = Counter()
        self._roles = participant.roles_by_version()
        self._codec = codec
        self._record = record
        self._rerun = Rerun(participant, codec, record, scratch, has_base)
        self._wanted = wanted
        self._type = saga_type
        self._sagas: dict[tuple[str, str], _Saga] = {}
        self._in_force = InForce(record.releases())

    def take(self, number: int, entry: Entry, following: Entry | None, *, in_base: bool = False) -> None:
        """Take one row, its number, and the row after it; one whose effects the base holds is only folded."""
        if entry.saga_type not in self._roles.newest:
            return
        key = (entry.saga_id, entry.saga_type)
        saga = self._sagas.get(key)
        if saga is None:
            history = self._record.history(*key)
            role = self._roles.of_rows(entry.saga_type, history)
            role_at = self._in_force.roles(role, version_of(history))
            replay = Replay(
                role,
                keyed_by_id=self._is_keyed_by_id(role, *key),
                names=names_in_rows(role, history),
            )
            saga = self._sagas[key] = _Saga(replay, role_at)
        if not in_base and _is_result(entry):
            self._again(saga, entry, following)
        is_older = self._in_force.is_older(number)
        if is_older and self._is_wanted(entry.saga_id, entry.saga_type):
            self.older[entry.saga_id] = self.older.get(entry.saga_id, 0) + 1
        saga.take(number if is_older or saga.is_older else None, entry)

    def take_saga(self, saga_id: str) -> None:
        """Take all rows of the sagas with an id, without a base."""
        rows = self._record.saga_log.rows(saga_id)
        for row, following in zip(rows, [*rows[1:], None], strict=True):
            self.take(row.id, row.entry, following and following.entry)
        self.close()

    def take_all(self, in_base: int) -> Iterator[int]:
        """Take all rows in their order; the base holds the effects of those up to the id ``in_base``.

        Yields the id of the last row that was taken, from time to time.
        """
        last: tuple[int, Entry] | None = None
        after = 0
        while rows := self._record.rows(after, _PAGE):
            for row in rows:
                if last is not None:
                    self.take(*last, row[1], in_base=last[0] <= in_base)
                last = row
            after = rows[-1][0]
            yield after
        if last is not None:
            self.take(*last, None, in_base=last[0] <= in_base)
        self.close()

    def close(self) -> None:
        """Add, for all sagas that were taken, what the protocol decides differently about them."""
        for (saga_id, saga_type), saga in self._sagas.items():
            if self._is_wanted(saga_id, saga_type):
                differences = [*saga.replay.close(), *self._undone(saga_id, saga_type, saga.replay)]
                for each in differences:
                    self._changed(saga_id, each.row, each.step, f"{each.what} {each.recorded}", each.folded)
        self._sagas.clear()

    def _undone(self, saga_id: str, saga_type: str, replay: Replay) -> list[Difference]:
        """Return the work that today's code leaves to be done and the record does not."""
        if next(work_of(replay), None) is None:
            return []
        letters = letters_of(self._record, saga_id, saga_type)
        return table_differences(replay, stored_rows(self._record, saga_id, saga_type, letters))

    def _again(self, saga: _Saga, entry: Entry, following: Entry | None) -> None:
        cause = saga.replay.events.get(entry.causation_id)
        if entry.note.startswith(TIMED_OUT) or entry.is_by_hand or cause is None:
            self._count(entry, "taken from the record")
            return
        if cause.payload is None:  # erased, or of an event that nobody here handled then
            self._count(entry, "without a body")
            return
        ran = self._rerun.run(entry, saga.replay.saga, cause, saga.attempts[entry.step])
        self._count(entry, ran.why or "compared")
        if self._is_wanted(entry.saga_id, entry.saga_type):
            self._compare(saga.replay.rows + 1, entry, following, ran)

    def _compare(self, row: int, entry: Entry, following: Entry | None, ran: HandlerRun) -> None:
        if ran.handler and ran.nondeterministic:
            self.nondeterministic.setdefault(ran.handler.name, {}).update(dict.fromkeys(ran.nondeterministic))
        for effect in ran.effects:
            self._changed(entry.saga_id, row, entry.step, "no effect outside", f"reaches outside: {effect}")
        recorded = HandlerResult.recorded(entry, following)
        if ran.attempt is not None and not ran.effects:
            now = HandlerResult.of(ran.attempt)
            if not recorded.matches(now, self._codec):
                self._changed(entry.saga_id, row, entry.step, *difference(recorded, now, self._codec))

    def _changed(self, saga_id: str, row: int, step: str, recorded: str, now: str) -> None:
        self.changes.append(Changed(saga_id, row, step, recorded, now))

    def _is_keyed_by_id(self, role: Role, saga_id: str, saga_type: str) -> bool:
        record = self._record
        return record.is_keyed_by_id(saga_id, saga_type) or shows_keyed_by_id(
            role, record.history(saga_id, saga_type)
        )

    def _count(self, entry: Entry, what: str) -> None:
        if self._is_wanted(entry.saga_id, entry.saga_type):
            self.counts[what] += 1

    def _is_wanted(self, saga_id: str, saga_type: str) -> bool:
        return self._type in ("", saga_type) and (self._wanted is None or saga_id in self._wanted)


class _Saga:
    """One saga as far as its rows were taken, with the failed attempts of what is under way."""

    def __init__(self, replay: Replay, role_at: RoleAt) -> None:
        self.replay = replay
        self.attempts: Counter[str] = Counter()
        self.is_older = False
        self._role_at = role_at

    def take(self, number: int | None, entry: Entry) -> None:
        """Take the next row, by the declarations of its day where its number is given."""
        self.is_older = number is not None
        if entry.input == "deferred" and is_attempt(entry):
            self.attempts[entry.step] += 1
        elif entry.input in ("ended", "observed", "buried", "requeued"):
            self.attempts[entry.step] = 0
        self.replay.fold(entry, None if number is None else self._role_at(number))


def _is_result(entry: Entry) -> bool:
    """Whether a row is a handler's result; the start of a saga is not."""
    return entry.input in _RESULTS and not (entry.step == START and entry.outcome == SUCCEEDED)
