"""Participants that are replaced by their next releases while sagas are in flight."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from choreo import Participant, Saga, event
from choreo.errors import LifespanError, ReleaseRefused
from choreo.testing import Harness, Violation, check, explore, failure_matrix
from choreo.testing.cells import cells_of
from examples.orders.contract import OrderCreated
from examples.orders.inventory import inventory
from examples.orders.orders import orders, place_order


@event(namespace="box")
class Ordered:
    n: str


@event(namespace="box")
class Paid:
    n: str


@event(namespace="box")
class PaidInFull:
    n: str


@event(namespace="box")
class NotPaid:
    n: str
    reason: str


@event(namespace="box")
class Refunded:
    n: str


@event(namespace="box")
class Told:
    n: str


@event(namespace="box")
class Packed:
    n: str


@event(namespace="box")
class NotPacked:
    n: str
    reason: str


@event(namespace="box")
class Sent:
    n: str


@event(namespace="box")
class Failed:
    n: str


box = Saga("box", starts=Ordered, completes=Sent, fails=Failed)


def shop() -> Participant:
    made = Participant("shop", sagas=[box])

    @made.compensation(of=box.start)
    def give_up(order: Ordered) -> Failed:
        return Failed(order.n)

    return made


def bank(paid: type = Paid) -> Participant:
    """Return a release of the bank, which says by that event that an order is paid."""
    made = Participant("bank", sagas=[box])

    @made.action(fails=NotPaid, emits=paid)
    def charge(order: Ordered) -> Any:
        return paid(order.n)

    @made.compensation(of=charge)
    def refund(done: paid) -> Refunded:  # type: ignore[valid-type]
        return Refunded(done.n)  # type: ignore[attr-defined]

    return made


def depot(*paid: type) -> Participant:
    """Return a release of the depot, which packs and sends what is paid by one of these events."""
    made = Participant("depot", sagas=[box])
    union: Any = paid[0]
    for other in paid[1:]:
        union = union | other

    @made.action(kind="pivot", fails=NotPacked)
    def pack(order: union) -> Packed:
        return Packed(order.n)

    @made.action(kind="retriable")
    def send(packed: Packed) -> Sent:
        return Sent(packed.n)

    return made


def too_many_pears() -> None:
    place_order(OrderCreated("o-1", "ada", "pear", 50, 100, "12 Elm Street"))


def begin(harness: Harness) -> None:
    harness.start(Ordered("1"), "1")


def test_a_saga_in_flight_is_ended_by_the_next_release() -> None:
    """What the release of before has done stays done, and its own connection still reads its store."""
    first, second = bank(), bank()
    with Harness([shop(), first, depot(Paid)]) as harness:
        begin(harness)
        harness.run(until=lambda: "box.Paid" in [each.type for each in harness.events()])
        harness.release(second)
        harness.run()
        assert harness.state("1") == "completed"
        types = dict.fromkeys(each.type for each in harness.events())
        assert list(types) == ["box.Ordered", "box.Paid", "box.Packed", "box.Sent"]
        assert first.status("1") == second.status("1")
        assert harness.processes["bank"].participant is second
    assert (first.connection, second.connection) == (None, None)


def test_a_participant_joins_with_a_release() -> None:
    made = Participant("post", sagas=[box])
    told: list[str] = []

    @made.observer
    def tell(sent: Sent) -> None:
        told.append(sent.n)

    with Harness([shop(), bank(), depot(Paid)]) as harness:
        begin(harness)
        harness.release(made)
        harness.run()
        assert (told, harness.states("1")["post"]) == (["1"], "completed")


def test_a_release_that_does_not_start_leaves_that_of_before() -> None:
    broken = bank()

    @broken.lifespan
    async def client() -> AsyncIterator[None]:
        raise OSError("no such host")
        yield

    with Harness([shop(), bank(), depot(Paid)]) as harness:
        begin(harness)
        with pytest.raises(LifespanError):
            harness.release(broken)
        harness.run()
        assert harness.state("1") == "completed"


def test_the_next_release_reads_what_the_one_before_wrote() -> None:
    """Of an event that has one more field by now, as its schema is in the history of the service."""

    @event(namespace="box", name="Paid")
    class PaidWithFee:
        n: str
        fee: int = 7

    fees: list[int] = []
    second = Participant("depot", sagas=[box])

    @second.action(kind="pivot", fails=NotPacked)
    def pack(order: PaidWithFee) -> Packed:
        fees.append(order.fee)
        return Packed(order.n)

    second = second.with_handlers((*second.handlers, *depot(Paid).handlers[1:]))
    with Harness([shop(), bank(), depot(Paid)]) as harness:
        begin(harness)
        harness.run(until=lambda: "box.Paid" in [each.type for each in harness.events()])
        harness.release(second)
        harness.run()
        assert (harness.state("1"), fees) == ("completed", [7])


def test_every_moment_of_a_release_is_explored() -> None:
    """Between any two moves of the participant, and once everything is done."""
    asked: list[int] = []

    def count_the_moves(databases: Any) -> None:
        del databases
        asked.append(1)

    found = explore(orders, inventory, begin=too_many_pears, releases=[inventory], invariant=count_the_moves)
    assert found.ends == {"failed": len(asked)}
    assert len(asked) > 10


def late_by_one_event() -> tuple[tuple[Participant, ...], Participant]:
    """Return participants, and a release of the depot that waits for what only the next bank says."""
    return (shop(), bank(), depot(Paid)), depot(PaidInFull)


def test_a_release_that_strands_sagas_is_found_with_its_moment() -> None:
    participants, release = late_by_one_event()
    stranded = "it never ends|a dead letter of depot"
    with pytest.raises(Violation, match=stranded) as found:
        explore(*participants, begin=begin, releases=[release])
    assert "released: depot, before move" in str(found.value)
    schedule = str(found.value).rpartition('schedule="')[2].removesuffix('"')
    with pytest.raises(Violation, match=stranded):
        explore(*participants, begin=begin, releases=[release], schedule=schedule)


def test_the_order_of_two_releases_matters() -> None:
    """The reader of a new event first, then its writer: so it goes well; the other way it does not."""
    reader, writer = depot(Paid, PaidInFull), bank(PaidInFull)
    for participants, release in (((bank(), depot(Paid)), reader), ((bank(), reader), writer)):
        found = explore(shop(), *participants, begin=begin, releases=[release], seeds=8)
        assert found.ends == {"completed": 8}
    with pytest.raises(Violation, match="it never ends"):
        explore(shop(), bank(), depot(Paid), begin=begin, releases=[writer, reader], seeds=50)


def test_the_same_effect_of_two_steps_is_one_too_many() -> None:
    """A step that never fails has another name in the next release, which does it again."""
    second = Participant("depot", sagas=[box])

    @second.action(kind="pivot", fails=NotPacked)
    def pack(order: Paid) -> Packed:
        return Packed(order.n)

    @second.action(kind="retriable")
    def tell_late(packed: Packed) -> Told:
        return Told(packed.n)

    @second.action(kind="retriable")
    def send(told: Told) -> Sent:
        return Sent(told.n)

    first = Participant("depot", sagas=[box])

    @first.action(kind="retriable")
    def tell(order: Ordered) -> Told:
        return Told(order.n)

    first = first.with_handlers((*first.handlers, *depot(Paid).handlers))
    with Harness([shop(), bank(), first]) as harness:
        begin(harness)
        harness.run(until=lambda: "box.Told" in [each.type for each in harness.events()])
        harness.release(second)
        harness.run()
        with pytest.raises(Violation, match=r"tell and depot\.tell_late both did what box\.Told says"):
            check(harness)


def releases_of(*participants: Participant, releases: tuple[Participant, ...] = ()) -> dict[str, Any]:
    """Return the cases of a matrix in which participants are released, by name."""

    @failure_matrix(*participants, faults=["release"], releases=releases)
    def test(harness: Harness) -> None:
        begin(harness)

    cells = {each.name: each for each in cells_of(participants) if each.is_release}
    return {name: lambda cell=cell: test(choreo_cell=cell) for name, cell in cells.items()}


def test_each_case_of_a_matrix_has_a_good_end_in_every_moment() -> None:
    cases = releases_of(shop(), bank(), depot(Paid), releases=(depot(Paid, PaidInFull),))
    assert list(cases) == ["calm-release", "charge-release", "pack-release"]
    cases["pack-release"]()


def test_a_case_of_a_matrix_tells_the_moment_of_the_release() -> None:
    participants, release = late_by_one_event()
    cases = releases_of(*participants, releases=(release,))
    cases["charge-release"]()  # nothing is packed
    with pytest.raises(Violation, match=r"(never ends|a dead letter)(.|\n)*released: depot, before move \d+"):
        cases["calm-release"]()


def test_a_matrix_restarts_every_participant_after_each_event(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without another release, it is by itself that a participant is replaced."""
    seen: list[str] = []
    monkeypatch.setattr(Harness, "release", _counting(seen))

    @failure_matrix(orders, inventory, faults=["release"])
    def test() -> None:
        too_many_pears()

    cells = [each for each in cells_of([orders, inventory]) if each.is_release]
    test(choreo_cell=cells[0])
    assert seen == ["orders", "inventory"] * 3


def _counting(seen: list[str]) -> Any:
    def release(self: Harness, *participants: Participant, own: Any = Harness.release) -> None:
        seen.extend(each.name for each in participants)
        own(self, *participants)

    return release


def without_a_refund() -> Participant:
    """Return a release of the bank whose payments can't be undone any more."""
    made = Participant("bank", sagas=[box])

    @made.action(kind="pivot", fails=NotPaid)
    def charge(order: Ordered) -> Paid:
        return Paid(order.n)

    return made


def test_a_release_that_is_refused_is_tried_again_at_rest() -> None:
    """The one of before goes on meanwhile; an exploration counts how often."""
    with Harness([shop(), bank(), depot(Paid)]) as harness:
        begin(harness)
        harness.run(until=lambda: "box.Paid" in [each.type for each in harness.events()])
        with pytest.raises(ReleaseRefused, match=r"bank\.charge"):
            harness.release(without_a_refund())
        harness.run()
        assert harness.state("1") == "completed"
    releases = [without_a_refund()]
    found = explore(shop(), bank(), depot(Paid), begin=begin, releases=releases, seeds=10)
    assert found.ends == {"completed": 10}
    assert 0 < found.refused < 10
    assert str(found).endswith(f"a release refused {found.refused} times")


def test_a_case_of_a_matrix_fails_where_a_release_is_refused() -> None:
    cases = releases_of(shop(), bank(), depot(Paid), releases=(without_a_refund(),))
    with pytest.raises(ReleaseRefused) as refused:
        cases["calm-release"]()
    assert "bank: is released" in "".join(refused.value.__notes__)
