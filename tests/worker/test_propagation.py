"""A ``traceparent`` alone, the commonest context, is read and written as OpenTelemetry's propagators do."""

from __future__ import annotations

import pytest
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
span_contexts = st.builds(
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
    assert len(found) - (telemetry._CARRIED in found) == len(expected)


FOREIGN = {
    "properties": ("", 'tenant=acme;ttl=5;of="shop",user=ann', {"tenant": "acme", "user": "ann"}),
    "a space": ("", "tenant=acme%20inc", {"tenant": "acme inc"}),
    "spaces": ("", "tenant = acme ; x = 1 , user = ann", {"tenant": "acme", "user": "ann"}),
    "many": ("", ",".join(f"k{number}=v" for number in range(300)), {f"k{n}": "v" for n in range(300)}),
    "long": ("", f"k={'v' * 5_000},user=ann", {"k": "v" * 5_000, "user": "ann"}),
    "a key of level 2": ("1abc=x,b=y", "", {}),
    "a member twice": ("a=1,a=2", "", {}),
}


@pytest.mark.parametrize(("state", "bag", "read"), FOREIGN.values(), ids=FOREIGN)
def test_what_a_foreign_producer_has_sent_is_handed_on_as_it_is(
    state: str, bag: str, read: dict[str, str], spans: object, caplog: pytest.LogCaptureFixture
) -> None:
    """OpenTelemetry's propagators lose some of it, change more, and log a warning for each event."""
    text = context_in({"traceparent": PARENT.encode(), "tracestate": state.encode(), "baggage": bag.encode()})
    assert text == joined(PARENT, state, bag)
    with telemetry.Processing("trip", text, {}):
        assert baggage.get_all() == read
        headers = dict(headers_in(telemetry.sending("trip", {}, text)))
    assert headers.pop("traceparent")[:36] == PARENT[:36]
    assert headers == {name: value for name, value in (("tracestate", state), ("baggage", bag)) if value}
    assert [each for each in caplog.records if each.name.startswith("opentelemetry")] == []


def test_baggage_that_a_handler_changes_is_what_it_has_made_of_it(spans: object) -> None:
    text = joined(PARENT, "1abc=x", "tenant=acme;ttl=5")
    with telemetry.Processing("trip", text, {}):
        changed = current.attach(baggage.set_baggage("user", "bob"))
        headers = dict(headers_in(telemetry.sending("trip", {}, text)))
        current.detach(changed)
    assert (headers["tracestate"], headers["baggage"]) == ("1abc=x", "tenant=acme,user=bob")


@pytest.mark.parametrize("parent", [PARENT.upper(), PARENT.replace("b7ad6b7169203331", "0" * 16)])
def test_the_state_of_a_trace_that_is_none_is_not_handed_on(parent: str, spans: object) -> None:
    """A new trace begins; the baggage is that of the saga."""
    text = joined(parent, "vendor=1", "tenant=acme")
    with telemetry.Processing("trip", text, {}):
        headers = dict(headers_in(telemetry.sending("trip", {}, text)))
    assert set(headers) == {"traceparent", "baggage"}
    assert headers["traceparent"][:36] != PARENT[:36]


@given(span_contexts, bags)
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
