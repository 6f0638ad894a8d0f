"""Django's ORM in a handler, on the connection of the turn, on either database."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, connections, models, transaction

from choreo import Context
from choreo.errors import ConfigurationError
from tests.client import sessions
from tests.worker.conftest import Rigs
from tests.worker.rig import Rig
from tests.worker.test_sessions import Use, hotel, outcome
from tests.worker.trip import HotelBooked, HotelFull

AT = datetime(2026, 11, 29, 12, 30, tzinfo=UTC)
TABLE = (
    "create table if not exists bookings (number integer primary key, guest text not null, at {} not null, "
    "price decimal(10, 2) not null, notes {} not null)"
)


class Booking(models.Model):
    number = models.IntegerField(primary_key=True)
    guest = models.CharField(max_length=100)
    at = models.DateTimeField(default=AT)
    price = models.DecimalField(max_digits=10, decimal_places=2, default=Decimal("9.50"))
    notes = models.JSONField(default=dict)

    class Meta:
        """Its place in the database."""

        app_label = "hotel"
        db_table = "bookings"


def _declared(alias: str, engine: str) -> str:
    """Declare an alias; its own database can't be reached."""
    database = {
        "ENGINE": f"django.db.backends.{engine}",
        "NAME": "/nowhere/at/all",
        "HOST": "127.0.0.1",
        "PORT": 1,
    }
    made = connections.configure_settings({"default": {}, alias: database})
    connections.settings[alias] = made[alias]
    return alias


ALIASES = {"SQLite": _declared("in-file", "sqlite3"), "PostgreSQL": _declared("on-server", "postgresql")}
Make = Callable[[Use], Rig]


@pytest.fixture(params=ALIASES)
def alias(request: pytest.FixtureRequest) -> str:
    return ALIASES[request.param]


@pytest.fixture
def make(request: pytest.FixtureRequest, rig: Rigs, alias: str, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Return a function that opens the hotel's worker on a new store."""
    is_file = alias == ALIASES["SQLite"]
    if is_file:
        monkeypatch.setenv("STORE", "sqlite")

    def opened(use: Use) -> Rig:
        participant = hotel(use, alias)
        kinds = ("text", "text") if is_file else ("timestamptz", "jsonb")
        participant.prepare = lambda db: db.execute(TABLE.format(*kinds))
        rigged = rig(participant, opened=False)
        if not is_file:
            rigged.path = request.getfixturevalue("empty_store")
            rigged.path = f"{rigged.path}&options=-ctimezone%3DAsia/Tokyo"
        rigged.open()
        return rigged

    return opened


def bookings(rigged: Rig) -> list[tuple[int, str]]:
    found = rigged.store.db.execute("select number, guest from bookings order by number").fetchall()
    return [tuple(row) for row in found]


def test_what_the_orm_writes_is_committed_with_the_event(make: Make, alias: str) -> None:
    """Values of all kinds come back as they were; a part is undone by ``atomic()``, also a durable one."""
    seen: list[Any] = []

    def use(ctx: Context) -> None:
        mine = Booking.objects.using(alias)
        mine.create(number=1, guest="ada", notes={"late": True})
        ctx.db.execute("update bookings set guest = 'adam' where number = 1")
        found = mine.get(number=1)
        seen.append((found.guest, found.at, found.price, found.notes))
        seen.append(mine.filter(at__year=2026, notes__late=True).count())
        with pytest.raises(IntegrityError), transaction.atomic(using=alias):  # noqa: PT012
            mine.create(number=2, guest="bob")
            mine.create(number=1, guest="eve")
        with transaction.atomic(using=alias, durable=True):
            mine.bulk_create([Booking(number=number, guest="carl") for number in (3, 4)])
        assert [each.number for each in mine.order_by("number").iterator()] == [1, 3, 4]
        assert ctx.session is connections[alias]

    rigged = make(use)
    assert outcome(rigged) is HotelBooked
    assert bookings(rigged) == [(1, "adam"), (3, "carl"), (4, "carl")]
    assert seen == [("adam", AT, Decimal("9.50"), {"late": True}), 1]


def test_a_handler_that_raises_leaves_nothing(make: Make, alias: str) -> None:
    """Nor anything for the next one's, of whatever it was in."""
    calls: list[str] = []

    def use(ctx: Context) -> None:
        calls.append(ctx.saga_id)
        Booking.objects.using(alias).create(number=1, guest=ctx.saga_id)
        if len(calls) == 1:
            transaction.atomic(using=alias).__enter__()
            Booking.objects.using(alias).create(number=1, guest="eve")

    rigged = make(use)
    assert [outcome(rigged), outcome(rigged, "s2")] == [HotelFull, HotelBooked]
    assert bookings(rigged) == [(1, "s2")]


_CONTROLS: dict[str, Callable[[str], Any]] = {
    "commit": lambda alias: transaction.commit(using=alias),
    "rollback": lambda alias: transaction.rollback(using=alias),
    "set_rollback": lambda alias: transaction.set_rollback(True, using=alias),
    "on_commit": lambda alias: transaction.on_commit(lambda: None, using=alias),
    "close": lambda alias: connections[alias].close(),
    "COMMIT in SQL": lambda alias: connections[alias].cursor().execute("COMMIT"),
}


@pytest.mark.parametrize("control", _CONTROLS)
def test_it_neither_commits_nor_rolls_back(make: Make, alias: str, control: str) -> None:
    """Whoever tries has failed for good; the next one goes on."""
    calls: list[str] = []

    def use(ctx: Context) -> None:
        calls.append(ctx.saga_id)
        Booking.objects.using(alias).create(number=len(calls), guest="ada")
        if len(calls) == 1:
            _CONTROLS[control](alias)

    rigged = make(use)
    assert [outcome(rigged), outcome(rigged, "s2")] == [HotelFull, HotelBooked]
    assert bookings(rigged) == [(2, "ada")]


def test_outside_of_a_handler_the_alias_is_the_services_own(make: Make, alias: str) -> None:
    """After one that returned, and one that raised."""
    before = connections[alias]
    rigged = make(lambda ctx: None)
    outcome(rigged)
    assert connections[alias] is before
    assert before.connection is None


def test_an_alias_that_can_not_be_used_is_refused(rig: Rigs, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that there is not, and one of another kind of database."""
    monkeypatch.setenv("STORE", "sqlite")
    for name, said in (
        ("nobody", "no alias"),
        (ALIASES["PostgreSQL"], "is a database of postgresql, the store one of sqlite"),
    ):
        with pytest.raises(ConfigurationError, match=said):
            rig(hotel(lambda ctx: None, name))


assert sessions.WAYS  # it sets Django up
