"""A release that lacks what sagas in flight need is refused, or gives it up as dead letters."""

from __future__ import annotations

import os
import random
import re
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import reduce
from itertools import combinations, permutations
from operator import or_
from typing import Any, Literal

import pytest

from choreo import Aborted, Context, Participant, Retry, all_of
from choreo.errors import ConfigurationError, ReleaseRefused
from choreo.events import event_name
from choreo.outcome import COMPENSATABLE
from choreo.protocol import Role
from choreo.records import DeadLetter, SagaKey
from choreo.release import declared_in
from choreo.replay.newly_declared import missed_in
from choreo.worker.dead_letters import settle
from tests.stores import open_store
from tests.worker.conftest import Rigs
from tests.worker.rig import Rig
from tests.worker.services import SECOND, Script, agency, prepare
from tests.worker.trip import (
    FlightBooked,
    FlightFull,
    FlightLate,
    HotelBooked,
    HotelCancelled,
    HotelFull,
    TripBooked,
    TripCancelled,
    TripRequested,
    trip,
)

WATCHED = (TripRequested, FlightBooked, HotelBooked)
"""What an observer takes."""


@dataclass(frozen=True)
class Declared:
    """One release of the hotel: what its functions are called, and which of them it has.

    ``formerly`` are the former names of the booking.
    """

    book: str = "book"
    kind: Literal["compensatable", "pivot", ""] = "compensatable"
    look: str = ""
    late: str = ""
    formerly: tuple[str, ...] = ()

    def participant(self, script: Script | None = None, watch: Script | None = None) -> Participant:
        """Return the participant of this release."""
        declared = Participant("hotel", sagas=[trip], prepare=prepare, retry=Retry(attempts=2, delay=SECOND))
        booking, watching = script or Script(), watch or Script()

        def book(event: TripRequested, ctx: Context) -> HotelBooked | HotelFull:
            booking(ctx)
            return HotelBooked(event.trip)

        def cancel(event: FlightFull | Aborted, booked: HotelBooked, ctx: Context) -> HotelCancelled:
            booking(ctx)
            return HotelCancelled(booked.trip)

        def look(event: HotelBooked | FlightBooked | FlightFull, ctx: Context) -> None:
            watching(ctx)

        def late(event: TripRequested, ctx: Context) -> FlightLate:
            return FlightLate("t")

        for function, name in ((book, self.book), (look, self.look), (late, self.late)):
            function.__name__ = function.__qualname__ = name
        self._declare(declared, book, cancel, look, late)
        return declared

    def _declare(self, declared: Participant, book: Any, cancel: Any, look: Any, late: Any) -> None:
        if self.kind:
            declared.action(fails=HotelFull, kind=self.kind, formerly=self.formerly)(book)
        if self.kind == COMPENSATABLE:
            declared.compensation(of=book)(cancel)
        if self.look:
            declared.observer(look)
        if self.late:
            declared.deadline(of="flight.fly", within=timedelta(hours=1))(late)


def release(rigged: Rig, new: Declared | Participant, *retire: str) -> Rig:
    """Replace the worker by that of another release."""
    rigged.close()
    rigged.participant = new.participant() if isinstance(new, Declared) else new
    rigged.options = replace(rigged.options, retire=retire)
    rigged.open()
    return rigged


def refused(rigged: Rig, new: Declared) -> ReleaseRefused:
    """Return the error of a release."""
    with pytest.raises(ReleaseRefused) as error:
        release(rigged, new)
    return error.value


def open_letters(rigged: Rig) -> list[DeadLetter]:
    return [letter for letter in rigged.letters() if letter.state == "open"]


def ask(rigged: Rig, how: Literal["requeued", "discarded"]) -> None:
    """Settle the open letters, as another process would, and let the worker react."""
    with closing(open_store(rigged.path)) as store:
        for letter in open_letters(rigged):
            assert settle(store, letter, how, "by hand", rigged.clock.now())
    rigged.settle()


def booked(rig: Rigs, declared: Declared | None = None) -> Rig:
    """Let a saga's booking be done by a release."""
    rigged = rig((declared or Declared()).participant())
    rigged.feed(TripRequested("t"))
    assert rigged.published() == [HotelBooked("t")]
    return rigged


def test_each_release_is_kept_with_its_declarations(rig: Rigs) -> None:
    """One row for each that differs, whatever the starts; from the entry and the offset where it began."""
    rigged = booked(rig)
    rigged.restart()
    assert len(rigged.store.releases()) == 1
    release(rigged, Declared(look="look"))
    first, second = rigged.store.releases()
    assert (first.after, dict(first.positions)) == (0, {})
    assert second.after == rigged.store.last_entry("s1")
    assert dict(second.positions) == dict(rigged.store.positions())
    assert [each.name for each in declared_in(second).handlers] == [
        "hotel.book",
        "hotel.cancel",
        "hotel.look",
    ]


def test_what_changed_is_said_in_one_line(rig: Rigs, caplog: pytest.LogCaptureFixture) -> None:
    """Once, at the start of the release; nothing at a start without a change."""
    rigged = booked(rig, Declared(look="look"))
    with caplog.at_level("INFO", "choreo.worker"):
        release(rigged, Declared(book="reserve", formerly=("book",), look="look", late="late"))
        rigged.restart()
    said = [each.getMessage() for each in caplog.records if "release" in each.getMessage()]
    assert said == [
        "hotel: release: book renamed to reserve, late is new",
        "hotel: release: hotel.late is new: 1 saga in flight is past what calls it, and goes on without it "
        "(hint: choreo releases apply hotel.late)",
    ]


def test_a_rename_without_formerly_is_refused_with_the_list(rig: Rigs) -> None:
    """Step, what is needed, how many sagas, the oldest; and the hint names what it seems to be called now."""
    rigged = booked(rig)
    rigged.clock.advance(3 * 3600)
    rigged.feed(TripRequested("u"), saga_id="s2")
    error = refused(rigged, Declared(book="reserve"))
    assert error.exit_code == 2
    assert "hotel.book (its compensation: 2 sagas, the oldest s1, begun 3 h ago)" in error.message
    assert "is hotel.reserve what hotel.book was? then declare it with formerly='book'" in error.hint
    assert "--retire hotel.book" in error.hint


def test_a_refused_start_changes_nothing(rig: Rigs) -> None:
    """The worker of before goes on beside it, and is not fenced."""
    rigged = booked(rig)
    before = rigged.store.db.execute("select claimed_by from choreo_store").fetchone()
    running, store = rigged.worker, rigged.store
    rigged._worker = None
    rigged.participant = Declared(book="reserve").participant()
    with pytest.raises(ReleaseRefused):
        rigged.open()
    rigged.close()
    assert store.db.execute("select claimed_by from choreo_store").fetchone() == before
    assert len(store.releases()) == 1
    running.turn()
    store.close()


def test_with_formerly_the_saga_goes_on(rig: Rigs) -> None:
    """Its compensation is called, as if nothing had been renamed."""
    rigged = release(booked(rig), Declared(book="reserve", formerly=("book",)))
    rigged.feed(FlightFull("t", "full"))
    assert rigged.published()[1:] == [HotelCancelled("t")]
    assert not rigged.letters()


@pytest.mark.parametrize("new", [Declared(kind=""), Declared(kind="pivot")], ids=["gone", "pivot"])
def test_a_retired_compensation_is_done_by_hand(rig: Rigs, new: Declared) -> None:
    """A letter says so; discarded, it publishes what would have been, by the schemas of before."""
    rigged = release(booked(rig), new, "book")
    (letter,) = open_letters(rigged)
    assert (letter.reason, letter.task, letter.name) == ("retired", "compensation", "hotel.book")
    assert rigged.store.newest_release().retired == ("hotel.book",)  # type: ignore[union-attr]
    ask(rigged, "discarded")
    (again,) = open_letters(rigged)
    assert again.detail == "the saga goes on: nothing calls for its compensation yet"
    rigged.feed(FlightFull("t", "full"))
    assert rigged.published() == [HotelBooked("t")]
    ask(rigged, "discarded")
    assert rigged.published() == [HotelBooked("t"), HotelCancelled("t", "by hand")]
    assert not open_letters(rigged)
    assert next(row.note for row in rigged.history() if row.new_state == "compensated") == "by hand"
    release(rigged, Declared())
    assert rigged.state("hotel.book") == "compensated"
    assert len(rigged.published()) == 2


def test_a_saga_that_completes_needs_no_retired_compensation(rig: Rigs) -> None:
    """Its letter is only closed."""
    rigged = release(booked(rig), Declared(kind=""), "hotel.book")
    rigged.feed(FlightBooked("t"), TripBooked("t"))
    ask(rigged, "discarded")
    assert rigged.published() == [HotelBooked("t")]
    assert not open_letters(rigged)


@pytest.mark.parametrize("called", ["before", "meanwhile", "later"])
def test_a_release_that_is_rolled_back_finds_its_letters(rig: Rigs, called: str) -> None:
    """The step is there again: what called its compensation meanwhile is made good by a requeue."""
    script = Script([None], last=ConnectionError("down"))
    rigged = rig(Declared().participant(script))
    rigged.feed(TripRequested("t"))
    if called == "before":
        rigged.feed(FlightFull("t", "full"))
    release(rigged, Declared(kind="", look="look"), "book")
    if called == "meanwhile":
        rigged.feed(FlightFull("t", "full"))
    ask(rigged, "requeued")
    assert [letter.detail for letter in open_letters(rigged)] == ["the service has no hotel.book"]
    release(rigged, Declared())
    ask(rigged, "requeued")
    if called == "later":
        rigged.feed(FlightFull("t", "full"))
    assert rigged.published() == [HotelBooked("t"), HotelCancelled("t")]
    assert not open_letters(rigged)


@pytest.mark.parametrize("how", ["requeued", "discarded"])
def test_a_retired_attempt_waits_for_a_hand(rig: Rigs, how: Literal["requeued", "discarded"]) -> None:
    """Discarded it has failed; requeued by a release that has it again, it runs."""
    rigged = rig(Declared().participant(Script(last=ConnectionError("down"))))
    rigged.feed(TripRequested("t"))
    assert "an attempt" in refused(rigged, Declared(kind="")).message
    release(rigged, Declared(kind=""), "book")
    assert [letter.task for letter in open_letters(rigged)] == ["action"]
    if how == "requeued":
        release(rigged, Declared())
    ask(rigged, how)
    done = {"requeued": HotelBooked("t"), "discarded": HotelFull("t", "by hand")}
    assert rigged.published() == [done[how]]
    assert not open_letters(rigged)


def test_each_event_that_waits_at_a_retired_observer_is_kept(rig: Rigs) -> None:
    """And handled, in order, where a release has it again."""
    rigged = rig(Declared(look="look").participant(watch=Script(last=ConnectionError("down"))))
    rigged.feed(TripRequested("t"), FlightBooked("t"))
    assert "hotel.look (an event that waits for it: 1 saga" in refused(rigged, Declared()).message
    release(rigged, Declared(), "look")
    assert [letter.task for letter in open_letters(rigged)] == ["observer"] * 2
    watch = Script()
    release(rigged, Declared(look="look").participant(watch=watch))
    assert not watch.calls
    ask(rigged, "requeued")
    assert len(watch.calls) == 2
    assert not open_letters(rigged)


def test_an_armed_deadline_that_is_retired_is_kept(rig: Rigs) -> None:
    """It passes in silence no more than anything else."""
    rigged = booked(rig, Declared(late="late"))
    assert "hotel.late (an armed deadline: 1 saga" in refused(rigged, Declared()).message
    release(rigged, Declared(), "hotel.late")
    assert [letter.task for letter in open_letters(rigged)] == ["deadline"]
    release(rigged, Declared(late="late"))
    ask(rigged, "requeued")
    assert rigged.published() == [HotelBooked("t"), FlightLate("t")]


def test_what_was_retired_stays_so(rig: Rigs) -> None:
    """A later release that does not have it either is not refused again; one after it came back is."""
    rigged = release(booked(rig), Declared(kind=""), "book")
    release(rigged, Declared(kind="", look="look"))
    assert rigged.store.newest_release().retired == ("hotel.book",)  # type: ignore[union-attr]
    release(rigged, Declared(look="look"))
    assert rigged.store.newest_release().retired == ()  # type: ignore[union-attr]
    rigged.feed(TripRequested("u"), saga_id="s2")
    assert "1 saga, the oldest s2" in refused(rigged, Declared(kind="", look="look")).message


def test_a_letter_of_a_step_that_goes_is_not_forgotten(rig: Rigs) -> None:
    """It stays the letter that it was."""
    rigged = rig(Declared().participant(Script([None], last=ConnectionError("down"))))
    rigged.feed(TripRequested("t"))
    rigged.feed(FlightFull("t", "full"))
    rigged.clock.advance(60)
    rigged.settle()
    assert [letter.reason for letter in open_letters(rigged)] == ["gave-up"]
    assert "hotel.book (a dead letter: 1 saga" in refused(rigged, Declared(kind="")).message
    release(rigged, Declared(kind=""), "book")
    assert [letter.reason for letter in open_letters(rigged)] == ["gave-up"]
    release(rigged, Declared(kind="", look="look"))
    ask(rigged, "discarded")
    assert rigged.published() == [HotelBooked("t"), HotelCancelled("t", "by hand")]


@pytest.mark.parametrize("started", [False, True])
def test_a_name_to_retire_that_never_was_is_a_mistake(rig: Rigs, started: bool) -> None:
    """Whether anything has changed or not; the hint names the one that is meant."""
    rigged = booked(rig)
    with pytest.raises(ConfigurationError, match="--retire bok: hotel has had no such") as error:
        release(rigged, Declared() if started else Declared(kind=""), "bok")
    assert error.value.hint == "did you mean 'hotel.book'?"


def test_a_name_may_be_retired_that_nothing_needs(rig: Rigs) -> None:
    """So a script that deploys can say it for all participants, and again at each start."""
    rigged = rig(Declared().participant())
    release(rigged, Declared(kind=""), "book")
    rigged.restart()
    release(rigged, Declared(), "book")
    assert rigged.store.newest_release().retired == ()  # type: ignore[union-attr]


def test_the_compensation_of_a_start_is_needed_like_any_other(rig: Rigs) -> None:
    """The start is a step, too."""
    rigged = rig(agency())
    with rigged.participant.transaction() as tx:
        tx.start(TripRequested("t"), saga_id="s1")
    rigged.settle()
    onlooker = Participant("agency", sagas=[trip], prepare=prepare)

    @onlooker.observer
    def look(event: TripBooked, ctx: Context) -> None:
        """Only look."""

    with pytest.raises(ReleaseRefused, match=r"start \(its compensation: 1 saga, the oldest s1"):
        release(rigged, onlooker)


def forget_releases(rigged: Rig) -> None:
    """Let a store be one of before there were releases."""
    with rigged.store.turn():
        rigged.store.db.execute("delete from releases")


def test_a_store_of_before_is_compared_by_its_rows(rig: Rigs) -> None:
    """It says which step is done, and of which kind it was when it was done."""
    rigged = booked(rig)
    forget_releases(rigged)
    assert "hotel.book (its compensation: 1 saga" in refused(rigged, Declared(book="reserve")).message
    release(rigged, Declared())


def test_a_store_of_before_needs_nothing_of_what_succeeded_for_good(rig: Rigs) -> None:
    """A pivot has no compensation."""
    rigged = booked(rig, Declared(kind="pivot"))
    forget_releases(rigged)
    release(rigged, Declared(kind="", look="look"))


@pytest.mark.parametrize("kind", ["pivot", "compensatable"])
def test_a_success_that_has_not_come_back_is_of_the_kind_of_today(rig: Rigs, kind: Any) -> None:
    """Of a store of before nothing else is known; a step that is gone altogether is needed."""
    rigged = rig(Declared(kind=kind).participant(), opened=False)
    rigged.append(TripRequested("t"))
    rigged.begin()
    while not rigged.history()[1:]:
        rigged.worker.turn()
    assert [row.input for row in rigged.history()] == ["event", "ended"]
    forget_releases(rigged)
    assert "hotel.book (its compensation: 1 saga" in refused(rigged, Declared(kind="", look="look")).message
    rigged.close()
    rigged.participant = Declared(kind="pivot").participant()
    rigged.begin()
    assert len(rigged.store.releases()) == 1


def test_a_damaged_release_stops_nobody(rig: Rigs) -> None:
    """The rows say enough."""
    rigged = booked(rig)
    with rigged.store.turn():
        rigged.store.db.execute("update releases set manifest = 'nonsense', digest = ''")
    assert "hotel.book (its compensation: 1 saga" in refused(rigged, Declared(book="reserve")).message
    release(rigged, Declared())


# The property


def needed_by(role: Role, rigged: Rig, saga_ids: Iterable[str], new: Declared) -> set[tuple[str, str]]:
    """Return the saga and name of what a release lacks, as the sagas fold by the role of before."""
    now = {(each.task, each.known_as) for each in new.participant().handlers}
    found = set()
    for saga_id in saga_ids:
        saga = rigged.saga_in_memory(saga_id)
        for step, progress in saga.steps.items():
            undone = role.action[step].kind == COMPENSATABLE and progress.state == "completed"
            if progress.activity != "idle" and progress.state in ("pending", "executing"):
                found |= {(saga_id, step)} - {(saga_id, name) for task, name in now if task == "action"}
            elif progress.state == "compensating" or (undone and not saga.is_at_rest):
                found |= {(saga_id, step)} - {(saga_id, name) for task, name in now if task == "compensation"}
        waiting = [("observer", name) for name, events in saga.observers.items() if events]
        waiting += [("deadline", name) for name, state in saga.deadlines.items() if state == "armed"]
        letters = rigged.store.letters_of(saga_id, "trip")
        waiting += [(each.task, each.name) for each in letters if each.state == "open"]
        found |= {(saga_id, name) for task, name in waiting if (task, name) not in now}
    return found


SEEDS = range(2_000 if os.environ.get("CHOREO_FUZZ") else 25)


def picked(chance: random.Random) -> Declared:
    """Return one release of all."""
    return Declared(
        chance.choice(("book", "book", "reserve")),
        chance.choice(("compensatable", "compensatable", "pivot", "")),
        chance.choice(("", "look", "watch")),
        chance.choice(("", "late")),
    )


def lived(rig: Rigs, old: Declared, chance: random.Random) -> tuple[Rig, list[str]]:
    """Let a few sagas come to some point under a release."""
    fails: Callable[[], Script] = lambda: Script(  # noqa: E731
        [chance.choice((None, None, ConnectionError("down"))) for _ in range(12)]
    )
    rigged = rig(old.participant(fails(), fails()))
    saga_ids = [f"s{number}" for number in range(chance.randrange(1, 4))]
    later: list[Any] = [FlightBooked("t"), FlightFull("t", "full"), TripCancelled("t"), TripBooked("t")]
    for saga_id in saga_ids:
        for event in [TripRequested("t"), *chance.sample(later, chance.randrange(3))]:
            rigged.append(event, saga_id)
            for _ in range(chance.randrange(3)):
                rigged.worker.turn()
                rigged.clock.advance(chance.choice((0, 0, 1.5)))
    while not rigged.worker.is_live:
        rigged.worker.turn()
    return rigged, saga_ids


@pytest.mark.parametrize("seed", SEEDS)
def test_a_start_is_refused_exactly_where_something_needed_is_gone(rig: Rigs, seed: int) -> None:
    """The list is what the role of before says; retired, the letters are; and a second start is quiet."""
    chance = random.Random(seed)
    old, new = picked(chance), picked(chance)
    rigged, saga_ids = lived(rig, old, chance)
    # Rows do not tell a pivot whose success has not come back.
    if chance.random() < 0.2 and "pivot" not in (old.kind, new.kind):
        forget_releases(rigged)
    needed = needed_by(old.participant().roles()["trip"], rigged, saga_ids, new)
    if not needed:
        release(rigged, new)
        return
    message = refused(rigged, new).message
    names = {"book", "reserve", "look", "watch", "late"}
    assert {name for name in names if f"hotel.{name} (" in message} == {name[6:] for _, name in needed}
    release(rigged, new, *{name for _, name in needed})
    kept = open_letters(rigged)
    assert needed == {(letter.saga_id, letter.name) for letter in kept} & needed
    retired = [(letter.saga_id, letter.name) for letter in kept if letter.reason == "retired"]
    assert set(retired) <= needed
    rigged.restart()
    assert open_letters(rigged) == kept


def either(events: tuple[Any, ...]) -> Any:
    return reduce(or_, events)


def watching(takes: Any, watch: Script, seen: list[type]) -> Participant:
    """Return a release of which the observer takes some events."""
    hotel = Participant("hotel", sagas=[trip], prepare=prepare, retry=Retry(attempts=9, delay=SECOND))

    def look(event: Any, ctx: Context) -> None:
        watch(ctx)
        seen.append(type(event))

    look.__annotations__["event"] = takes
    hotel.observer(look)
    return hotel


def test_a_widened_observer_takes_what_comes_from_then_on(rig: Rigs) -> None:
    """Not what came before, behind an event that waits for it: that was kept by its headers only."""
    watch, seen = Script([ConnectionError("away")]), list[type]()
    rigged = rig(watching(TripRequested, watch, seen))
    rigged.feed(TripRequested("t"))
    rigged.feed(FlightBooked("t"))
    release(rigged, watching(TripRequested | FlightBooked | HotelBooked, watch, seen))
    rigged.feed(HotelBooked("t"))
    rigged.clock.advance(2)
    rigged.settle()
    assert seen == [TripRequested, HotelBooked]
    assert rigged.letters() == []


@pytest.mark.parametrize("takes", [each for size in (1, 2) for each in combinations(WATCHED, size)])
def test_what_an_observer_takes_no_more_waits_until_it_does_again(rig: Rigs, takes: tuple[type, ...]) -> None:
    """Each event is seen once, those that a release in between takes by that one."""
    watch, seen = Script([ConnectionError("away")]), list[type]()
    rigged = rig(watching(either(WATCHED), watch, seen))
    for event in WATCHED:
        rigged.feed(event("t"))
    release(rigged, watching(either(takes), watch, seen))
    rigged.clock.advance(2)
    rigged.settle()
    assert seen == list(takes)
    left = [each for each in WATCHED if each not in takes]
    kept = open_letters(rigged)
    assert [(letter.reason, letter.event_type) for letter in kept] == [
        ("not-taken", event_name(each)) for each in left
    ]
    rigged.restart()
    assert open_letters(rigged) == kept
    release(rigged, watching(either(WATCHED), watch, seen))
    rigged.settle()
    assert seen == [*takes, *left]
    assert open_letters(rigged) == []


CALLS = {
    "T": TripRequested,
    "F": FlightBooked,
    "T | F": TripRequested | FlightBooked,
    "T & F": all_of(TripRequested, FlightBooked),
}


@pytest.mark.parametrize(
    ("task", "before", "today"),
    [
        *(("action", *pair) for pair in permutations(CALLS, 2)),
        *(("observer", *pair) for pair in permutations(CALLS, 2) if "T & F" not in pair),
    ],
)
def test_what_is_past_new_events_is_counted_as_it_would_be_applied(
    rig: Rigs, caplog: pytest.LogCaptureFixture, task: str, before: str, today: str
) -> None:
    """Of a handler that other events call now, as of one that is new: a saga that it was called in is not."""

    def calling(trigger: Any) -> Participant:
        hotel = Participant("hotel", sagas=[trip], prepare=prepare)

        def book(ctx: Context) -> HotelBooked:
            return HotelBooked("t")

        def look(ctx: Context) -> None: ...

        if task == "action":
            hotel.action(kind="retriable", on=trigger)(book)
        else:
            hotel.observer(on=trigger)(look)
        return hotel

    rigged = rig(calling(CALLS[before]))
    for number, events in enumerate(
        ([TripRequested], [TripRequested, FlightBooked], [TripRequested, FlightLate])
    ):
        for event in events:
            rigged.feed(event("t"), saga_id=f"s{number}")
    with caplog.at_level("INFO", "choreo.worker"):
        release(rigged, calling(CALLS[today]))
    manifest = declared_in(rigged.store.releases()[-1])
    name = "hotel.book" if task == "action" else "hotel.look"
    keys = [SagaKey(f"s{number}", "trip") for number in range(3)]
    missed = sum(bool(missed_in(rigged.store, manifest, name, key)) for key in keys)
    said = re.findall(rf"other events call {name} now: (\d+) saga", caplog.text)
    assert said == ([str(missed)] if missed else [])
