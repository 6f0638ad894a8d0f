"""The declarations of a release: they come back from the store, and say by themselves what calls what."""

from __future__ import annotations

import pytest

from choreo.avro import AvroCodec, parse_schema
from choreo.events import event_name
from choreo.graph import derive
from choreo.participant import Participant
from choreo.protocol import Trigger
from choreo.records import Partition
from choreo.release import declared, declared_in, release_of
from choreo.saga import ALL_VERSIONS, Versions
from examples.travel import agency, car, flight, hotel
from tests.scenarios.rolling import shop

PARTICIPANTS = (agency.agency, car.car, flight.flight, hotel.hotel)


@pytest.fixture(autouse=True)
def _derived() -> None:
    derive(PARTICIPANTS)


@pytest.mark.parametrize("participant", PARTICIPANTS, ids=lambda each: each.name)
def test_declarations_come_back_from_their_row(participant: Participant) -> None:
    """And the same ones have the same digest, whenever they are written."""
    today = declared(participant, AvroCodec(participant.events).schemas())
    row = release_of(today, 1000, {Partition("trips", 0): 3}, ["hotel.b", "hotel.a", "hotel.b"])
    again = release_of(declared_in(row), 2000, {})
    assert (again.digest, again.manifest) == (row.digest, row.manifest)
    assert declared_in(row).handlers == today.handlers
    assert row.retired == ("hotel.a", "hotel.b")
    assert (row.since, row.positions) == (1000, {Partition("trips", 0): 3})


@pytest.mark.parametrize("participant", PARTICIPANTS, ids=lambda each: each.name)
def test_what_follows_from_the_choreography_is_in_it(participant: Participant) -> None:
    """So a role can be made of it without the lock of that day."""
    entries = declared(participant, {}).handlers
    for role in participant.roles().values():
        for action in role.actions:
            undos = [each for each in entries if each.task == "compensation" and each.step == action.step]
            assert [each.trigger for each in undos] == [each.trigger for each in action.compensations]


def test_what_follows_in_each_version_is_in_it() -> None:
    """Versions in which the same calls a compensation are one entry; a step that is gone has those it had."""
    everybody = shop(4)
    derive(everybody)
    undos = [each for participant in everybody for each in declared(participant, {}).handlers if each.derived]
    assert {(each.step, each.versions): each.trigger for each in undos} == {
        ("inventory.reserve_inventory", ALL_VERSIONS): any_of("PaymentFailed", "PaymentRefunded"),
        ("inventory.pick_goods", Versions(2)): any_of("ShipmentCancelled", "ShipmentFailed"),
        ("payments.process_payment", Versions(1, 1)): any_of("ShipmentCancelled", "ShipmentFailed"),
        ("payments.process_payment", Versions(2)): any_of("GoodsMissing", "GoodsPutBack"),
        ("shipping.create_shipment", Versions(1, 1)): Trigger(),
        ("shipping.ship_goods", Versions(2)): Trigger(),
    }


def any_of(*events: str) -> Trigger:
    """Return the trigger that any of these events of the shop fulfils."""
    return Trigger.of(*(f"shop.{event}" for event in events))


def test_another_trigger_of_a_compensation_is_another_release() -> None:
    """Also where it follows from what another participant declares."""
    participant, step = hotel.hotel, "hotel.book_room"
    before = release_of(declared(participant, {}), 0, {})
    other = Trigger.of("travel.CarNotAvailable")
    successes = next(each.successes for each in participant.handlers if each.name == step)
    participant.derive("trip-booking", {step: dict.fromkeys(successes, other)})
    assert release_of(declared(participant, {}), 0, {}).digest != before.digest


def test_schemas_are_those_of_its_own_events() -> None:
    """By which bodies of that day are read, and answers are made."""
    codec = AvroCodec({cls for each in PARTICIPANTS for cls in each.events})
    schemas = declared(hotel.hotel, codec.schemas()).schemas
    assert set(schemas) == {event_name(cls) for cls in hotel.hotel.events}
    for entry in schemas.values():
        assert parse_schema(entry.schema).fingerprint == entry.fingerprint


def test_schemas_are_left_out_where_there_is_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """A release that could not be read again would say nothing at all."""
    monkeypatch.setattr("choreo.release.declarations.MAX_BYTES", 10)
    row = release_of(declared(hotel.hotel, AvroCodec(hotel.hotel.events).schemas()), 0, {})
    assert {entry.schema for entry in declared_in(row).schemas.values()} == {None}
    assert all(entry.fingerprint for entry in declared_in(row).schemas.values())
