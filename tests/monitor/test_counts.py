"""The counts of sagas are those of the saga log, whenever they are asked for, whatever happens meanwhile."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from choreo.chain import PRUNED
from choreo.errors import StoreError
from choreo.monitor.counts import COUNTED, SagaCounts
from choreo.outcome import CANCEL, START
from choreo.records import Entry, SagaKey, StateChange, StateCount, StateNews
from choreo.store.opening import open_reader, open_store
from choreo.store.reader import TableReader
from tests.store.test_sagas_in_flight import plain

TYPES = ("order", "trip")
PATHS = (
    ("started", "pending", "pending", "completed", "completed"),
    ("started", "pending", "compensating", "compensating", "failed"),
    ("started", "compensating", "failed", "failed"),
    ("started", "completed"),
    ("started", "compensating", "failed", "compensating", "failed"),
)


def entry(saga_id: str, saga_type: str, state: str, number: int) -> Entry:
    """Return one row of a saga that is in a state then."""
    kind, step = ("ended", START) if number == 0 else ("event", f"s{number}")
    return Entry(
        saga_id, saga_type, 1, state, round(time.time() * 1000), kind, step, "pending", "completed"
    )._replace(event_id=f"{saga_id}-{number}", event_time=1000 * number)


class Log:
    """A store whose sagas go on, end, and are pruned; and what ought to be counted."""

    def __init__(self, place: str) -> None:
        self.store = open_store(place)
        self._place = place
        self._passed: dict[tuple[str, str], list[str]] = {}
        self._paths: dict[tuple[str, str], tuple[str, ...]] = {}

    def end(self, saga: tuple[str, str], path: tuple[str, ...]) -> None:
        """Write all further rows of a saga."""
        for _ in range(len(self._paths.get(saga, path))):
            self.go_on(saga, path)

    def go_on(self, saga: tuple[str, str], path: tuple[str, ...], at: int = 0) -> None:
        """Write the next row of a saga, with the time of now or a given one."""
        states = self._passed.setdefault(saga, [])
        path = self._paths.setdefault(saga, path)
        if len(states) < len(path):
            with self.store.turn():
                new = entry(*saga, path[len(states)], len(states))
                self.store.append([new._replace(recorded_at=at or new.recorded_at)])
            states.append(path[len(states)])

    def prune(self, saga: tuple[str, str]) -> None:
        """Remove the rows of a saga that has ended."""
        if self._passed.get(saga, [""])[-1] in ("completed", "failed"):
            with self.store.turn():
                self.store.saga_log.prune(SagaKey(*saga), round(time.time() * 1000))

    @property
    def expected(self) -> dict[tuple[str, str], int]:
        """What was passed through by all sagas, each state once."""
        passed = Counter((saga[1], state) for saga, states in self._passed.items() for state in set(states))
        return {(saga_type, state): passed[saga_type, state] for saga_type in TYPES for state in COUNTED}

    def read(self) -> TableReader:
        """Open the store to read it."""
        return open_reader(self._place)

    def close(self) -> None:
        """Close the store."""
        self.store.close()


class Rows:
    """A saga log in which sagas enter states; ``asked`` says behind which rows, -1 for all."""

    def __init__(self, *rows: StateChange, late_seconds: float = 0.0) -> None:
        self.rows = list(rows)
        self.asked: list[int] = []
        self.is_away = False
        self._late_seconds = late_seconds

    def read(self) -> AbstractContextManager[Rows]:
        """Open it."""
        if self.is_away:
            raise StoreError("away")
        return nullcontext(self)

    def all_states(self, since: int) -> StateNews:
        """Return all of it, nothing of it counted."""
        assert since < time.time() * 1000
        self.asked.append(-1)
        return self._behind(0)

    def state_changes(self, after: int) -> StateNews:
        """Return what is behind a row."""
        self.asked.append(after)
        return self._behind(after)

    def _behind(self, after: int) -> StateNews:
        rows = [each for each in self.rows if each.row > after]
        return StateNews([], 0, rows, max(each.row for each in self.rows), self._late_seconds)


SAGAS = st.tuples(st.sampled_from(["a", "b", "c"]), st.sampled_from(TYPES))
DOINGS = st.one_of(
    st.tuples(st.just("go on"), SAGAS, st.sampled_from(PATHS)),
    st.tuples(st.just("end"), SAGAS, st.sampled_from(PATHS)),
    st.tuples(st.just("prune"), SAGAS),
    st.tuples(st.just("ask")),
    st.tuples(st.just("restart")),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(DOINGS, max_size=40))
def test_counts_are_those_of_the_saga_log(doings: list[tuple[str, ...]]) -> None:
    """Also after a restart, and where sagas are pruned, of which some began since they were counted last."""
    with TemporaryDirectory() as folder, closing(Log(str(Path(folder) / "shop.db"))) as log:
        _follow(log, doings)


@pytest.mark.parametrize("path", PATHS)
def test_counts_are_those_of_the_saga_log_on_postgresql(empty_store: str, path: tuple[str, ...]) -> None:
    doings = [("go on", ("a", "trip"), path), ("ask",), ("go on", ("b", "order"), path)] * len(path)
    since = [("end", ("c", "trip"), path), ("prune", ("c", "trip")), ("prune", ("b", "order")), ("ask",)]
    with closing(Log(empty_store)) as log:
        _follow(log, [*doings, ("prune", ("a", "trip")), *since, ("restart",)])


def _follow(log: Log, doings: list[tuple[str, ...]]) -> None:
    counts = SagaCounts(TYPES, log.read, lambda *_: None)
    counts.now()
    for doing, *what in doings:
        if doing == "go on":
            log.go_on(*what)  # type: ignore[arg-type]
        elif doing == "end":
            log.end(*what)  # type: ignore[arg-type]
        elif doing == "prune":
            log.prune(*what)  # type: ignore[arg-type]
        elif doing == "restart":
            counts = SagaCounts(TYPES, log.read, lambda *_: None)
        if doing in ("ask", "restart"):
            assert counts.now() == log.expected
    assert counts.now() == log.expected


def test_a_row_that_becomes_visible_late_is_counted_once() -> None:
    """As that of a turn that took long, beside others with higher numbers."""
    log = Rows(*(StateChange(row, "trip", "started", "ended", 0, 0) for row in (1, 3, 4)), late_seconds=90.0)
    counts = SagaCounts(["trip"], log.read, _never)
    assert (counts.now() or {})["trip", "started"] == 3
    log.rows.insert(1, StateChange(2, "trip", "started", "ended", 0, 0))
    for _ in range(2):
        assert (counts.now() or {})["trip", "started"] == 4


def test_a_row_that_becomes_visible_late_is_counted_beside_a_request_of_long_ago(empty_store: str) -> None:
    """A start waited until a worker ran again: it has the time of then, and another one's turn is open."""
    with closing(Log(empty_store)) as log, psycopg.connect(empty_store) as turn:
        turn.execute(plain("late", "started").replace("saga_log", "choreo.saga_log").encode())
        log.go_on(("a", "trip"), PATHS[0], at=1)
        counts = SagaCounts(["shop", "trip"], log.read, _never)
        counts.now()
        turn.commit()
        found = counts.now() or {}
        assert (found["trip", "started"], found["shop", "started"]) == (1, 1)


def test_a_row_that_the_database_has_counted_is_not_counted_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where all is counted anew, up to a newer row than the last one behind which none comes late."""
    seconds = [0.0]
    monkeypatch.setattr("choreo.monitor.counts.time.monotonic", lambda: seconds[0])
    now = round(time.time() * 1000)
    rows = [StateChange(row, "trip", "started", "ended", 0, 0) for row in (1, 2)]
    log = Rows(*rows, late_seconds=90.0)
    counts = SagaCounts(["trip"], log.read, _never)
    counts.now()
    log.rows += [
        StateChange(3, "trip", "started", "ended", 0, 0),
        StateChange(4, "trip", "completed", "pruned", now, now),
    ]
    counted = [StateCount("trip", "started", is_pruned=False, sagas=3)]
    monkeypatch.setattr(log, "all_states", lambda _: StateNews(counted, 3, log.rows[3:], 4, 90.0))
    seconds[0] = 100.0
    for _ in range(2):
        assert (counts.now() or {})["trip", "started"] == 4


def test_what_is_not_of_the_own_types_is_not_counted() -> None:
    log = Rows(StateChange(1, "quiz", "started", "ended", 0, 0))
    counts = SagaCounts(["trip"], log.read, _never)
    assert counts.now() == {("trip", state): 0 for state in COUNTED}


def test_who_starts_no_sagas_reads_nothing() -> None:
    log = Rows(StateChange(1, "quiz", "started", "ended", 0, 0))
    assert SagaCounts([], log.read, _never).now() == {}
    assert not log.asked


def test_counts_stay_while_the_store_is_away() -> None:
    """And where it never could be read, there are none: a counter at 0 would be a lie."""
    log = Rows(StateChange(1, "trip", "started", "ended", 0, 0))
    counts = SagaCounts(["trip"], log.read, _never)
    log.is_away = True
    assert counts.now() is None
    log.is_away = False
    found = counts.now()
    log.is_away = True
    assert counts.now() == found != None  # noqa: E711


def test_only_sagas_that_end_from_now_on_have_a_duration() -> None:
    """Those of before were told by the process of before."""
    told: list[tuple[str, str, float]] = []
    now = 4_000_000_000_000
    log = Rows(
        StateChange(1, "trip", "completed", "event", 1000, 0),
        StateChange(2, "trip", "failed", "event", now + 2500, now),
    )
    counts = SagaCounts(["trip"], log.read, lambda *a: told.append(a))
    counts.now()
    counts.now()
    assert told == [("trip", "failed", 2.5)]


def test_a_saga_that_ended_long_ago_may_be_pruned_without_being_read_again() -> None:
    """It was counted while its rows were there."""
    log = Rows(
        *(StateChange(row, "trip", state, "event", 1000, 0) for row, state in ((1, "started"), (2, "failed")))
    )
    counts = SagaCounts(["trip"], log.read, _never)
    before = counts.now()
    log.rows[:] = [StateChange(3, "trip", "failed", "pruned", 1000, 1000)]
    assert counts.now() == before
    assert log.asked == [-1, 2]


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the place of a new store."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("empty_store"))
    return str(tmp_path / "shop.db")


@pytest.mark.parametrize("statement", range(1, 4))
def test_a_saga_that_is_pruned_during_a_look_is_counted(
    place: str, statement: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between whichever statements of the first look: a counter that goes back later would lie of a start."""
    with closing(Log(place)) as log, log.read() as reader:
        for saga_id in ("a", "b"):
            log.end((saga_id, "trip"), PATHS[0])
        log.go_on(("c", "order"), PATHS[0])
        execute, executed = reader._rows, []

        def rows(sql: str, *values: object) -> Sequence[Any]:
            executed.append(sql)
            found = execute(sql, *values)
            if sum(each.startswith("SELECT") for each in executed) == statement:
                log.prune(("a", "trip"))
                log.end(("d", "trip"), PATHS[0])
            return found

        expected = log.expected
        monkeypatch.setattr(reader, "_rows", rows)
        counts = SagaCounts(TYPES, lambda: nullcontext(reader), lambda *_: None)
        assert counts.now() == expected
        assert counts.now() == log.expected != expected


def test_old_rows_are_counted_by_the_database(place: str) -> None:
    """The process holds those alone of which the end may still be told."""
    with closing(Log(place)) as log:
        for saga, path in zip("abcdefg", PATHS * 2, strict=False):
            log.end((saga, "trip"), path)
        log.prune(("b", "trip"))
        with log.read() as reader:
            later = reader.all_states(round(time.time() * 1000) + 600_000)
            earlier = reader.all_states(0)
        assert (later.changes, later.counted_to, later.last) == ([], earlier.last, earlier.last)
        assert (earlier.counts, earlier.counted_to) == ([], 0)
        assert sum(each.sagas for each in later.counts) == len(earlier.changes) > 10
        told = Counter((each.saga_type, each.state, each.input == PRUNED) for each in earlier.changes)
        assert {each[:3]: each.sagas for each in later.counts} == told


def test_a_saga_that_was_cancelled_before_its_start_is_not_counted_once_it_is_pruned(place: str) -> None:
    """Neither by the process that was there, nor by the next one: it has never started, nor failed."""
    with closing(Log(place)) as log:
        cancelled = entry("a", "trip", "pending", 1)._replace(step=CANCEL, input="")
        with log.store.turn():
            log.store.append([cancelled])
        counts = SagaCounts(TYPES, log.read, _never)
        assert counts.now() == log.expected
        with log.store.turn():
            assert log.store.saga_log.prune(SagaKey("a", "trip"), round(time.time() * 1000))
        assert counts.now() == SagaCounts(TYPES, log.read, _never).now() == log.expected
        with log.read() as reader:
            assert reader.all_states(2**53).counts == []


def test_a_duration_is_told_once(tmp_path: Path) -> None:
    """Also where all is counted anew, as sagas were pruned of which the rows had not been counted."""
    told: list[str] = []
    with closing(Log(str(tmp_path / "shop.db"))) as log:
        counts = SagaCounts(TYPES, log.read, lambda saga_type, *_: told.append(saga_type))
        for saga_id in ("a", "b"):
            log.end((saga_id, "trip"), PATHS[0])
            counts.now()
        log.end(("c", "trip"), PATHS[0])
        log.end(("d", "order"), PATHS[0])
        log.prune(("c", "trip"))
        assert counts.now() == counts.now() == log.expected
    assert told == ["trip", "trip", "order"]


def _never(*_: object) -> None:
    raise AssertionError("no saga ended")
