"""A store that lived through several releases is folded by what was in force when each row was written."""

from __future__ import annotations

import os
import random
from dataclasses import replace
from typing import Any

import pytest

from choreo.graph import derive
from choreo.participant import Participant
from choreo.release import declared
from choreo.release.in_force import role_in
from choreo.replay.stored_saga import stored_sagas
from examples.bank import destination, source
from examples.travel import agency, car, flight, hotel
from tests.worker.conftest import Rigs
from tests.worker.rig import Rig
from tests.worker.test_facts import FEEDS, Declared

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
