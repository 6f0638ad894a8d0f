"""One saga is one trace, across services, retries and restarts; without an SDK it is at least not broken."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest
from opentelemetry import baggage, trace
from opentelemetry import context as current
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.util._once import Once

from choreo import Context, Participant
from choreo.trace_context import joined
from tests.worker.conftest import Rigs
from tests.worker.rig import Rig, envelope_of
from tests.worker.services import Script, agency, flight, hotel
from tests.worker.test_calls import Provider, blocking_hotel, until
from tests.worker.test_calls import hotel as slow_hotel
from tests.worker.trip import FlightFull, HotelBooked, HotelFull, TripCancelled, TripRequested

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def traceparents(shop: Rig) -> list[str]:
    return [
        envelope.traceparent for _, envelope in shop.records() if envelope.source == shop.participant.name
    ]


def test_without_an_sdk_the_traceparent_is_handed_on(rig: Rigs) -> None:
    """By a success, a compensation and a refusal alike."""
    shop = rig(hotel())
    shop.feed(TripRequested("t"), FlightFull("t", "full"), traceparent=PARENT)
    shop.feed(TripCancelled("u"), TripRequested("u"), saga_id="s2", traceparent=PARENT)
    assert traceparents(shop) == [PARENT] * 3


def test_a_retry_hands_the_traceparent_on_after_a_restart(rig: Rigs) -> None:
    """It stands in the saga log."""
    shop = rig(hotel(Script([ConnectionError()])))
    shop.feed(TripRequested("t"), traceparent=PARENT)
    shop.clock.advance(10)
    shop.restart()
    assert traceparents(shop) == [PARENT]


CONTEXT = joined(PARENT, "vendor=sampled,other@x=1", "tenant=acme,user=%C3%A9")


def test_without_an_sdk_the_whole_context_is_handed_on(rig: Rigs) -> None:
    """By a success, a compensation and a refusal, through the outbox, a retry and a restart."""
    shop = rig(hotel(Script([ConnectionError()])))
    shop.feed(TripRequested("t"), traceparent=CONTEXT)
    shop.clock.advance(10)
    shop.restart()
    shop.feed(FlightFull("t", "full"), traceparent=CONTEXT)
    shop.feed(TripCancelled("u"), TripRequested("u"), saga_id="s2", traceparent=CONTEXT)
    assert traceparents(shop) == [CONTEXT] * 3
    names = {name for record in shop.broker.records("trip") for name, _ in record.headers}
    assert {"traceparent", "tracestate", "baggage"} <= names


def test_a_handler_has_the_context_of_the_event_and_nothing_of_the_worker_s(
    rig: Rigs, spans: InMemorySpanExporter
) -> None:
    """Called inside the transaction, or outside of it; what it publishes continues it."""
    seen: list[tuple[dict[str, str], dict[str, object]]] = []

    class Look(Script):
        def __call__(self, ctx: Context) -> None:
            span = trace.get_current_span().get_span_context()
            seen.append((dict(span.trace_state), dict(baggage.get_all())))
            super().__call__(ctx)

    token = current.attach(baggage.set_baggage("of", "the worker"))
    try:
        shop = rig(hotel(Look()))
        shop.feed(TripRequested("t"), traceparent=CONTEXT)
    finally:
        current.detach(token)
    assert seen == [({"vendor": "sampled", "other@x": "1"}, {"tenant": "acme", "user": "é"})]
    (published,) = traceparents(shop)
    parent, state, bag = published.split("\n")
    assert parent[3:35] == PARENT[3:35]
    assert parent != PARENT
    assert state == "vendor=sampled,other@x=1"
    assert bag.startswith("tenant=acme,user=")


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """Set an SDK up, as `choreo run` does, for one test."""
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER_SET_ONCE", Once())
    monkeypatch.setattr(random, "getrandbits", random.SystemRandom().getrandbits)
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    yield exporter
    provider.shutdown()


def test_with_an_sdk_a_saga_is_one_trace(rig: Rigs, spans: InMemorySpanExporter, tmp_path: object) -> None:
    """From the request that starts it to its end, each handler's span the child of the one that called it."""
    agent, hotels, flights = agency(), hotel(Script([ConnectionError()])), flight(Script([None]))
    shop = rig(agent)
    rest = [rig(hotels, opened=False), rig(flights, opened=False)]
    for each in rest:
        each.broker, each.clock = shop.broker, shop.clock
        each.open()
    with trace.get_tracer("web").start_as_current_span("POST /trips") as request:
        with agent.transaction() as tx:
            tx.start(TripRequested("t"), "s1")
        trace_id = request.get_span_context().trace_id
    everybody = [shop, *rest]
    for _ in range(3):
        for each in everybody:
            each.settle()
    shop.clock.advance(10)
    for _ in range(3):
        for each in everybody:
            each.settle()
    finished = spans.get_finished_spans()
    assert {span.context.trace_id for span in finished} == {trace_id}
    by_id = {span.context.span_id: span for span in finished}
    chain = {span.name: by_id[span.parent.span_id].name for span in finished if span.parent}
    assert chain["agency.start"] == "POST /trips"
    assert chain["hotel.book"] == "agency.start"
    assert chain["flight.fly"] == "hotel.book"
    assert chain["agency.look"] in ("hotel.book", "flight.fly")
    (booked, *_) = [span for span in finished if span.name == "hotel.book"]
    assert dict(booked.attributes or {}) == {
        "choreo.saga_id": "s1",
        "choreo.step": "hotel.book",
        "messaging.system": "kafka",
    }
    assert len([span for span in finished if span.name == "hotel.book"]) == 2


def test_a_saga_started_outside_of_any_span_is_one_trace_too(rig: Rigs, spans: InMemorySpanExporter) -> None:
    """All that reacts to the start is in it."""
    shop = rig(agency())
    with shop.participant.transaction() as tx:
        tx.start(TripRequested("t"), "s1")
    shop.settle()
    (started,) = traceparents(shop)
    assert started
    shop.feed(HotelFull("t", "full"), traceparent=started)
    assert len({span.context.trace_id for span in spans.get_finished_spans()}) == 1
    assert len({parent.split("-")[1] for parent in traceparents(shop)}) == 1


def test_what_is_no_traceparent_begins_a_new_trace(rig: Rigs, spans: InMemorySpanExporter) -> None:
    """As W3C Trace Context says."""
    shop = rig(hotel())
    assert envelope_of(HotelBooked("t"), "s1", 0).traceparent == ""
    shop.feed(TripRequested("t"))
    (published,) = traceparents(shop)
    (span,) = spans.get_finished_spans()
    assert published.split("-")[1] == format(span.context.trace_id, "032x")


@pytest.mark.parametrize("make", [slow_hotel, blocking_hotel])
def test_a_call_is_a_span_and_what_it_published_is_its_child(
    rig: Rigs, spans: InMemorySpanExporter, make: Callable[..., Participant]
) -> None:
    """Whatever the handler asks of others meanwhile belongs to it, too."""
    provider = Provider()
    shop = rig(make(provider))
    provider.answer(None)
    shop.feed(TripRequested("t"), traceparent=PARENT)
    until(shop, lambda: bool(shop.published()))
    (span,) = spans.get_finished_spans()
    assert span.name == "hotel.book"
    assert span.parent is not None
    assert format(span.parent.span_id, "016x") in PARENT
    assert [each.split("-")[2] for each in traceparents(shop)] == [format(span.context.span_id, "016x")]
