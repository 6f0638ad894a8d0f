"""A store that lived through several releases is folded by what was in force when each row was written."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from choreo.graph import derive
from choreo.participant import Participant
from choreo.ports import Store
from choreo.protocol import Instance
from choreo.records import Release
from choreo.release import declared
from choreo.release.in_force import role_in
from choreo.replay.rebuild import rebuild
from choreo.replay.stored_saga import stored_sagas
from choreo.worker.instances import stored_instance
from examples.bank import destination, source
from examples.travel import agency, car, flight, hotel
from tests.replay.memory_topics import MemoryTopics
from tests.stores import open_store
from tests.worker.conftest import Rigs
from tests.worker.rig import Rig
from tests.worker.test_facts import FEEDS, Declared
from tests.worker.trip import FlightBooked, TripRequested

PARTICIPANTS = (agency.agency, car.car, flight.flight, hotel.hotel, source.source, destination.destination)


@pytest.mark.parametrize("participant", PARTICIPANTS, ids=lambda each: each.name)
def test_a_role_comes_back_from_its_release(participant: Participant) -> None:
    """As the worker had it, without its code and without the lock of that day."""
    derive(PARTICIPANTS[:4])
    manifest = declared(participant, {})
    for name, role in participant.roles().items():
        assert role_in(manifest, name, role.contract.version) == role


def handlers_of(releases: list[Declared]) -> set[str]:
    """Return the names of all steps, observers and deadlines of some releases."""
    handlers = [each for release in releases for each in release.participant({}).handlers]
    return {each.known_as for each in handlers if each.task != "compensation"}


def lived(rig: Rigs, chance: random.Random, releases: list[Declared]) -> Rig:
    """Let a saga go through several releases, with retries under way and events at any time."""
    errors: dict[str, int] = {}
    shop = rig(releases[0].participant(errors), opened=False)
    left: list[Any] = [*chance.sample(FEEDS[1:], 3)]
    shop.append(FEEDS[0])
    for number, release in enumerate(releases):
        errors.update({what: chance.choice((0, 0, 1)) for what in ("book", "cancel", "FlightBooked")})
        shop.options = replace(shop.options, retire=tuple(handlers_of(releases[:number])))
        shop.participant = release.participant(errors)
        shop.begin()
        for _ in range(chance.randrange(1, 6)):
            if left and chance.random() < 0.3:
                shop.append(left.pop())
            shop.worker.turn()
            shop.clock.advance(chance.choice((0, 0, 1.5)))
        if number < len(releases) - 1:
            shop.close()
    return shop


SEEDS = range(1_000 if os.environ.get("CHOREO_FUZZ") else 10)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_log_written_by_several_releases_holds_together(rig: Rigs, seed: int) -> None:
    """No row is taken for damage because today's declarations would have decided otherwise."""
    chance = random.Random(seed)
    releases = [Declared.at(chance) for _ in range(3)]
    shop = lived(rig, chance, releases)
    with shop.store.turn():
        for saga in stored_sagas(shop.participant, shop.store, "s1"):
            rows = [each for each in saga.differences() if each.row]
            assert rows == []
            assert saga.replay.saga.step("hotel.book").state == shop.saga_in_memory().step("hotel.book").state


def rebuilt(shop: Rig, path: Path, releases: Sequence[Release]) -> Store:
    """Rebuild the store of a rig from its topic."""
    store = open_store(path)
    rebuild(shop.participant, store, MemoryTopics(shop.broker, shop.participant), 0, releases=releases)
    return store


def own_facts(saga: Instance) -> tuple[Any, ...]:
    """Return what the topic knows of a saga: of an attempt under way, nothing."""
    step = saga.step("hotel.book")
    known = (step.state, step.result) if step.state in ("completed", "failed", "compensated") else ()
    return known, saga.types, saga.outcomes, saga.compensated, saga.state


@pytest.mark.parametrize("seed", SEEDS)
def test_a_lost_store_of_several_releases_is_rebuilt(rig: Rigs, tmp_path: Path, seed: int) -> None:
    """Each record by the release that folded it; sagas in flight go on."""
    chance = random.Random(seed)
    shop = lived(rig, chance, [Declared.at(chance) for _ in range(3)])
    while shop.store.unpublished(0, 1):
        shop.worker.turn()
    known = list(shop.store.releases())
    while shop.worker.turn():
        pass
    before = own_facts(shop.saga_in_memory())
    with closing(rebuilt(shop, tmp_path / "rebuilt.db", known)) as store:
        after = own_facts(stored_instance(store, shop.participant.roles_by_version(), "trip", "s1"))
        assert after == before
        assert [each.digest for each in store.releases()] == [each.digest for each in known]
        assert {letter.reason for letter in store.dead_letters()} <= {"incomplete-history", "lost"}
    shop.close()
    shop.path = tmp_path / "rebuilt.db"
    shop.open()
    for event in FEEDS:
        shop.feed(event)
    assert not any(letter.reason == "foreign-outcome" for letter in shop.letters())


def test_a_release_of_which_only_the_time_is_known_begins_at_that_time(rig: Rigs, tmp_path: Path) -> None:
    """At the first record of each partition that is not older."""
    chance = random.Random(1)
    before, after = Declared.at(chance), Declared.at(chance)
    shop = rig(before.participant({}))
    shop.feed(TripRequested("t"))
    shop.close()
    shop.clock.advance(60)
    shop.participant = after.participant({})
    shop.open()
    shop.feed(FlightBooked("t"))
    first, second = shop.store.releases()
    with closing(rebuilt(shop, tmp_path / "rebuilt.db", [first, second._replace(after=-1)])) as store:
        assert [each.positions for each in store.releases()][1] == second.positions
        logs = store.history("s1"), shop.history()
        events = [[row.event_id for row in rows if row.input == "event"] for rows in logs]
        assert events[0] == events[1]
