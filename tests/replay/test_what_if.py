"""What-if: today's code on the record of yesterday. What is the same shows nothing, what isn't is shown."""

from __future__ import annotations

import os
import random
import socket
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from choreo import Context, Participant, Permanent, Saga
from choreo.avro import AvroCodec
from choreo.errors import ConfigurationError
from choreo.participant import Participant as Declared
from choreo.ports import Store
from choreo.replay.databases import copy_of, empty_store
from choreo.replay.what_if import WhatIf
from examples.orders.contract import order_fulfilment
from tests.broker.any_broker import InMemoryBroker
from tests.replay.conftest import saved
from tests.scenarios import scripted_saga
from tests.scenarios.scripted_saga import Acted, Job, JobAsked, JobDone, Undone, do, take_back
from tests.scenarios.shop import PARTICIPANTS, STOCK, Shop, scenarios
from tests.worker.conftest import Rigs
from tests.worker.provider import Provider, asked
from tests.worker.provider import hotel as slow_hotel
from tests.worker.test_deadlines import clerk
from tests.worker.trip import FlightFull, TripRequested

SAGAS = int(os.environ.get("CHOREO_WHATIF", "150"))
SEED = int(os.environ.get("CHOREO_SEED", "20261"))


def tried(
    participant: Declared, store: Store, base: Path | None = None, only: str = "", saga_type: str = ""
) -> WhatIf:
    """Run a participant's code on a store's record: of all sagas on a base, else of those on the log."""
    codec = AvroCodec(participant.events)
    wanted = frozenset((only,)) if only else None
    with copy_of(base, store) if base else empty_store() as scratch, scratch.store.turn():
        given = (participant, codec, store, scratch.store)
        whatif = WhatIf(*given, has_base=bool(base), wanted=wanted, saga_type=saga_type)
        if base:
            if participant.prepare:
                participant.prepare(scratch.store.db)
            assert list(whatif.take_all(scratch.last))
        else:
            for saga_id in {entry.saga_id for _, entry in store.rows(0, 1_000_000)}:
                whatif.take_saga(saga_id)
    return whatif


def pure(event: JobAsked, ctx: Context) -> Acted:
    """Do the work without the database."""
    return Acted(event.name, event.refused)


def unmade(acted: Acted, ctx: Context) -> Undone:
    """Undo the work without the database."""
    return Undone(acted.name)


@contextmanager
def recorded(
    folder: Path, topic: str, act: scripted_saga.Act = pure, undo: scripted_saga.Undo = unmade
) -> Iterator[Job]:
    """Record one job that is done, and one that is undone."""
    with closing(Job(InMemoryBroker(), folder, topic, act=act, undo=undo)) as jobs:
        assert jobs.run("good") == {"completed"}
        assert jobs.run("bad", refused=True) == {"failed"}
        yield jobs


def doer(jobs: Job, act: scripted_saga.Act = pure, undo: scripted_saga.Undo = unmade) -> Participant:
    """Return the doer as another release has it."""
    return scripted_saga._doer(jobs.saga, act, undo, scripted_saga.AT_ONCE)


def test_the_same_code_makes_no_difference_on_many_sagas(
    tmp_path: Path, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Orders of all kinds, on a copy of each database as it was before; ``make whatif`` runs 10,000."""
    monkeypatch.setattr(order_fulfilment, "topic", topic)
    with closing(Shop(InMemoryBroker(), tmp_path)) as shop:
        bases = {each.name: saved(tmp_path / f"{each.name}.db") for each in PARTICIPANTS}
        chance, count = random.Random(SEED), 0
        while count < SAGAS:
            batch = [each for n in range(20) for each in chance.choices(scenarios(f"o{count}-{n}"), k=1)]
            shop.until_quiet([shop.place(each.order) for each in batch], 120)
            count += len(batch)
        for participant in PARTICIPANTS:
            begun = time.perf_counter()
            whatif = tried(participant, shop.stores[participant.name], bases[participant.name])
            assert [str(each) for each in whatif.changes] == []
            assert (whatif.counts["needs a base"], whatif.nondeterministic) == (0, {})
            seconds = time.perf_counter() - begun
            print(f"\n{participant.name}: {count} sagas, {dict(whatif.counts)}, {seconds:.1f} s")
        assert shop.value("inventory", "select max(available) from stock") <= STOCK


def _returns(event: Any) -> Callable[[JobAsked, Context], Any]:
    return lambda asked, ctx: event


def _raises(error: Exception) -> Callable[[JobAsked, Context], Any]:
    def act(asked: JobAsked, ctx: Context) -> Any:
        raise error

    return act


WORK = "row 2: doer.work: recorded"
CHANGES: dict[str, tuple[Callable[[JobAsked, Context], Any], str]] = {
    "a changed amount": (
        lambda asked, ctx: Acted(asked.name, not asked.refused),
        f"saga good, {WORK} Acted(refused=False, …), now Acted(refused=True, …)",
    ),
    "a dropped event": (
        _returns(None),
        f"saga good, {WORK} Acted(name='good', refused=False), now no event, or one that it does not declare",
    ),
    "another event": (
        lambda asked, ctx: scripted_saga.ActFailed(asked.name, "no"),
        f"saga good, {WORK} Acted(name='good', refused=False), now ActFailed(name='good', reason='no')",
    ),
    "a new failure": (
        _raises(Permanent("a new rule")),
        f"saga good, {WORK} Acted(name='good', refused=False), now failed: a new rule",
    ),
    "a new error": (
        _raises(ZeroDivisionError()),
        f"saga good, {WORK} Acted(name='good', refused=False), now raises ZeroDivisionError",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_today_s_code_does_differently_is_shown_at_its_step(
    tmp_path: Path, topic: str, name: str
) -> None:
    """And nothing else is; in both sagas."""
    act, expected = CHANGES[name]
    with recorded(tmp_path, topic) as jobs:
        assert tried(doer(jobs), jobs.stores["doer"]).changes == []
        changes = tried(doer(jobs, act), jobs.stores["doer"]).changes
    assert [(each.saga_id, each.row, each.step) for each in sorted(changes)] == [
        ("bad", 2, "doer.work"),
        ("good", 2, "doer.work"),
    ]
    assert expected in [str(each) for each in changes]


def test_a_failure_that_today_s_code_has_no_more_is_shown(tmp_path: Path, topic: str) -> None:
    """What was mended, too, is a difference; the same failure is none."""
    for error, words in ((Permanent("no"), "failed: no"), (KeyError("x"), "raises KeyError")):
        folder = tmp_path / words.partition(" ")[2]
        folder.mkdir()
        with closing(Job(InMemoryBroker(), folder, f"{topic}-{folder.name}", act=_raises(error))) as jobs:
            assert jobs.run("a") == {"failed"}
            assert tried(doer(jobs, _raises(error)), jobs.stores["doer"]).changes == []
            (change,) = tried(doer(jobs), jobs.stores["doer"]).changes
            assert (change.recorded, change.now) == (words, "Acted(name='a', refused=False)")


def test_a_compensation_is_tried_again_too(tmp_path: Path, topic: str) -> None:
    with recorded(tmp_path, topic) as jobs:
        changed = doer(jobs, undo=lambda acted, ctx: Undone(f"{acted.name}!"))
        (change,) = tried(changed, jobs.stores["doer"]).changes
    assert (change.saga_id, change.step, change.now) == ("bad", "doer.work", "Undone(name='bad!', …)")


def test_steps_that_use_the_database_need_a_base(tmp_path: Path, topic: str) -> None:
    """And are not guessed."""
    with recorded(tmp_path, topic, do, take_back) as jobs:
        whatif = tried(doer(jobs, do, take_back), jobs.stores["doer"])
        assert (whatif.changes, dict(whatif.counts)) == ([], {"needs a base": 3})


def test_a_base_gives_the_database_of_that_day(tmp_path: Path, topic: str) -> None:
    """A snapshot in the midst: what it holds is done already, what came after is done on its copy."""
    with closing(Job(InMemoryBroker(), tmp_path, topic)) as jobs:
        jobs.run("one")
        base = saved(tmp_path / "doer.db")
        before = base.read_bytes()
        jobs.run("two")
        jobs.run("three", refused=True)
        same = tried(doer(jobs, do, take_back), jobs.stores["doer"], base)
        assert (same.changes, dict(same.counts)) == ([], {"compared": 3})

        def counting(asked: JobAsked, ctx: Context) -> Acted:
            done = ctx.db.execute("select count(*) from work").fetchone()[0]
            ctx.db.execute("insert into work values (?)", [asked.name])
            return Acted(f"{asked.name} after {done}", asked.refused)

        changes = tried(doer(jobs, counting, take_back), jobs.stores["doer"], base, only="three").changes
        assert [each.now for each in changes] == ["Acted(name='three after 2', …)"]
        assert (jobs.work(), base.read_bytes()) == (["one", "two"], before)


@pytest.mark.parametrize("kind", ["another store", "no database", "no file", "a later one"])
def test_what_is_no_base_is_refused(tmp_path: Path, topic: str, kind: str) -> None:
    """With a hint."""
    base = tmp_path / "base.db"
    with recorded(tmp_path, topic) as jobs:
        if kind == "another store":
            base = tmp_path / "asker.db"
        elif kind == "no database":
            base.write_bytes(b"rubbish" * 1000)
        elif kind == "a later one":
            base = saved(tmp_path / "doer.db")
            with closing(sqlite3.connect(base)) as later, later:
                later.execute("insert into saga_log select id + 100, " + _others(later) + " from saga_log")
        with pytest.raises(ConfigurationError, match=r"copied|no file|state") as raised:
            tried(doer(jobs), jobs.stores["doer"], base)
        assert raised.value.hint


def _others(connection: sqlite3.Connection) -> str:
    columns = [row[1] for row in connection.execute("pragma table_info(saga_log)")]
    return ", ".join(f'"{name}"' for name in columns if name != "id")


def test_a_handler_that_asks_clock_or_chance_is_named(tmp_path: Path, topic: str) -> None:
    """With the call and its place; ``ctx.now`` is the same each time."""

    def told(asked: JobAsked, ctx: Context) -> Acted:
        ctx.log.warning("not mine")
        return Acted(ctx.now.isoformat(), asked.refused)

    def guesses(asked: JobAsked, ctx: Context) -> Acted:
        return Acted(f"{uuid.uuid4()} {time.time()} {random.random()}", asked.refused)

    with recorded(tmp_path, topic, told) as jobs:
        whatif = tried(doer(jobs, told), jobs.stores["doer"])
        assert (whatif.changes, whatif.nondeterministic) == ([], {})
        whatif = tried(doer(jobs, guesses), jobs.stores["doer"])
        assert {each.step for each in whatif.changes} == {"doer.work"}
        assert [name.partition(" at ")[0] for name in whatif.nondeterministic["doer.work"]] == [
            "uuid.uuid4",
            "time.time",
            "random.random",
        ]
        assert all(f" at {__file__}:" in name for name in whatif.nondeterministic["doer.work"])


def test_what_a_handler_does_outside_does_not_happen(tmp_path: Path, topic: str) -> None:
    """Not even where it swallows the refusal."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server, recorded(tmp_path, topic) as jobs:
        server.setblocking(False)

        def calls(asked: JobAsked, ctx: Context) -> Acted:
            try:
                socket.create_connection(server.getsockname()).close()
                (tmp_path / "written").write_text("x")
            except Exception:
                (tmp_path / "written").write_text("y")
            return Acted(asked.name)

        changes = tried(doer(jobs, calls), jobs.stores["doer"]).changes
        with pytest.raises(BlockingIOError):
            server.accept()
        assert not (tmp_path / "written").exists()
        assert "reaches outside: socket.create_connection at " in changes[0].now
        socket.create_connection(server.getsockname()).close()  # afterwards it is allowed again


def test_calls_are_not_made_again(rig: Rigs) -> None:
    """Their results are taken from the record."""
    provider = Provider()
    rigged = rig(slow_hotel(provider))
    rigged.feed(TripRequested("t"))
    asked(rigged, provider, 1)
    provider.answer(None)
    for _ in range(10_000):
        rigged.settle()
        if rigged.published():
            break
    rigged.feed(FlightFull("t", "full"))
    whatif = tried(rigged.participant, rigged.store)
    assert (whatif.changes, whatif.counts["taken from the record"], len(provider.keys)) == ([], 1, 1)


def test_a_deadline_s_event_is_compared(rig: Rigs) -> None:
    rigged = rig(clerk())
    rigged.feed(TripRequested("t"))
    rigged.clock.advance(60)
    rigged.settle()
    assert tried(clerk(lambda ctx: None), rigged.store).changes == []  # type: ignore[arg-type]

    def refuse(ctx: Context) -> None:
        raise Permanent("not yet")

    (change,) = tried(clerk(refuse), rigged.store).changes  # type: ignore[arg-type]
    assert (change.step, change.now) == ("clerk.hotel_is_late", "failed: not yet")


def test_steps_that_were_added_or_taken_away_are_shown(tmp_path: Path, topic: str) -> None:
    """Where their events came."""
    with recorded(tmp_path, topic) as jobs:
        less = Participant("checker", sagas=[jobs.saga])
        more = scripted_saga._checker(jobs.saga)

        @more.observer
        def see(event: JobDone, ctx: Context) -> None:
            raise AssertionError("never run")

        taken = {str(each) for each in tried(less, jobs.stores["checker"], only="good").changes}
        assert any("checker.check: recorded step in the log, now not declared" in each for each in taken)
        (added,) = tried(more, jobs.stores["checker"]).changes
        assert str(added) == "saga good: checker.see: recorded schedule nothing, now observer due"


def test_only_what_was_asked_for_is_reported(tmp_path: Path, topic: str) -> None:
    """Everything is done on the base all the same."""
    with closing(Job(InMemoryBroker(), tmp_path, topic)) as jobs:
        base = saved(tmp_path / "doer.db")
        jobs.run("good")
        jobs.run("bad", refused=True)
        changed = doer(jobs, _raises(Permanent("no")), take_back)
        whatif = tried(changed, jobs.stores["doer"], base, only="bad")
        assert {each.saga_id for each in whatif.changes} == {"bad"}
        assert whatif.counts["compared"] == 2


def test_of_sagas_with_one_id_those_of_a_type_are_reported(tmp_path: Path, topic: str) -> None:
    with closing(Job(InMemoryBroker(), tmp_path, topic)) as jobs:
        base = saved(tmp_path / "doer.db")
        jobs.run("good")
        changed, store = doer(jobs, _raises(Permanent("no")), take_back), jobs.stores["doer"]
        for given in ({"base": base}, {}):
            other = tried(changed, store, only="good", saga_type="other", **given)
            assert (other.changes, other.counts) == ([], {})
            (saga_type,) = {entry.saga_type for _, entry in store.rows(0, 100)}
            assert tried(changed, store, only="good", saga_type=saga_type, **given).counts


def test_a_saga_of_a_type_that_is_gone_is_passed_over(tmp_path: Path, topic: str) -> None:
    with recorded(tmp_path, topic) as jobs:
        other = Saga("other", starts=JobAsked, completes=scripted_saga.JobDone, fails=scripted_saga.JobFailed)
        whatif = tried(Participant("doer", sagas=[other]), jobs.stores["doer"])
        assert (whatif.changes, whatif.counts) == ([], {})


def test_attempts_count_as_they_did(tmp_path: Path, topic: str) -> None:
    def third(asked: JobAsked, ctx: Context) -> Acted:
        if ctx.attempt < 3:
            raise TimeoutError
        return Acted(f"{asked.name} {ctx.attempt}", asked.refused)

    with recorded(tmp_path, topic, third) as jobs:
        assert tried(doer(jobs, third), jobs.stores["doer"]).changes == []
    assert timedelta(0) == scripted_saga.AT_ONCE.delay


def test_what_was_erased_is_not_guessed(tmp_path: Path, topic: str) -> None:
    """Nor taken for a difference."""
    with recorded(tmp_path, topic) as jobs:
        path = tmp_path / "doer.db"
        with closing(sqlite3.connect(path, timeout=10)) as store, store:
            for (name,) in store.execute("select name from sqlite_schema where type = 'trigger'").fetchall():
                store.execute(f"drop trigger {name}")
            store.execute("update saga_log set payload = null where saga_id = 'bad'")
        whatif = tried(doer(jobs), jobs.stores["doer"])
        assert (whatif.changes, dict(whatif.counts)) == ([], {"compared": 1, "without a body": 2})
