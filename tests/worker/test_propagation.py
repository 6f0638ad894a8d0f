"""A ``traceparent`` alone, the commonest context, is read and written as OpenTelemetry's propagators do."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry import baggage, trace
from opentelemetry import context as current
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from choreo import telemetry
from choreo.trace_context import context_in, headers_in, joined

PROPAGATORS = (TraceContextTextMapPropagator(), W3CBaggagePropagator())
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

digits = st.sampled_from("0123456789abcdef")


def of(length: int, *also: str) -> st.SearchStrategy[str]:
    return st.text(digits, min_size=length, max_size=length) | st.sampled_from(["0" * length, *also])


traceparents = st.builds(
    "{}-{}-{}-{}".format, of(2, "00", "01", "ff", "0F"), of(32, "A" * 32), of(16, "1" * 15), of(2, "01", "é1")
)
texts = st.builds(
    joined,
    traceparents | traceparents.map(lambda text: f" {text}-more") | st.text(max_size=60),
    st.sampled_from(["", "", "vendor=1,other=2", "no state"]),
    st.sampled_from(["", "", "tenant=acme,user=%C3%A9", ","]),
)
states = st.sampled_from([[], [("vendor", "1")], [("a", "1"), ("b", "2")]]).map(trace.TraceState)
spans = st.builds(
    trace.SpanContext,
    st.integers(0, 2**128 - 1) | st.just(0),
    st.integers(0, 2**64 - 1) | st.just(0),
    st.booleans(),
    st.integers(0, 255).map(trace.TraceFlags),
    states,
)
bags = st.dictionaries(st.sampled_from(["tenant", "user"]), st.text(max_size=3))


@given(texts)
@example(PARENT)
@example(PARENT.replace("00-", "ff-", 1))
@example(f"{PARENT}\n")
def test_it_is_read_as_the_propagators_read_it(text: str) -> None:
    found, expected = telemetry._extracted(text), current.Context()
    for propagator in PROPAGATORS:
        expected = propagator.extract(dict(headers_in(text)), context=expected)
    of_found, of_expected = (trace.get_current_span(each).get_span_context() for each in (found, expected))
    assert of_found == of_expected
    assert baggage.get_all(found) == baggage.get_all(expected)
    assert len(found) == len(expected)


@given(spans, bags)
@example(trace.INVALID_SPAN_CONTEXT, {})
def test_it_is_written_as_the_propagators_write_it(span: trace.SpanContext, bag: dict[str, str]) -> None:
    within = trace.set_span_in_context(trace.NonRecordingSpan(span), current.Context())
    for name, value in bag.items():
        within = baggage.set_baggage(name, value, within)
    carrier: dict[str, str] = {}
    for propagator in PROPAGATORS:
        propagator.inject(carrier, within)
    token = current.attach(within)
    try:
        assert telemetry.context() == context_in({name: value.encode() for name, value in carrier.items()})
    finally:
        current.detach(token)
