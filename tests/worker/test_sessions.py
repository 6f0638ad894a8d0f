"""A handler's session of SQLAlchemy's, on the connection of the turn, on either database."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine, event, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import async_sessionmaker
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, scoped_session, sessionmaker

from choreo import Aborted, Context, Participant, Permanent, Retry
from choreo.errors import DeclarationError, TransactionControl
from tests.worker.conftest import Rigs
from tests.worker.rig import Rig
from tests.worker.trip import (
    FlightCancelled,
    FlightFull,
    HotelBooked,
    HotelCancelled,
    HotelFull,
    TripRequested,
    trip,
)


class Base(DeclarativeBase): ...


class Room(Base):
    __tablename__ = "rooms"
    number: Mapped[int] = mapped_column(primary_key=True)
    guest: Mapped[str]


Use = Callable[[Context], Any]


def hotel(use: Use, session: Any = None, **options: Any) -> Participant:
    def prepare(db: Any) -> None:
        db.execute("create table if not exists rooms (number integer primary key, guest text not null)")

    made = sessionmaker() if session is None else session
    participant = Participant("hotel", sagas=[trip], prepare=prepare, session=made, retry=Retry(attempts=1))

    @participant.action(fails=HotelFull, **options)
    def book(event: TripRequested, ctx: Context) -> HotelBooked | HotelFull:
        use(ctx)
        return HotelBooked(event.trip)

    @participant.compensation(of=book)
    def cancel(
        event: FlightFull | FlightCancelled | Aborted, booked: HotelBooked | None, ctx: Context
    ) -> HotelCancelled:
        return HotelCancelled("t")

    return participant


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def make(request: pytest.FixtureRequest, rig: Rigs, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Rig]:
    """Return a function that opens the hotel's worker on a new store."""
    if request.param == "SQLite":
        monkeypatch.setenv("STORE", "sqlite")

    def opened(use: Use, session: Any = None, **options: Any) -> Rig:
        rigged = rig(hotel(use, session, **options), opened=False)
        if request.param == "PostgreSQL":
            rigged.path = request.getfixturevalue("empty_store")
        rigged.open()
        return rigged

    return opened


def rooms(rigged: Rig) -> list[tuple[int, str]]:
    return [
        tuple(row)
        for row in rigged.store.db.execute("select number, guest from rooms order by number").fetchall()
    ]


def outcome(rigged: Rig, saga_id: str = "s1") -> type:
    rigged.feed(TripRequested("t"), saga_id=saga_id)
    return type(rigged.published(saga_id)[-1])


def test_what_it_writes_is_committed_with_the_event(make: Callable[..., Rig]) -> None:
    """Without a flush of the handler's; both ways to the database see each other's rows."""
    seen: list[Any] = []

    def use(ctx: Context) -> None:
        assert ctx.session is ctx.session
        ctx.db.execute("insert into rooms values (1, 'ada')")
        seen.append(ctx.session.get(Room, 1).guest)
        ctx.session.add(Room(number=2, guest="bob"))
        with suppress(IntegrityError), ctx.session.begin_nested():
            ctx.session.execute(text("insert into rooms values (1, 'eve')"))
        ctx.session.get(Room, 1).guest = "adam"
        seen.append(ctx.session)

    rigged = make(use)
    assert outcome(rigged) is HotelBooked
    assert rooms(rigged) == [(1, "adam"), (2, "bob")]
    assert seen[0] == "ada"
    assert not seen[1].in_transaction()
    assert not list(seen[1])


def test_each_attempt_has_a_session_of_its_own(make: Callable[..., Rig]) -> None:
    """One that raises leaves nothing in the database, nor in the next one's session."""
    sessions: list[Session] = []

    def use(ctx: Context) -> None:
        sessions.append(ctx.session)
        assert not ctx.session.new
        assert ctx.session.scalars(select(Room)).all() == []
        ctx.session.add(Room(number=len(sessions), guest="ada"))
        if len(sessions) < 3:
            if len(sessions) == 2:
                ctx.session.flush()
            raise Permanent("no")

    rigged = make(use)
    assert [outcome(rigged, each) for each in ("s1", "s2", "s3")] == [HotelFull, HotelFull, HotelBooked]
    assert rooms(rigged) == [(3, "ada")]
    assert len({id(each) for each in sessions}) == 3


def _block(ctx: Context) -> None:
    with ctx.session.begin():
        ctx.session.add(Room(number=7, guest="ada"))


_CONTROLS: dict[str, Use] = {
    "commit": lambda ctx: ctx.session.commit(),
    "rollback": lambda ctx: ctx.session.rollback(),
    "a block": lambda ctx: _block(ctx),
    "a transaction": lambda ctx: ctx.session.get_transaction().commit(),
    "the connection's commit": lambda ctx: ctx.session.connection().commit(),
    "the connection's rollback": lambda ctx: ctx.session.connection().rollback(),
    "the driver's commit": lambda ctx: ctx.session.connection().connection.driver_connection.commit(),
    "autocommit": lambda ctx: ctx.session.bind.engine.dialect.set_isolation_level(None, "AUTOCOMMIT"),
    "COMMIT in SQL": lambda ctx: ctx.session.execute(text("COMMIT")),
}


_WAYS = [*((control, True) for control in _CONTROLS), ("commit", False), ("rollback", False)]


@pytest.mark.parametrize(("control", "is_caught"), _WAYS)
def test_it_neither_commits_nor_rolls_back(make: Callable[..., Rig], control: str, is_caught: bool) -> None:
    """Whoever tries has failed for good, also where the handler catches that; the next one goes on."""
    calls: list[str] = []

    def use(ctx: Context) -> None:
        calls.append(ctx.saga_id)
        if control != "a block" or len(calls) > 1:
            ctx.session.add(Room(number=len(calls), guest="ada"))
            ctx.session.flush()
        if len(calls) > 1:
            return
        try:
            _CONTROLS[control](ctx)
        except Exception:
            if not is_caught:
                raise

    rigged = make(use)
    assert outcome(rigged) is HotelFull
    assert [outcome(rigged, "s2"), rooms(rigged)] == [HotelBooked, [(2, "ada")]]
    assert calls == ["s1", "s2"]


def test_a_flush_that_fails_is_the_handlers_failure(make: Callable[..., Rig]) -> None:
    """By its own error; caught, it is refused, as the session has dropped what was flushed before."""
    seen: list[Any] = []

    def use(ctx: Context) -> None:
        ctx.session.add(Room(number=len(seen), guest="ada"))
        ctx.session.flush()
        ctx.session.add(Room(number=len(seen), guest=None))
        seen.append(None)
        if len(seen) == 1:
            try:
                ctx.session.flush()
            except IntegrityError as error:
                seen[0] = error

    rigged = make(use)
    assert [outcome(rigged), outcome(rigged, "s2")] == [HotelFull, HotelFull]
    assert isinstance(seen[0], IntegrityError)
    reasons = [entry.note for saga in ("s1", "s2") for entry in rigged.history(saga) if entry.note]
    assert any("ROLLBACK of the session was refused" in each for each in reasons)
    assert any("IntegrityError" in each for each in reasons)
    assert rooms(rigged) == []


def test_another_connection_of_the_session_is_refused(make: Callable[..., Rig], tmp_path: Path) -> None:
    """It is not committed with the turn; ``binds=`` of the sessionmaker does not count."""
    elsewhere = create_engine(f"sqlite:///{tmp_path / 'other.db'}")
    Base.metadata.create_all(elsewhere)

    class Routing(Session):
        def get_bind(self, *arguments: Any, **more: Any) -> Any:
            return elsewhere if is_routed else super().get_bind(*arguments, **more)

    def use(ctx: Context) -> None:
        ctx.session.add(Room(number=1, guest=ctx.saga_id))

    try:
        is_routed = True
        assert outcome(make(use, sessionmaker(elsewhere, class_=Routing))) is HotelFull
        is_routed = False
        with Session(elsewhere) as session:
            assert session.scalars(select(Room)).all() == []
    finally:
        elsewhere.dispose()


@pytest.mark.parametrize("way", ["binds", "scoped_session", "function", "Session"])
def test_a_session_is_declared_in_several_ways(make: Callable[..., Rig], tmp_path: Path, way: str) -> None:
    """A ``sessionmaker`` with other engines, one for each task, a function, the class."""
    elsewhere = create_engine(f"sqlite:///{tmp_path / 'other.db'}")
    ways: dict[str, Any] = {
        "binds": sessionmaker(binds={Base: elsewhere}, expire_on_commit=False, twophase=True),
        "scoped_session": scoped_session(sessionmaker(elsewhere)),
        "function": lambda **given: Session(**given, autoflush=False),
        "Session": Session,
    }

    def use(ctx: Context) -> None:
        ctx.session.add(Room(number=1, guest="ada"))

    rigged = make(use, ways[way])
    assert outcome(rigged) is HotelBooked
    assert rooms(rigged) == [(1, "ada")]
    elsewhere.dispose()


def test_a_connection_that_is_opened_again_has_sessions(rig: Rigs, empty_store: str) -> None:
    """As after a restart of the server."""

    def use(ctx: Context) -> None:
        ctx.session.add(Room(number=ctx.db.info.backend_pid, guest=ctx.saga_id))

    rigged = rig(hotel(use), opened=False)
    rigged.path = empty_store  # type: ignore[assignment]
    rigged.open()
    for saga_id in ("s1", "s2"):
        assert outcome(rigged, saga_id) is HotelBooked
        with psycopg.connect(empty_store, autocommit=True) as admin:
            admin.execute("select pg_terminate_backend(%s, 5000)", [rigged.store.db.info.backend_pid])
    rigged.restart()
    assert sorted(guest for _, guest in rooms(rigged)) == ["s1", "s2"]


def test_nothing_is_told_before_the_turn_is_committed(make: Callable[..., Rig]) -> None:
    """A function that waits for the session's commit is not called, as the session never commits."""
    made = sessionmaker()
    told: list[str] = []
    event.listen(made, "after_commit", lambda _: told.append("commit"))

    def use(ctx: Context) -> None:
        with ctx.session.begin_nested():
            ctx.session.add(Room(number=1, guest="ada"))

    rigged = make(use, made)
    told.clear()
    assert outcome(rigged) is HotelBooked
    assert told in ([], ["commit"])  # that of the savepoint, which SQLAlchemy tells too


def test_a_handler_outside_has_none(make: Callable[..., Rig]) -> None:
    """It says so, with what to do."""
    said: list[TransactionControl] = []

    def use(ctx: Context) -> None:
        try:
            _ = ctx.session
        except TransactionControl as error:
            said.append(error)
            raise

    rigged = make(use, blocking=True)
    rigged.append(TripRequested("t"))
    while not said:
        rigged.worker.turn()
    assert "outside of any transaction" in str(said[0])
    with pytest.raises(TransactionControl, match=r"declares none .*session=SessionLocal"):
        _ = Context("s1", "hotel.book", "action", None, 1, 0).session  # type: ignore[arg-type]


def test_what_opens_no_session_is_refused() -> None:
    """A session that must be awaited, an engine, an object."""
    for given in (async_sessionmaker(), create_engine("sqlite://"), 7):
        with pytest.raises(DeclarationError, match=r"session=.*opens no session"):
            Participant("hotel", sagas=[trip], session=given)  # type: ignore[arg-type]
