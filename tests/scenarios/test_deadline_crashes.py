"""A crash at every call while a deadline is extended, or revoked, and passes: nothing is lost or done twice.

The process of the operator may crash as well as the worker. ``CHOREO_FUZZ=1`` takes every call.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from choreo.audit.verification import Verification
from choreo.client.connection import StoreConnection
from choreo.worker import Worker
from choreo.worker.deadlines import Change, Unchangeable, change
from tests.replay.watching import differences
from tests.scenarios.test_crashes import FUZZ, Crash, CrashPoint, Fragile
from tests.stores import open_store
from tests.worker.rig import NOON, Rig
from tests.worker.test_changed_deadlines import HOUR, KEY, LATE
from tests.worker.test_deadlines import clerk
from tests.worker.trip import HotelLate, TripRequested

EVERY = 1 if FUZZ else 5


class FragileRig(Rig):
    """A participant whose worker crashes and comes back; so does who changes its deadline."""

    def __init__(self, folder: Path, burns: Callable[[int, str], bool]) -> None:
        super().__init__(clerk(), folder)
        self.crash_point = CrashPoint()
        self.crash_point.set(burns)
        self.wrap = lambda log: Fragile(log, self.crash_point)  # type: ignore[assignment,return-value]
        self.open()

    def begin(self) -> Worker:
        """Start a worker whose every call may be the last."""
        self.store = open_store(self.path)
        if self.store.serves_one:
            self.store.db.execute("PRAGMA synchronous = OFF")  # a crash of the process, not of the machine
        fragile: Any = Fragile(self.store, self.crash_point)
        log: Any = Fragile(self.broker.log(self.participant.name), self.crash_point)
        self._worker = Worker(self.participant, fragile, log, self.codec, self.clock, self.options)
        self.participant.connect(
            StoreConnection(self.participant, lambda: fragile, self.codec, self.clock),
        )
        try:
            self.worker.start()
        except Crash:
            self.restart()
        return self.worker

    def settle(self) -> None:
        """Let the worker go round until nothing is left to do now; start anew after a crash."""
        try:
            super().settle()
        except Crash:
            self.restart()

    def close(self) -> None:
        """Leave the worker."""
        if self._worker is not None:
            self._worker._log._target.close()  # type: ignore[attr-defined]
            self.store.close()
            self._worker = None

    def change(self, wanted: Change) -> None:
        """Change the deadline; after a crash see whether it was done, and do it if not."""
        before = len(self.history())
        with closing(open_store(self.path)) as store:
            fragile: Any = Fragile(store, self.crash_point)
            with suppress(Crash):
                change(fragile, KEY, LATE, wanted, self.clock.now())
        if len(self.history()) == before:
            with closing(open_store(self.path)) as store:
                change(store, KEY, LATE, wanted, self.clock.now())
        self.settle()


def lived(folder: Path, wanted: Change, burns: Callable[[int, str], bool]) -> tuple[int, list[str]]:
    """Let a deadline be changed, and its time pass; return how many calls there were, and who crashed."""
    rig = FragileRig(folder, burns)
    rig.feed(TripRequested("t"))
    rig.change(wanted)
    rig.clock.advance(60 + 3599)
    rig.settle()
    assert rig.published() == []
    rig.clock.advance(1)
    rig.settle()
    assert set(rig.published()) == (set() if wanted.is_revocation else {HotelLate("t")})
    assert len({each.id for _, each in rig.records() if each.source == "clerk"}) == len(set(rig.published()))
    assert differences(rig.participant, rig.store, "s1") == []
    assert Verification(rig.store.saga_log).check(KEY) is None
    (row,) = [each for each in rig.history() if each.kind == wanted.done]
    assert row.event_time == (0 if wanted.is_revocation else NOON + 60_000 + HOUR)
    with closing(open_store(rig.path)) as store, pytest.raises(Unchangeable):
        change(store, KEY, LATE, wanted, rig.clock.now())
    rig.close()
    return rig.crash_point.calls, rig.crash_point.burnt


@pytest.mark.parametrize("wanted", [Change("ada", "late", HOUR), Change("ada", "late")], ids=str)
def test_a_crash_at_any_call(tmp_path: Path, wanted: Change) -> None:
    """Of either process."""

    def folder(number: int) -> Path:
        made = tmp_path / str(number)
        made.mkdir()
        return made

    calls, burnt = lived(folder(0), wanted, lambda number, name: False)
    assert (calls > 50, burnt) == (True, [])
    seen = set()
    for crash in range(1, calls + 1, EVERY):
        _, burnt = lived(folder(crash), wanted, lambda number, name, at=crash: number == at)  # type: ignore[misc]
        assert len(burnt) == 1
        seen.update(burnt)
    assert len(seen) > 5
