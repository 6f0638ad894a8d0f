"""One saga is one trace, across services, retries and restarts; without an SDK it is at least not broken."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
from opentelemetry import baggage, trace
from opentelemetry import context as current
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from choreo import Context, Participant, telemetry
from choreo.trace_context import joined
from choreo.worker.tracing import sending
from tests.worker.conftest import Rigs
from tests.worker.rig import Rig, envelope_of
from tests.worker.services import Script, agency, flight, hotel
from tests.worker.test_calls import Provider, blocking_hotel, until
from tests.worker.test_calls import hotel as slow_hotel
from tests.worker.test_imports import booked, office, opened
from tests.worker.test_topics import begin
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
    callers = {told(span): told(by_id[span.parent.span_id]) for span in finished if span.parent}
    assert callers["start"] == "POST /trips"
    assert callers["hotel.book"] == "start"
    assert callers["hotel.book succeeded"] == "hotel.book"
    assert callers["flight.fly"] == "hotel.book succeeded"
    assert callers["agency.look"] in ("hotel.book succeeded", "flight.fly succeeded")
    first, second = [span for span in finished if told(span) == "hotel.book"]
    assert first.status.status_code is trace.StatusCode.ERROR
    assert attributes_of(first)["error.type"] == "ConnectionError"
    assert not first.events, "what an exception said may be data"
    assert [attributes_of(span).get("choreo.attempt") for span in (first, second)] == [None, 2]
    assert {link.context.span_id for span in (first, second) for link in span.links} == {first.parent.span_id}
    assert (first.kind, second.name) == (trace.SpanKind.CONSUMER, "process trip")


def attributes_of(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def told(span: ReadableSpan) -> str:
    """Return what a span is of: a handler, an event that a step published, or something else by its name."""
    attributes = attributes_of(span)
    if span.kind is trace.SpanKind.PRODUCER:
        step = attributes["choreo.step"]
        return "start" if step == "start" else f"{step} {attributes.get('choreo.outcome', 'succeeded')}"
    return str(attributes.get("choreo.handler") or attributes.get("choreo.step", span.name))


def test_what_is_so_by_default_is_left_out(rig: Rigs, spans: InMemorySpanExporter) -> None:
    """An action is named as its step; a compensation is told by its own name, and the step that it undoes."""
    shop = rig(hotel())
    shop.feed(TripRequested("t"), FlightFull("t", "full"), traceparent=PARENT)
    finished = [attributes_of(span) for span in spans.get_finished_spans()]
    assert [(each["choreo.step"], each.get("choreo.handler")) for each in finished] == [
        ("hotel.book", None),
        ("hotel.book", None),
        ("hotel.book", None),
        ("hotel.book", "hotel.cancel"),
    ]
    for each in finished:
        assert each["messaging.message.conversation_id"] == "s1"
        assert not each.keys() & {"choreo.saga_type", "choreo.attempt"}
    rest = [(each.get("choreo.task"), each.get("choreo.outcome")) for each in finished]
    assert rest == [(None, None), (None, None), (None, "compensated"), ("compensation", "compensated")]


def test_a_saga_that_is_named_otherwise_than_its_topic_is_told_by_both(spans: InMemorySpanExporter) -> None:
    sending("journeys", envelope_of(HotelBooked("t"), "s1", 0))
    (span,) = spans.get_finished_spans()
    told = attributes_of(span)
    assert (told["messaging.destination.name"], told["choreo.saga_type"]) == ("journeys", "trip")


def test_what_a_call_raises_is_told_by_its_class_alone(rig: Rigs, spans: InMemorySpanExporter) -> None:
    provider = Provider()
    shop = rig(slow_hotel(provider))
    provider.answer(ConnectionError("for ada@example.org"))
    shop.feed(TripRequested("t"), traceparent=PARENT)
    until(shop, lambda: bool(spans.get_finished_spans()))
    (span,) = spans.get_finished_spans()
    assert (span.status.status_code, span.status.description) == (trace.StatusCode.ERROR, None)
    assert attributes_of(span)["error.type"] == "ConnectionError"
    assert "ada" not in span.to_json()


@pytest.mark.parametrize("ambient", [False, True])
def test_an_answer_that_no_handler_gave_is_a_child_of_its_cause(
    rig: Rigs, spans: InMemorySpanExporter, ambient: bool
) -> None:
    """A refusal, whatever span the worker itself runs in."""
    shop = rig(hotel())
    with trace.get_tracer("worker").start_as_current_span("main") if ambient else nullcontext():
        shop.feed(TripCancelled("u"), TripRequested("u"), traceparent=PARENT)
    (sent,) = [span for span in spans.get_finished_spans() if span.name == "send trip"]
    assert sent.parent is not None
    assert format(sent.parent.span_id, "016x") == PARENT.split("-")[2]
    assert [each.split("-")[2] for each in traceparents(shop)] == [format(sent.context.span_id, "016x")]


@pytest.mark.parametrize("make", [hotel, slow_hotel])
def test_nothing_is_made_where_nothing_is_traced(
    rig: Rigs, monkeypatch: pytest.MonkeyPatch, make: Callable[..., Participant]
) -> None:
    """Neither a span nor a context, for an event of a handler, of a call, or of a refusal."""
    made: list[str] = []
    for name in ("_tracer", "_extracted", "_injected"):
        monkeypatch.setattr(telemetry, name, lambda *_, name=name: made.append(name))
    provider = Provider()
    provider.answer(None)
    shop = rig(make(provider) if make is slow_hotel else make())
    shop.feed(TripRequested("t"), traceparent=PARENT)
    shop.feed(TripCancelled("u"), TripRequested("u"), saga_id="s2", traceparent=PARENT)
    until(shop, lambda: len(shop.published()) == len(shop.published("s2")) == 1)
    assert traceparents(shop) == [PARENT] * 2
    assert made == []


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
    handled, sent = sorted(spans.get_finished_spans(), key=lambda span: span.name)
    assert handled.name == "process trip"
    assert not handled.links
    assert published.split("-")[1:3] == [
        format(handled.context.trace_id, "032x"),
        format(sent.context.span_id, "016x"),
    ]


def test_an_import_continues_the_trace_of_its_record(rig: Rigs, request: pytest.FixtureRequest) -> None:
    """Where spans are made, and where they are not."""
    rigged = opened(rig, office(booked()))
    begin(rigged, "s1", "s2")
    rigged.settle()
    headers = [("ce_type", b"trip.HotelBooked"), ("traceparent", PARENT.encode())]
    rigged.broker.append("chain", b"any", headers, rigged.codec.encode(HotelBooked("s1")))
    rigged.settle()
    assert traceparents(rigged)[-2:] == [PARENT] * 2
    spans: InMemorySpanExporter = request.getfixturevalue("spans")
    rigged.restart()
    rigged.broker.append("chain", b"any", headers, rigged.codec.encode(HotelBooked("s2")))
    rigged.settle()
    (sent,) = [span for span in spans.get_finished_spans() if told(span) == "office.HotelBooked succeeded"]
    assert sent.parent is not None
    assert format(sent.parent.span_id, "016x") == PARENT.split("-")[2]
    assert traceparents(rigged)[-2].split("-")[2] == format(sent.context.span_id, "016x")


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
    call, sent = spans.get_finished_spans()
    assert (call.name, told(call)) == ("process trip", "hotel.book")
    assert not {"error.type", "choreo.outcome"} & attributes_of(call).keys(), "it has succeeded"
    assert call.parent is not None
    assert format(call.parent.span_id, "016x") in PARENT
    assert sent.parent is not None
    assert sent.parent.span_id == call.context.span_id
    assert [each.split("-")[2] for each in traceparents(shop)] == [format(sent.context.span_id, "016x")]
