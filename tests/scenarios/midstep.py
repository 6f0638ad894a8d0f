"""A saga in two releases: what is paid is shipped and packed side by side; later, it is checked before."""

from __future__ import annotations

from typing import Any, NamedTuple

from choreo import Context, Participant, Permanent, Saga, all_of, event
from choreo.saga import Versions


@event(namespace="midstep")
class Started:
    n: str


@event(namespace="midstep")
class Paid:
    n: str


@event(namespace="midstep")
class NotPaid:
    n: str


@event(namespace="midstep")
class Unpaid:
    n: str


@event(namespace="midstep")
class Checked:
    n: str


@event(namespace="midstep")
class Suspicious:
    n: str


@event(namespace="midstep")
class Unchecked:
    n: str


@event(namespace="midstep")
class Shipped:
    n: str


@event(namespace="midstep")
class NotShipped:
    n: str


@event(namespace="midstep")
class Unshipped:
    n: str


@event(namespace="midstep")
class Packed:
    n: str


@event(namespace="midstep")
class NotPacked:
    n: str


@event(namespace="midstep")
class Unpacked:
    n: str


@event(namespace="midstep")
class Ended:
    n: str


@event(namespace="midstep")
class NotEnded:
    n: str


@event(namespace="midstep")
class Failed:
    n: str


class Shop(NamedTuple):
    """The participants of one release."""

    till: Participant
    dock: Participant
    belt: Participant


def first() -> Shop:
    """Return the release of before."""
    saga = _saga(1)
    return Shop(_till(saga), _dock(saga), _belt(saga, (Paid, Versions())))


def checking() -> Shop:
    """Return a release in which every saga is checked."""
    saga = _saga(1)
    return Shop(_till(saga, Versions()), _dock(saga), _belt(saga, (Checked, Versions())))


def versioned() -> Shop:
    """Return a release in which sagas of a new version are checked."""
    saga = _saga(2)
    before, after = Versions(until=1), Versions(since=2)
    return Shop(_till(saga, after), _dock(saga), _belt(saga, (Paid, before), (Checked, after)))


def _saga(version: int) -> Saga:
    return Saga("midstep", starts=Started, completes=Ended, fails=Failed, version=version)


def _participant(name: str, saga: Saga) -> Participant:
    return Participant(
        name, sagas=[saga], prepare=lambda db: db.execute("create table if not exists done (n, what)")
    )


def _step(participant: Participant, on: type, done: type, failed: type, undone: type, **options: Any) -> None:
    """Declare a step that leaves a row, and its compensation, which takes it away."""
    what = done.__name__

    def do(event, ctx: Context):  # type: ignore[no-untyped-def]
        if event.n == "aborted" and done is Shipped:
            raise Permanent("no carrier")
        ctx.db.execute("insert into done values (?, ?)", [event.n, what])
        return done(event.n)

    def undo(result, ctx: Context):  # type: ignore[no-untyped-def]
        assert ctx.db.execute("delete from done where (n, what) = (?, ?)", [result.n, what]).rowcount == 1
        return undone(result.n)

    since = f"_since_{options['since']}" if "since" in options else ""
    do.__name__ = do.__qualname__ = what.lower() + since
    undo.__name__ = undo.__qualname__ = undone.__name__.lower() + since
    do.__annotations__ |= {"event": on, "return": done}
    undo.__annotations__ |= {"result": done, "return": undone}
    participant.action(fails=failed, **options)(do)
    participant.compensation(of=do)(undo)


def _bounds(versions: Versions) -> dict[str, int]:
    bounds = {"since": versions.since if versions.since > 1 else None, "until": versions.until}
    return {name: bound for name, bound in bounds.items() if bound is not None}


def _till(saga: Saga, checks: Versions | None = None) -> Participant:
    till = _participant("till", saga)
    _step(till, Started, Paid, NotPaid, Unpaid)
    if checks is not None:
        _step(till, Paid, Checked, Suspicious, Unchecked, **_bounds(checks))

    @till.action(kind="pivot", fails=NotEnded, on=all_of(Shipped, Packed))
    def end(shipped: Shipped, packed: Packed) -> Ended:
        return Ended(shipped.n)

    @till.compensation(of=saga.start)
    def fail(started: Started) -> Failed:
        return Failed(started.n)

    return till


def _dock(saga: Saga) -> Participant:
    dock = _participant("dock", saga)
    _step(dock, Paid, Shipped, NotShipped, Unshipped)
    return dock


def _belt(saga: Saga, *called: tuple[type, Versions]) -> Participant:
    belt = _participant("belt", saga)
    for on, versions in called:
        _step(belt, on, Packed, NotPacked, Unpacked, **_bounds(versions))
    return belt
