"""A first attempt that takes effect and raises, and a second that returns the failure."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from choreo import Aborted, Context, Participant, Retry, Saga, event
from choreo.avro import AvroCodec
from choreo.cloudevents import read
from choreo.testing import Harness, failure_matrix
from choreo.testing.cells import cells_of


@event(namespace="seat")
class Asked:
    n: str


@event(namespace="seat")
class Booked:
    n: str


@event(namespace="seat")
class Full:
    n: str
    reason: str


@event(namespace="seat")
class Dear:
    n: str
    price: int


@event(namespace="seat")
class Freed:
    n: str


@event(namespace="seat")
class Done:
    n: str


@event(namespace="seat")
class Failed:
    n: str


def reply(event: Asked, ctx: Context, booked: set[str], answer: Any, cut: bool) -> Any:
    """Book a seat and lose the reply, at the first attempt; answer, at the next."""
    if ctx.attempt == 1:
        booked.add(event.n)
        raise (SystemExit if cut else ConnectionError)("the reply is lost")
    return answer(event.n)


def declared(made: Participant, runs: str, work: Any) -> Any:
    """Declare the step that books, which runs as a coroutine, in a thread, or in the transaction."""
    options: dict[str, Any] = {"fails": (Full, Dear), "retry": Retry(attempts=3, delay=timedelta(seconds=1))}

    async def book(event: Asked, ctx: Context) -> Booked | Full | Dear:
        return work(event, ctx)  # type: ignore[no-any-return]

    def book_here(event: Asked, ctx: Context) -> Booked | Full | Dear:
        return work(event, ctx)  # type: ignore[no-any-return]

    if runs == "async":
        return made.action(**options)(book)
    return made.action(**options, **{runs: True})(book_here)


def airline(runs: str, booked: set[str], answer: Any, cut: bool = False) -> Participant:
    """Return an airline that books at the first attempt and loses the reply, and then answers otherwise."""
    saga = Saga("seat", starts=Asked, completes=Done, fails=Failed)
    made = Participant("air", sagas=[saga])

    step = declared(made, runs, lambda event, ctx: reply(event, ctx, booked, answer, cut))

    @made.compensation(of=step)
    def free(event: Aborted, seat: Booked | None, ctx: Context) -> Freed:
        booked.clear()
        return Freed("1")

    @made.action(kind="retriable")
    def finish(event: Booked, ctx: Context) -> Done:
        return Done(event.n)

    @made.compensation(of=saga.start)
    def fail(event: Full | Dear | Freed, asked: Asked, ctx: Context) -> Failed:
        return Failed(asked.n)

    return made


@pytest.mark.parametrize("cut", [False, True], ids=["raises", "exits"])
@pytest.mark.parametrize("failure", [Full("1", "no seat"), Dear("1", 7)], ids=["first", "second"])
@pytest.mark.parametrize("runs", ["async", "blocking", "partial"])
def test_what_an_earlier_attempt_did_is_undone_before_the_failure(runs: str, failure: Any, cut: bool) -> None:
    """And the failure is the event that the handler returned, whichever of them, with its own fields."""
    booked: set[str] = set()
    participant = airline(runs, booked, lambda _: failure, cut)
    with Harness([participant]) as harness:
        harness.start(Asked("1"), saga_id="1")
        harness.run()
        assert booked == set()
        assert harness.state("1") == "failed"
        codec = AvroCodec(participant.events)
        published = [codec.decode(read(each).type, each.value) for each in harness.broker.records("seat")]
        assert published == [Asked("1"), failure, Failed("1")]


def test_the_matrix_has_a_case_for_each_such_step() -> None:
    """For those with effects outside that can fail, and for no others."""
    participant = airline("async", set(), lambda n: Booked(n))
    struck = [cell.name for cell in cells_of([participant]) if cell.kind == "lost_reply"]
    assert struck == ["book-lost_reply"]


_participant = airline("async", set(), lambda n: Booked(n))


@failure_matrix(_participant, faults=["lost_reply"])
def test_a_seat(harness: Harness) -> None:
    """Runs the case."""
    harness.start(Asked("2"), saga_id="2")
