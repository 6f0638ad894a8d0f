"""Deadlines that somebody extends or revokes for one saga: durable, explained; whoever is first counts."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from choreo import Context, Participant, Permanent, Retry
from choreo.audit.export import records_of
from choreo.audit.formats import write_json_lines
from choreo.audit.restore import import_export, origin_of
from choreo.audit.retention import erase
from choreo.audit.verification import Verification
from choreo.records import LATEST, SagaKey, Scheduled
from choreo.replay.rebuild import rebuild
from choreo.replay.resume import Resumed, resume
from choreo.store import opening
from choreo.timeline.moments import Moment
from choreo.timeline.participant_view import ParticipantView
from choreo.timeline.timeline import timeline_of
from choreo.worker.deadlines import Change, Changed, Unchangeable, change
from tests.replay.memory_topics import MemoryTopics
from tests.replay.test_what_if import tried
from tests.replay.watching import differences
from tests.stores import open_store
from tests.worker.conftest import Rigs
from tests.worker.replicas import Replicas, on
from tests.worker.rig import NOON, Rig
from tests.worker.services import SECOND, Script, prepare
from tests.worker.test_deadlines import MINUTE, clerk
from tests.worker.trip import (
    FlightFull,
    FlightLate,
    HotelBooked,
    HotelFull,
    HotelLate,
    TripBooked,
    TripCancelled,
    TripFailed,
    TripRequested,
    trip,
)

LATE = "clerk.hotel_is_late"
KEY = SagaKey("s1", "trip")
HOUR = 3_600_000


def changed(rigged: Rig, name: str = LATE, /, *, by: str = "ada", seen: int = 0, **given: Any) -> Changed:
    """Change the deadline as another process does; without more time, revoke it."""
    wanted = Change(by, "they called", **given)
    with closing(open_store(rigged.path)) as store:
        return change(store, KEY, name, wanted, rigged.clock.now(), seen=seen)


def refused(rigged: Rig, name: str = LATE, /, **given: Any) -> str:
    """Return why a change is refused, which changes nothing."""
    before = rigged.history(), rigged.store.scheduled(*KEY)
    with pytest.raises(Unchangeable) as caught:
        changed(rigged, name, **given)
    assert (rigged.history(), rigged.store.scheduled(*KEY)) == before
    assert caught.value.hint
    return caught.value.message


def holds(rigged: Rig) -> None:
    """Hold a saga to its log: whoever folds the rows, or checks their chain, finds all well."""
    rigged.settle()
    assert differences(rigged.participant, rigged.store, "s1") == []
    assert tried(rigged.participant, rigged.store, only="s1").changes == []
    assert Verification(rigged.store.saga_log).check(KEY) is None


def moments(rigged: Rig, *what: str) -> list[Moment]:
    """Return what the saga's timeline shows of the deadline."""
    view = ParticipantView("clerk", rigged.history(), rigged.store.scheduled(*KEY))
    found = timeline_of([view], rigged.clock.now()).moments
    return [each for each in found if each.what in what]


def test_an_extended_deadline_passes_at_its_new_time(rig: Rigs) -> None:
    """Not before; its event is the same one, and the log says who gave it more time, and why."""
    rigged = rig(clerk())
    rigged.feed(TripRequested("t"))
    assert changed(rigged, more=HOUR) == Changed(LATE, "hotel.book", NOON + 60_000, NOON + 60_000 + HOUR)
    holds(rigged)
    rigged.clock.advance(3659.999)
    rigged.settle()
    assert rigged.published() == []
    rigged.clock.advance(0.001)
    rigged.settle()
    assert rigged.published() == [HotelLate("t")]
    holds(rigged)
    (moment,) = moments(rigged, "extended")
    assert (moment.step, moment.time, moment.attempt) == (LATE, NOON, 0)
    assert (moment.cause, moment.took) == ("", None)
    assert moment.why == "until 2023-11-14T23:14:20Z, by ada: they called"
    assert rigged.saga() == rigged.saga_in_memory()


def test_a_revoked_deadline_does_not_pass(rig: Rigs) -> None:
    """Its step may take any time; its late success counts."""
    rigged = rig(clerk())
    rigged.feed(TripRequested("t"))
    assert changed(rigged) == Changed(LATE, "hotel.book", NOON + 60_000, 0)
    holds(rigged)
    rigged.clock.advance(90)
    rigged.settle()
    assert (rigged.published(), rigged.due_in()) == ([], None)
    rigged.feed(HotelBooked("t"))
    assert rigged.saga().state_of("hotel.book") == "completed"
    holds(rigged)
    (moment,) = moments(rigged, "revoked")
    assert (moment.step, moment.why) == (LATE, "by ada: they called")


@pytest.mark.parametrize("given", [{}, {"more": HOUR}, {"until": NOON + HOUR}])
@pytest.mark.parametrize("is_down", [False, True])
def test_a_change_outlasts_a_restart_and_needs_no_worker(
    rig: Rigs, given: dict[str, int], is_down: bool
) -> None:
    """What is on the schedule is what counts; the saga's rows fold to the same."""
    rigged = rig(clerk())
    rigged.feed(TripRequested("t"))
    if is_down:
        rigged.close()
        changed(rigged, **given)
        rigged.clock.advance(90)
        rigged.open()
    else:
        changed(rigged, **given)
        rigged.clock.advance(90)
        rigged.restart()
    assert rigged.published() == []
    holds(rigged)
    assert rigged.saga() == rigged.saga_in_memory()
    rigged.clock.advance(2 * HOUR)
    rigged.settle()
    assert rigged.published() == ([HotelLate("t")] if given else [])


def test_it_is_extended_twice(rig: Rigs) -> None:
    """Each time from when it is due then; the last one counts."""
    rigged = rig(clerk())
    rigged.feed(TripRequested("t"))
    assert changed(rigged, more=HOUR).after == NOON + 60_000 + HOUR
    assert changed(rigged, more=HOUR, by="ben").after == NOON + 60_000 + 2 * HOUR
    assert [each.why.split()[3] for each in moments(rigged, "extended")] == ["ada:", "ben:"]
    assert rigged.due_in() == 60 + 7200
    holds(rigged)


def test_the_second_of_two_operators_is_told(rig: Rigs) -> None:
    """Where he says what he saw; a revocation is over in any case."""
    rigged = rig(clerk())
    rigged.feed(TripRequested("t"))
    changed(rigged, more=HOUR, seen=NOON + 60_000)
    assert "was changed meanwhile" in refused(rigged, more=HOUR, seen=NOON + 60_000)
    changed(rigged, by="")
    assert refused(rigged) == f"{LATE} was revoked 2023-11-14T22:13:20Z (they called)"
    assert "was revoked" in refused(rigged, more=HOUR)


def test_a_dry_run_changes_nothing(rig: Rigs) -> None:
    """And says the same."""
    rigged = rig(clerk())
    rigged.feed(TripRequested("t"))
    before = rigged.history(), rigged.store.scheduled(*KEY)
    with closing(open_store(rigged.path)) as store:
        done = change(store, KEY, LATE, Change("ada", "x", HOUR), rigged.clock.now(), dry_run=True)
    assert done.after == NOON + 60_000 + HOUR
    assert (rigged.history(), rigged.store.scheduled(*KEY)) == before


@pytest.mark.parametrize(
    ("events", "why"),
    [
        ((HotelBooked("t"),), f"{LATE} is over: hotel.book has succeeded"),
        ((HotelFull("t", "full"),), f"{LATE} is over: hotel.book has failed"),
        ((FlightFull("t", "full"),), f"{LATE} is over: the saga is rolled back"),
        ((TripBooked("t"),), f"{LATE} is over: the saga has completed"),
        ((TripFailed("t", "no"),), f"{LATE} is over: the saga has failed"),
    ],
)
@pytest.mark.parametrize("given", [{}, {"more": HOUR}])
def test_a_deadline_that_is_over_can_not_be_changed(
    rig: Rigs, events: tuple[Any, ...], why: str, given: dict[str, int]
) -> None:
    """And it is said what has ended it."""
    rigged = rig(clerk())
    rigged.feed(TripRequested("t"), *events)
    assert refused(rigged, **given) == why


@pytest.mark.parametrize("given", [{}, {"more": HOUR}])
def test_whichever_comes_first_counts(rig: Rigs, given: dict[str, int]) -> None:
    """One that has passed can't be changed, whatever its handler has done since."""
    rigged = rig(clerk(Script([ConnectionError(), Permanent("no")])))
    rigged.feed(TripRequested("t"))
    rigged.clock.advance(61)
    rigged.settle()  # its handler has failed once
    changed(rigged, more=HOUR)
    rigged.clock.advance(3660)
    rigged.settle()
    (letter,) = rigged.letters()
    assert refused(rigged, **given) == f"{LATE} has passed, and is dead letter {letter.id}"
    holds(rigged)


def test_one_whose_event_is_published_has_passed(rig: Rigs) -> None:
    """Whether the topic has it already or not."""
    rigged = rig(clerk())
    rigged.feed(TripRequested("t"))
    rigged.clock.advance(60)
    rigged.worker._publishing.publish = lambda **_: None  # type: ignore[method-assign]
    rigged.settle()
    assert refused(rigged) == f"{LATE} has passed already: hotel.book has timed out"
    del rigged.worker._publishing.publish  # type: ignore[method-assign]
    rigged.settle()
    assert refused(rigged, more=HOUR) == f"{LATE} has passed already: hotel.book has timed out"


def test_one_that_passed_while_no_worker_ran_can_be_saved(rig: Rigs) -> None:
    """As nothing has come of it yet; to a time that is to come."""
    rigged = rig(clerk())
    rigged.feed(TripRequested("t"))
    rigged.close()
    rigged.clock.advance(90)
    with closing(open_store(rigged.path)) as store, pytest.raises(Unchangeable, match="has passed already"):
        change(store, KEY, LATE, Change("ada", "x", 30_000), rigged.clock.now())
    assert changed(rigged, more=31_000).after == NOON + 91_000
    rigged.open()
    assert rigged.published() == []
    rigged.clock.advance(1)
    rigged.settle()
    assert rigged.published() == [HotelLate("t")]


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"until": NOON}, "2023-11-14T22:13:20Z has passed already"),
        ({"until": NOON + 60_000}, f"{LATE} is due 2023-11-14T22:14:20Z: an extension is later"),
        ({"until": LATEST + 1}, "is too late"),
        ({"more": LATEST}, "is too late"),
        ({"more": 10**18}, "is too late"),
    ],
)
def test_a_time_that_makes_no_sense_is_refused(rig: Rigs, given: dict[str, int], why: str) -> None:
    """With what is wrong about it."""
    rigged = rig(clerk())
    rigged.feed(TripRequested("t"))
    assert why in refused(rigged, **given)


def test_what_is_not_there_can_not_be_changed(rig: Rigs) -> None:
    """A saga, a deadline, or one that does not run yet."""
    rigged = rig(both())
    rigged.feed(TripRequested("t"))
    assert refused(rigged, "clerk.nothing") == "the participant declares no deadline clerk.nothing"
    assert refused(rigged, "clerk.flight_is_late") == "clerk.flight_is_late does not run yet"
    with closing(open_store(rigged.path)) as store, pytest.raises(Unchangeable, match="no saga s9"):
        change(store, SagaKey("s9", "trip"), LATE, Change("ada", "x"), NOON)


def both() -> Participant:
    """Make a participant with a second deadline, which counts from a later event."""
    participant = clerk()

    @participant.deadline(of="flight.fly", within=MINUTE)
    def flight_is_late(event: HotelBooked, ctx: Context) -> FlightLate:
        return FlightLate(event.trip)

    return participant


def renamed(*, formerly: bool) -> Participant:
    """Make a release that calls the deadline otherwise, and may not say so."""
    participant = Participant("clerk", sagas=[trip], prepare=prepare)

    @participant.deadline(of="hotel.book", within=MINUTE, formerly=("hotel_is_late",) if formerly else ())
    def room_is_late(event: TripRequested, ctx: Context) -> HotelLate:
        return HotelLate(event.trip)

    return participant


@pytest.mark.parametrize("name", [LATE, "clerk.room_is_late"])
def test_a_release_that_renames_it_knows_it_by_each_name(rig: Rigs, name: str) -> None:
    """The saga goes on with the one that it knows."""
    rigged = rig(clerk())
    rigged.feed(TripRequested("t"))
    rigged.close()
    rigged.participant = renamed(formerly=True)
    rigged.open()
    assert changed(rigged, name, more=HOUR).name == LATE
    holds(rigged)
    rigged.clock.advance(90)
    rigged.settle()
    assert changed(rigged, name).after == 0
    holds(rigged)
    rigged.clock.advance(7200)
    rigged.settle()
    assert rigged.published() == []


def flown_late(event: type[Any]) -> Participant:
    """Make a release that counts the flight's time from an event."""
    participant = Participant("clerk", sagas=[trip], prepare=prepare)

    def flight_is_late(cause: Any) -> FlightLate:
        return FlightLate(cause.trip)

    flight_is_late.__annotations__["cause"] = event
    participant.deadline(of="flight.fly", within=MINUTE)(flight_is_late)
    return participant


@pytest.mark.parametrize("given", [{}, {"more": HOUR}])
def test_a_release_that_counts_it_from_another_event_goes_by_the_change(
    rig: Rigs, given: dict[str, int]
) -> None:
    """A revoked one does not come back, neither with that event nor as its saga is resumed."""
    rigged = rig(flown_late(TripRequested))
    rigged.feed(TripRequested("t"))
    changed(rigged, "clerk.flight_is_late", **given)
    rigged.close()
    rigged.participant = flown_late(HotelBooked)
    rigged.open()
    holds(rigged)
    rigged.feed(HotelBooked("t"))
    holds(rigged)
    assert resumed(rigged).is_idle
    rigged.settle()
    assert rigged.due_in() == (3660 if given else None)
    rigged.clock.advance(7200)
    rigged.settle()
    assert rigged.published() == ([FlightLate("t")] if given else [])
    holds(rigged)


def test_a_release_that_does_not_declare_it_can_not_change_it(rig: Rigs) -> None:
    """It becomes a dead letter once it is due, as before."""
    rigged = rig(clerk(), opened=False)
    rigged.open()
    rigged.feed(TripRequested("t"))
    with rigged.store.turn():
        rigged.store.schedule((Scheduled(*KEY, "deadline", "clerk.gone", "e1", NOON + 1),))
    assert refused(rigged, "clerk.gone") == "the release that runs does not declare clerk.gone any more"


def lose(rigged: Rig) -> None:
    """Let the store lose what is on its schedule."""
    with closing(open_store(rigged.path)) as store, store.turn():
        store.unschedule(*KEY, "deadline", LATE)


def resumed(rigged: Rig) -> Resumed:
    """Resume the saga as another process would."""
    with closing(open_store(rigged.path)) as store:
        (result,) = resume(rigged.participant, store, "s1", rigged.clock.now())
    return result


def test_a_lost_row_is_put_back_for_the_time_that_it_had(rig: Rigs) -> None:
    """That of its last extension; a revoked one is not put back."""
    rigged = rig(clerk())
    rigged.feed(TripRequested("t"))
    for count in (1, 2):
        changed(rigged, more=HOUR)
        lose(rigged)
        assert [str(each) for each in resumed(rigged).due] == [f"deadline {LATE}"]
        holds(rigged)
        assert rigged.due_in() == 60 + 3600 * count
    changed(rigged)
    assert resumed(rigged).is_idle
    holds(rigged)
    assert rigged.due_in() is None


def test_what_the_topics_do_not_hold_a_rebuilt_store_does_not_know(rig: Rigs, tmp_path: Path) -> None:
    """There the deadline counts as it is declared: who loses a store extends, or revokes, again."""
    rigged = rig(clerk())
    rigged.feed(TripRequested("t"))
    changed(rigged)
    with closing(open_store(tmp_path / "rebuilt.db")) as store:
        rebuild(
            rigged.participant, store, MemoryTopics(rigged.broker, rigged.participant), rigged.clock.now()
        )
        assert store.next_due() == NOON + 60_000


def test_an_export_holds_what_was_changed(rig: Rigs, tmp_path: Path) -> None:
    """A store that is made of it has no schedule: what is put back there has the time of the extension."""
    rigged = rig(clerk())
    rigged.feed(TripRequested("t"))
    changed(rigged, more=HOUR)
    told = BytesIO()
    write_json_lines(records_of(origin_of("clerk", rigged.store), rigged.store.saga_log, ["s1"]), told)
    told.seek(0)
    import_export(told, tmp_path / "copy.db")
    with closing(opening.open_store(tmp_path / "copy.db")) as store:
        resume(rigged.participant, store, "s1", rigged.clock.now())
        assert [each.due for each in store.scheduled(*KEY)] == [NOON + 60_000 + HOUR]


def test_erasing_leaves_who_changed_it_and_why(rig: Rigs) -> None:
    """Only the payloads of the saga's events are erased, and its chain holds."""
    rigged = rig(clerk())
    rigged.feed(TripRequested("t"))
    changed(rigged, more=HOUR)
    rigged.feed(TripBooked("t"))
    before = [each._replace(payload=None) for each in rigged.history()]
    with closing(open_store(rigged.path)) as store:
        assert [each.saga.saga_id for each in erase(store, ["s1"])] == ["s1"]
    assert rigged.history() == before
    assert Verification(rigged.store.saga_log).check(KEY) is None


def test_its_rows_are_pruned_with_the_saga(rig: Rigs) -> None:
    """And then nothing of it can be changed."""
    rigged = rig(clerk())
    rigged.feed(TripRequested("t"))
    changed(rigged, more=HOUR)
    rigged.feed(TripBooked("t"))
    with closing(open_store(rigged.path)) as store, store.turn():
        assert store.saga_log.prune(KEY, rigged.clock.now()) > 1
    assert refused(rigged) == "the saga has completed, and its rows were removed"
    assert Verification(rigged.store.saga_log).check(KEY) is None


def test_a_handler_that_is_under_way_since_an_end_of_the_process_is_left_alone(rig: Rigs) -> None:
    """Nobody can say what it has done."""
    rigged = rig(clerk())
    rigged.feed(TripRequested("t"))
    (row,) = rigged.store.scheduled(*KEY)
    with rigged.store.turn():
        rigged.store.schedule((row._replace(lane="out"),))
    assert refused(rigged) == f"{LATE} has passed, and its handler is under way"


@pytest.mark.parametrize("given", [{}, {"more": HOUR}])
@pytest.mark.parametrize("is_held", [False, True])
def test_a_careful_worker_looks_again_at_what_it_has_read(
    rig: Rigs, given: dict[str, int], is_held: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reads what is due before the turn that marks it, and somebody may come in between."""
    rigged = rig(clerk())
    rigged.feed(TripRequested("t"))
    rigged.clock.advance(61)
    due, first = rigged.worker._due, rigged.worker._due.first
    if is_held:
        monkeypatch.setattr(rigged.worker._partitions, "complete", False)
        monkeypatch.setattr(rigged.worker._partitions, "acts_on", lambda *place: False)

    def read_first(now: int) -> Scheduled | None:
        row = first(now)
        if row is not None and not moments(rigged, "extended", "revoked"):
            changed(rigged, **given)
        return row

    monkeypatch.setattr(due, "first", read_first)
    rigged.worker._careful.begin(9)
    for _ in range(5):
        rigged.worker.turn()
    monkeypatch.undo()
    rigged.settle()
    assert rigged.published() == []
    rows = [(each.due, each.lane) for each in rigged.store.scheduled(*KEY)]
    assert rows == ([(NOON + 60_000 + HOUR, "turn")] if given else [])
    holds(rigged)


@pytest.mark.parametrize("order", [("change", "outcome"), ("outcome", "change")])
def test_an_outcome_that_is_on_the_topic_comes_first_or_last(rig: Rigs, order: tuple[str, str]) -> None:
    """Nothing is done twice, and the saga is the same, whichever the worker sees first."""
    rigged = rig(clerk())
    rigged.feed(TripRequested("t"))
    doings: dict[str, Callable[[], Any]] = {
        "change": lambda: changed(rigged, more=HOUR),
        "outcome": lambda: rigged.append(HotelBooked("t")),
    }
    for each in order:
        doings[each]()
    rigged.settle()
    assert rigged.due_in() is None
    assert rigged.saga() == rigged.saga_in_memory()
    holds(rigged)


def test_the_owner_of_the_partition_does_what_another_process_has_changed(
    empty_store: str, tmp_path: Path
) -> None:
    """Replicas go on beside it; each has its sagas, and forgets what it had in memory of them."""
    many = Replicas(tmp_path, empty_store, lambda: clerk(Untraced()))
    try:
        many.start(2)
        first, second, third = on(0)[0], on(1)[0], on(2)[0]
        many.feed(TripRequested, [first, second, third])
        with closing(open_store(empty_store)) as store:
            for saga_id, more in ((first, HOUR), (second, 0)):
                wanted = Change("ada", "they called", more)
                change(store, SagaKey(saga_id, "trip"), LATE, wanted, many.rig.clock.now())
        many.rig.clock.advance(90)
        many.settle()
        assert late(many) == {third}
        many.expel(many.owner_of(first))
        many.rig.clock.advance(3600)
        many.settle()
        assert late(many) == {first, third}
        assert set(many.published().values()) == {1}
        many.check_chains([first, second, third])
        memory = many.owner_of(second).worker._processor.instances
        role = many.rig.participant.roles()["trip"]
        assert memory.get(role, second).deadlines == {LATE: "over"}
    finally:
        many.close()


class Untraced(Script):
    """Does nothing in the database."""

    def __call__(self, ctx: Context) -> None:
        self.calls.append(ctx)


def late(many: Replicas) -> set[str]:
    """Return the sagas whose step has timed out."""
    return {each.saga_id for _, each in many.rig.records() if each.outcome == "timed_out"}


def test_the_stores_of_postgresql_hold_the_same(
    postgresql: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row by row."""
    monkeypatch.setenv("CHOREO_TEST_POSTGRESQL", postgresql)
    found = []
    for store in ("sqlite", "postgresql"):
        monkeypatch.setenv("STORE", store)
        rigged = Rig(clerk(), tmp_path)
        rigged.open()
        rigged.feed(TripRequested("t"))
        changed(rigged, more=HOUR)
        changed(rigged)
        holds(rigged)
        rigged.clock.advance(7200)
        rigged.settle()
        found.append([entry._replace(payload=None) for entry in rigged.history()])
        rigged.close()
    assert found[0] == found[1]
    assert found[0][-1].kind == "revoked"


@pytest.mark.parametrize("seconds", [SECOND, timedelta(minutes=9)])
def test_a_retry_of_its_handler_goes_on_as_before(rig: Rigs, seconds: timedelta) -> None:
    """After an extension, too: attempts are counted from the first one."""
    script = Script([ConnectionError(), None])
    participant = Participant("clerk", sagas=[trip], prepare=prepare, retry=Retry(attempts=2, delay=seconds))

    @participant.deadline(of="hotel.book", within=MINUTE)
    def hotel_is_late(event: TripRequested, ctx: Context) -> HotelLate:
        script(ctx)
        return HotelLate(event.trip)

    rigged = rig(participant)
    rigged.feed(TripRequested("t"))
    changed(rigged, more=HOUR)
    rigged.clock.advance(3660)
    rigged.settle()
    rigged.clock.advance(seconds.total_seconds())
    rigged.settle()
    assert rigged.published() == [HotelLate("t")]
    assert [ctx.attempt for ctx in script.calls] == [1, 2]
    rigged.feed(TripCancelled("t"))
    holds(rigged)
