"""The headers of an event: written, read back, and refused with the header's name."""

from __future__ import annotations

import re
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from choreo.cloudevents import headers_of, read
from choreo.envelope import Envelope
from choreo.errors import HeadersError
from choreo.outcome import Kind, Outcome
from choreo.records import Record
from choreo.trace_context import joined

EVENT = Envelope(
    id="2e2f0a9058ebd117bd021286599ebea7",
    source="payments",
    type="shop.PaymentProcessed",
    time=1_700_000_000_123,
    saga_id="s-1",
    saga_type="order-fulfilment",
    saga_version=1,
    step="payments.charge",
    outcome="succeeded",
    kind="pivot",
    causation_id="0af7651916cd43dd8448eb211c80319c",
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
)

_text = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=200)
_traces = st.from_regex(re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]", re.ASCII), fullmatch=True)
_KEYS = st.from_regex(r"[a-z][a-z0-9_\-*/]{0,20}(@[a-z]{1,5})?", fullmatch=True)
_VALUES = st.from_regex(r"[!-+\--<>-~]{1,30}", fullmatch=True)
_states = st.lists(st.builds("{}={}".format, _KEYS, _VALUES), max_size=8).map(",".join)
_baggage = st.lists(
    st.builds(
        "{}={}{}".format,
        _KEYS.map(lambda key: key.replace("@", "").replace("/", "")),
        st.from_regex(r"[!#-+\--:<-\[\]-~]{0,30}", fullmatch=True),
        st.sampled_from(["", ";ttl=5"]),
    ),
    max_size=8,
).map(",".join)
_contexts = st.builds(joined, st.just("") | _traces, _states, _baggage)
_envelopes = st.builds(
    Envelope,
    id=_text,
    source=_text,
    type=_text,
    time=st.integers(-62_135_596_800_000, 253_402_300_799_999),
    saga_id=_text,
    saga_type=_text,
    saga_version=st.integers(1, 999_999_999),
    step=_text.filter(lambda step: "." not in step),  # it would have an owner
    outcome=st.sampled_from(get_args(Outcome)),
    kind=st.sampled_from(get_args(Kind)),
    causation_id=st.just("") | _text,
    traceparent=_contexts,
)


def record(headers: list[tuple[str, bytes | None]], key: bytes | None = b"s-1") -> Record:
    """Make a record as it comes from the log."""
    return Record("sagas", 0, 0, 0, key, headers, b"")


def with_header(name: str, value: bytes | None) -> Record:
    """Make the record of `EVENT` with another value for one header; None leaves it out."""
    kept = [each for each in headers_of(EVENT) if each[0] != name]
    return record([*kept, (name, value)] if value is not None else [*kept])


def test_headers_are_those_of_the_kafka_binding() -> None:
    """Binary mode, names and values as any CloudEvents library expects them."""
    assert dict(headers_of(EVENT)) == {
        "ce_id": b"2e2f0a9058ebd117bd021286599ebea7",
        "ce_source": b"payments",
        "ce_type": b"shop.PaymentProcessed",
        "ce_specversion": b"1.0",
        "ce_time": b"2023-11-14T22:13:20.123Z",
        "ce_subject": b"s-1",
        "ce_sagatype": b"order-fulfilment",
        "ce_sagaversion": b"1",
        "ce_step": b"payments.charge",
        "ce_outcome": b"succeeded",
        "ce_stepkind": b"pivot",
        "ce_causationid": b"0af7651916cd43dd8448eb211c80319c",
        "traceparent": b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "content-type": b"application/avro",
    }


def test_empty_extensions_are_left_out() -> None:
    """CloudEvents attributes are never empty."""
    bare = EVENT._replace(causation_id="", traceparent="")
    assert not {"ce_causationid", "traceparent"} & dict(headers_of(bare)).keys()
    assert read(record([*headers_of(bare)])) == bare


@given(_envelopes)
def test_what_is_written_is_read_back(envelope: Envelope) -> None:
    """The careful way and the quick way that follows it give the same."""
    written = record([*headers_of(envelope)], envelope.saga_id.encode())
    assert read(written) == envelope
    assert read(written) == envelope


@pytest.mark.parametrize("value", [name for name, _ in headers_of(EVENT) if name.startswith("ce_")])
def test_a_missing_or_empty_attribute_is_named(value: str) -> None:
    """All attributes are needed but the causation of a saga's first event."""
    if value != "ce_causationid":
        with pytest.raises(HeadersError, match=f"{value}: missing"):
            read(with_header(value, None))
    with pytest.raises(HeadersError, match=f"^{value}: "):
        read(with_header(value, b""))


@pytest.mark.parametrize("name", [name for name, _ in headers_of(EVENT) if name != "traceparent"])
def test_a_doubled_header_is_refused(name: str) -> None:
    """Which of the two would count? Two participants might answer differently."""
    with pytest.raises(HeadersError, match=f"'{name}': comes twice"):
        read(record([*headers_of(EVENT), (name, dict(headers_of(EVENT))[name])]))


@pytest.mark.parametrize("name", [name for name, _ in headers_of(EVENT) if name.startswith("ce_")])
@pytest.mark.parametrize("bad", [b"\xff", b"a\x00b", b"x" * 1025, b"\xed\xa0\x80"])
def test_an_attribute_that_is_no_decent_text_is_named(name: str, bad: bytes) -> None:
    """Not UTF-8, a control character, too long; the value itself is not repeated."""
    changed = with_header(name, bad)
    with pytest.raises(HeadersError, match=f"^{name}: ") as refusal:
        read(changed._replace(key=bad if name == "ce_subject" else b"s-1"))
    assert len(str(refusal.value)) < 200


@pytest.mark.parametrize(
    ("name", "bad", "says"),
    [
        ("ce_specversion", b"0.3", "must be 1.0"),
        ("ce_outcome", b"exploded", "one of compensated, failed, succeeded, timed_out"),
        ("ce_stepkind", b"magic", "one of cancellation"),
        ("ce_sagaversion", b"0", "whole number"),
        ("ce_sagaversion", b"-1", "whole number"),
        ("ce_sagaversion", "١".encode(), "whole number"),
        ("ce_sagaversion", b"1_0", "whole number"),
        ("ce_sagaversion", b"9" * 20, "whole number"),
        ("ce_time", b"yesterday", "RFC 3339"),
        ("ce_time", b"2026-W01-1T00:00:00.000Z", "RFC 3339"),
        ("ce_time", b"2026-01-01T00:00:00.000", "RFC 3339"),
        ("ce_time", b"2026-02-30T00:00:00.000Z", "calendar"),
        ("ce_subject", b"s-2", "must be the record's key"),
        ("ce_subject", b"x" * 256, "255 at most"),
    ],
)
def test_a_bad_value_is_explained(name: str, bad: bytes, says: str) -> None:
    """The message names the header and what it should be."""
    with pytest.raises(HeadersError, match=f"^{name}: .*{re.escape(says)}"):
        read(with_header(name, bad))


def test_the_key_must_be_the_saga() -> None:
    """Else the events of one saga lay on two partitions, in no common order."""
    for key in (None, b"", b"s-2"):
        with pytest.raises(HeadersError, match="ce_subject: must be the record's key"):
            read(record([*headers_of(EVENT)], key))


@pytest.mark.parametrize(
    ("time", "milliseconds"),
    [
        (b"2023-11-14T22:13:20Z", 1_700_000_000_000),
        (b"2023-11-14t22:13:20.5z", 1_700_000_000_500),
        (b"2023-11-14T23:13:20.123456789+01:00", 1_700_000_000_123),
        (b"1969-12-31T23:59:59.999Z", -1),
    ],
)
def test_other_writers_times_are_read(time: bytes, milliseconds: int) -> None:
    """RFC 3339 leaves a choice; what is finer than a millisecond is cut off."""
    assert read(with_header("ce_time", time)).time == milliseconds


def test_foreign_headers_are_ignored() -> None:
    """Also doubled ones, empty ones, and a trace context that isn't one (W3C: start a new trace)."""
    others = [("baggage", b"a"), ("baggage", None), ("tracestate", b"\xff")]
    assert read(record([*headers_of(EVENT), *others])) == EVENT
    assert read(with_header("traceparent", b"\xff nonsense")) == EVENT._replace(traceparent="")


TRACE = EVENT.traceparent
OTHER = TRACE.replace("0af7", "1111")


@pytest.mark.parametrize(
    ("headers", "context"),
    [
        (
            [("traceparent", TRACE), ("tracestate", "a=1,b@c=2"), ("baggage", "t=x;p")],
            (TRACE, "a=1,b@c=2", "t=x;p"),
        ),
        ([("tracestate", "a=1")], ("", "", "")),
        ([("baggage", "t=x")], ("", "", "t=x")),
        ([("ce_traceparent", TRACE), ("ce_tracestate", "a=1")], (TRACE, "a=1", "")),
        ([("traceparent", OTHER), ("ce_traceparent", TRACE), ("ce_tracestate", "a=1")], (OTHER, "", "")),
        ([("traceparent", "bad"), ("ce_traceparent", TRACE), ("tracestate", "b=2")], (TRACE, "", "")),
        ([("traceparent", TRACE), ("ce_tracestate", "a=1")], (TRACE, "", "")),
        ([("ce_traceparent", ""), ("ce_tracestate", "")], ("", "", "")),
    ],
)
def test_the_trace_context_is_read_from_either_place(
    headers: list[tuple[str, str]], context: tuple[str, str, str]
) -> None:
    """Each state belongs to the parent that it came with."""
    bare = headers_of(EVENT._replace(traceparent=""))
    found = read(record([*bare, *((name, value.encode()) for name, value in headers)]))
    assert found == EVENT._replace(traceparent=joined(*context))


@pytest.mark.parametrize("name", ["tracestate", "baggage", "ce_tracestate", "traceparent", "ce_traceparent"])
@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"\xff",
        b"a=\x00",
        b"a=1\nce_id: x",
        b"no member",
        b"x" * 600,
        b"a=" + b"x" * 9000,
        b",".join(b"k%d=1" % n for n in range(40)) + b"," * 8200,
        b"a=" + b"x" * 100_000,
    ],
)
def test_a_context_that_is_none_or_too_long_harms_nothing(name: str, value: bytes | None) -> None:
    """Nor one that comes twice, or a hundred times."""
    others = [each for each in headers_of(EVENT) if each[0] != name]
    expected = EVENT if name != "traceparent" else EVENT._replace(traceparent="")
    for times in (1, 2, 100):
        assert read(record([*others, *[(name, value)] * times])) == expected
    twice = headers_of(EVENT._replace(traceparent=joined(TRACE, "a=1", "b=2")))
    context = "" if "parent" in name else joined(TRACE, "" if name == "tracestate" else "a=1", "b=2")
    if name == "baggage":
        context = joined(TRACE, "a=1", "")
    if not name.startswith("ce_"):
        assert read(record([*twice, (name, b"a=1")])).traceparent == context or name == "traceparent"


def test_too_many_or_too_large_headers_are_refused() -> None:
    """Their number and their size are bounded before anything is decoded."""
    with pytest.raises(HeadersError, match="65 are too many"):
        read(record([(f"x-{n}", b"") for n in range(65)]))
    with pytest.raises(HeadersError, match="bytes are too many"):
        read(record([*headers_of(EVENT), ("x", b"y" * 65_536)]))


def test_structured_mode_is_told_apart() -> None:
    """A foreign participant that is set up so should hear what to change."""
    with pytest.raises(HeadersError, match="send binary mode"):
        read(record([("content-type", b"application/cloudevents+avro")]))


@pytest.mark.parametrize("bad", ["", "x" * 256, "a\nb", "\x00"])
def test_a_saga_id_that_nobody_would_read_is_not_written(bad: str) -> None:
    """It is refused where it is made, not where it arrives."""
    with pytest.raises(HeadersError, match="ce_subject"):
        headers_of(EVENT._replace(saga_id=bad))


_names = st.sampled_from([name for name, _ in headers_of(EVENT)]) | st.text(max_size=20)
_values = st.none() | st.binary(max_size=60) | st.sampled_from([value for _, value in headers_of(EVENT)])


@given(st.lists(st.tuples(_names, _values), max_size=30), st.none() | st.binary(max_size=20))
def test_random_headers_raise_nothing_else(
    headers: list[tuple[str, bytes | None]], key: bytes | None
) -> None:
    """Whatever lies on a topic, the worker can make a dead letter of it."""
    with pytest.raises(HeadersError):
        read(record(headers, key))


@given(st.data())
def test_a_spoilt_event_raises_nothing_else(data: st.DataObject) -> None:
    """One header of a good event replaced: it is read, or refused by name."""
    name = data.draw(st.sampled_from([name for name, _ in headers_of(EVENT)]))
    try:
        read(with_header(name, data.draw(st.none() | st.binary(max_size=80))))
        named = name
    except HeadersError as refusal:
        named = refusal.message.split(":")[0]
    assert named == name
