"""One saga over five processes is one trace, as a tracing backend receives it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from choreo.kafka import EmbeddedBroker
from examples.orders.contract import OrderCreated
from examples.orders.orders import place_order
from tests.scenarios.otlp import Receiver, Span, receiving
from tests.scenarios.processes import Processes
from tests.scenarios.shop import PARTICIPANTS

TOPIC = "order-fulfilment"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Return a tracing backend."""
    with receiving() as received:
        yield received


class Traced(Processes):
    """Processes that export their spans to a receiver, twice a second."""

    receiver: Receiver

    def environment(self, name: str) -> dict[str, str]:
        """Return the environment of a participant's process."""
        exporting = {"OTEL_EXPORTER_OTLP_ENDPOINT": self.receiver.address, "OTEL_BSP_SCHEDULE_DELAY": "500"}
        return {**super().environment(name), **exporting}


@pytest.fixture
def processes(receiver: Receiver, tmp_path: Path, spans: InMemorySpanExporter) -> Iterator[Traced]:
    """Start five processes on an embedded broker."""
    with EmbeddedBroker() as broker:
        Traced.receiver = receiver
        started = Traced(broker.bootstrap, tmp_path, "examples.orders", PARTICIPANTS, embedded=True)
        yield started
        started.close()


def test_an_order_over_five_processes_is_one_trace(
    processes: Traced, receiver: Receiver, spans: InMemorySpanExporter
) -> None:
    """One that fails: with each step, each compensation and each event, from the request that placed it."""
    with trace.get_tracer("web").start_as_current_span("POST /orders") as request:
        place_order(OrderCreated("o1", "ada", "apple", 2, 250, "nowhere"))
    trace_id = format(request.get_span_context().trace_id, "032x")
    handled = [
        ("inventory", "inventory.reserve_inventory", None),
        ("payments", "payments.process_payment", None),
        ("shipping", "shipping.create_shipment", None),
        ("payments", "payments.refund_payment", "compensated"),
        ("inventory", "inventory.release_reservation", "compensated"),
        ("orders", "orders.fail_order", "compensated"),
        ("notifications", "notifications.send_cancellation_notice", None),
    ]

    def story() -> list[tuple[str, str, str | None]]:
        """Return who has handled what, from the start on, by the parents of the spans alone."""
        (start,) = [each for each in spans.get_finished_spans() if each.name == f"send {TOPIC}"]
        assert start.context
        found, sent = [], format(start.context.span_id, "016x")
        for _ in handled:
            children = [each for each in receiver.spans if each.parent_id == sent]
            if not children:
                break
            (child,) = children
            told = child.attributes
            found.append((child.service, handler_of(child), told.get("choreo.outcome")))
            published = [each for each in receiver.spans if each.parent_id == child.span_id]
            sent = published[0].span_id if published else ""
        return found

    processes.until(lambda: story() == handled, 60)
    assert {each.trace_id for each in receiver.spans} == {trace_id}
    (failed,) = [each for each in receiver.spans if each.is_error]
    assert handler_of(failed) == "shipping.create_shipment"
    assert failed.attributes["error.type"] == "Permanent"
    for each in receiver.spans:
        _assert_conventions(each)


def handler_of(span: Span) -> str:
    """Return which handler a span is of: an action has the name of its step."""
    return str(span.attributes.get("choreo.handler", span.attributes["choreo.step"]))


def _assert_conventions(span: Span) -> None:
    """Hold a span to OpenTelemetry's conventions for messages, Kafka and CloudEvents."""
    told = span.attributes
    name, _, topic = span.name.partition(" ")
    assert (name, span.kind) in (("process", "CONSUMER"), ("send", "PRODUCER"))
    assert topic == told["messaging.destination.name"] == TOPIC
    assert told["messaging.operation.name"] == told["messaging.operation.type"] == name
    assert told["messaging.system"] == "kafka"
    assert told["messaging.message.conversation_id"] == "o1"
    assert len(told["messaging.message.id"]) == 32
    assert told["cloudevents.event_type"]
    if name == "process":
        assert span.links == (span.parent_id,)
        assert told["messaging.consumer.group.name"] == span.service
        assert told["messaging.destination.partition.id"].isdigit()
        assert told["messaging.kafka.offset"] >= 0
    else:
        assert span.links == ()
