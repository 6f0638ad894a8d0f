"""The headers of an event: CloudEvents 1.0, Kafka protocol binding 1.0.2, binary mode.

Every participant reads the headers of every event, even of those it doesn't handle, so this is the hottest
path of all. Headers that are the same for all events of a step (source, type, step) are joined or parsed
once and cached; a record for which the fast path of `read` fails is read again header by header, which finds
the error.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple, TypeVar, cast, get_args

from choreo.envelope import Envelope
from choreo.errors import HeadersError
from choreo.outcome import TIMED_OUT, Kind, Outcome
from choreo.records import FIRST_MOMENT, LAST_MOMENT, Record
from choreo.trace_context import context_in, headers_in, is_of_context, is_traceparent

K = TypeVar("K")
V = TypeVar("V")

CONTENT_TYPE: Final = "application/avro"
MAX_HEADERS: Final = 64
MAX_BYTES: Final = 64 * 1024
"""The greatest size of a record's headers, names and values together."""
MAX_SAGA_ID: Final = 255
MAX_ATTRIBUTE: Final = 1024
"""The greatest length of any attribute other than the saga's id, in characters."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_CACHED: Final = 1024
_OUTCOMES: Final = frozenset(get_args(Outcome))
_KINDS: Final = frozenset(get_args(Kind))
_SINGLE: Final = frozenset({"content-type"})

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_VERSION: Final = re.compile(r"[1-9][0-9]{0,8}")
_RFC3339: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)

_COMMON: Final = (
    "ce_specversion",
    "ce_source",
    "ce_type",
    "ce_sagatype",
    "ce_sagaversion",
    "ce_step",
    "ce_outcome",
    "ce_stepkind",
)
_SHARED: Final = frozenset((*_COMMON, "content-type"))
_NEEDED: Final = len(_COMMON) + len(("ce_id", "ce_subject", "ce_time"))
_CONTENT_TYPE: Final = CONTENT_TYPE.encode()
_PLAIN: Final = re.compile(r"[0-9-]{10}T[0-9:]{8}\.[0-9]{3}Z")
"""A time in the format of `headers_of`, which `read` parses in two parts."""


class _Origin(NamedTuple):
    """The headers that all events of one step, outcome and type share."""

    source: str
    type: str
    saga_type: str
    saga_version: int
    step: str
    outcome: Outcome
    kind: Kind


_joined: dict[tuple[object, ...], str] = {}
_headers: dict[str, tuple[str, bytes]] = {}
_parsed: dict[tuple[object, ...], _Origin] = {}
_seconds: dict[int, str] = {}
_starts: dict[bytes, int] = {}
_THOUSANDTHS: Final = {f".{rest:03d}Z".encode(): rest for rest in range(1000)}


def lines_of(envelope: Envelope) -> str:
    """Return an envelope's headers as lines ``name: value``, in which the outbox holds them.

    The cause and the trace context are left out where empty. No value contains a newline. Raises
    `HeadersError` for a saga id or event id that `read` would refuse.
    """
    event_id, source, event_type, time, saga_id, saga_type, version, step, outcome, kind, cause, trace = (
        envelope
    )
    origin = (source, event_type, saga_type, version, step, outcome, kind)
    common = _joined.get(origin) or _join(origin)
    if not (0 < len(saga_id) <= MAX_SAGA_ID and saga_id.isprintable() and event_id.isprintable()):
        _text("ce_subject", saga_id, MAX_SAGA_ID)
        _text("ce_id", event_id, MAX_ATTRIBUTE)
    lines = f"ce_id: {event_id}\nce_time: {_rfc3339(time)}\nce_subject: {saga_id}\n{common}"
    if cause:
        lines += f"\nce_causationid: {cause}"
    if trace:
        lines += "".join([f"\n{name}: {value}" for name, value in headers_in(trace)])
    return lines


def headers_of(envelope: Envelope) -> list[tuple[str, bytes]]:
    """Return an envelope as headers. Raises `HeadersError` as `lines_of` does."""
    return headers_from(lines_of(envelope))


def headers_from(lines: str) -> list[tuple[str, bytes]]:
    """Return the headers of `lines_of`."""
    known = _headers.get
    return [known(line) or _header(line) for line in lines.split("\n")]


def read(record: Record) -> Envelope:
    """Return a record's headers as an envelope; the body is not read.

    Raises `HeadersError`, naming the header and the problem, for a record that is not an event of a
    saga: an attribute missing, doubled, too long, not UTF-8 or not of its vocabulary, a key that isn't the
    saga's id, or a source that doesn't own the step. Unknown headers are ignored; so is a trace
    context that isn't one (W3C Trace Context: start a new trace).
    """
    headers = record.headers
    fields = dict(headers)
    get = fields.get
    origin = _parsed.get(tuple(map(get, _COMMON)))
    if origin is None:
        return _read_carefully(record)
    try:
        event_id = fields["ce_id"].decode()  # type: ignore[union-attr]
        saga_id = fields["ce_subject"].decode()  # type: ignore[union-attr]
        moment = fields["ce_time"]
        time = _starts[moment[:19]] + _THOUSANDTHS[moment[19:]]  # type: ignore[index]
        cause = get("ce_causationid", b"").decode()  # type: ignore[union-attr]
        trace = get("traceparent", b"").decode()  # type: ignore[union-attr]
    except (KeyError, AttributeError, TypeError, UnicodeDecodeError):
        return _read_carefully(record)
    known = _NEEDED + (cause != "") + (trace != "") + (get("content-type") == _CONTENT_TYPE)
    context = trace
    if known != len(headers) and ("tracestate" in fields or "baggage" in fields):
        known += ("tracestate" in fields) + ("baggage" in fields)
        context = context_in(fields)
    text = event_id + saga_id + cause + trace
    if (
        known != len(headers)  # an unknown header, or one twice
        or fields["ce_subject"] != record.key
        or not (event_id and saga_id)
        or len(text) > MAX_SAGA_ID
        or not text.isprintable()
        or (trace and not is_traceparent(trace))
    ):
        return _read_carefully(record)
    source, event_type, saga_type, version, step, outcome, kind = origin
    return Envelope(
        event_id, source, event_type, time, saga_id, saga_type, version, step, outcome, kind, cause, context
    )


def _join(origin: tuple[str, str, str, int, str, Outcome, Kind]) -> str:
    source, event_type, saga_type, version, step, outcome, kind = origin
    lines = (
        "ce_specversion: 1.0",
        f"ce_source: {source}",
        f"ce_type: {event_type}",
        f"ce_sagatype: {saga_type}",
        f"ce_sagaversion: {version}",
        f"ce_step: {step}",
        f"ce_outcome: {outcome}",
        f"ce_stepkind: {kind}",
        f"content-type: {CONTENT_TYPE}",
    )
    _bounded(_joined)[origin] = common = "\n".join(lines)
    return common


def _header(line: str) -> tuple[str, bytes]:
    name, _, value = line.partition(": ")
    header = (name, value.encode())
    if name in _SHARED:
        _bounded(_headers)[line] = header
    return header


def _rfc3339(time: int) -> str:
    """Return milliseconds since the epoch as RFC 3339; the text of a second is cached."""
    second, rest = divmod(time, 1000)
    text = _seconds.get(second)
    if text is None:
        moment = _EPOCH + timedelta(seconds=second)
        text = _bounded(_seconds)[second] = moment.replace(tzinfo=None).isoformat()
    return f"{text}.{rest:03d}Z"


def _read_carefully(record: Record) -> Envelope:
    """Read a record header by header. Raises `HeadersError` for the first bad one."""
    fields = _fields(record.headers)
    if not fields.keys() & {"ce_specversion", "ce_id"} and _structured(fields.get("content-type")):
        raise HeadersError("content-type: structured mode is not read", hint="send binary mode")
    if (specification := _attribute(fields, "ce_specversion")) != "1.0":
        raise HeadersError(f"ce_specversion: must be 1.0, not {_short(specification)}")
    saga_id = _attribute(fields, "ce_subject", MAX_SAGA_ID)
    if record.key != saga_id.encode():
        raise HeadersError("ce_subject: must be the record's key, the saga's id")
    origin = _origin(fields)
    return Envelope(
        id=_attribute(fields, "ce_id"),
        time=_time(_attribute(fields, "ce_time")),
        saga_id=saga_id,
        causation_id=_attribute(fields, "ce_causationid") if "ce_causationid" in fields else "",
        traceparent=context_in(fields),
        **origin._asdict(),
    )


def _origin(fields: dict[str, bytes | None]) -> _Origin:
    """Parse the headers that a step's events share, and cache them for `read`."""
    version = _attribute(fields, "ce_sagaversion")
    if not _VERSION.fullmatch(version):
        raise HeadersError(f"ce_sagaversion: {_short(version)} is not a whole number from 1")
    origin = _Origin(
        source=_attribute(fields, "ce_source"),
        type=_attribute(fields, "ce_type"),
        saga_type=_attribute(fields, "ce_sagatype"),
        saga_version=int(version),
        step=_attribute(fields, "ce_step"),
        outcome=cast("Outcome", _vocabulary(fields, "ce_outcome", _OUTCOMES)),
        kind=cast("Kind", _vocabulary(fields, "ce_stepkind", _KINDS)),
    )
    owner, dot, _ = origin.step.partition(".")
    if dot and owner != origin.source and origin.outcome != TIMED_OUT:
        raise HeadersError(
            f"ce_source: {_short(origin.source)} does not own the step {_short(origin.step)}",
            hint=f"an outcome comes from {_short(owner)}; only a timeout may come from another participant",
        )
    _bounded(_parsed)[tuple(map(fields.get, _COMMON))] = origin
    return origin


def _fields(headers: Sequence[tuple[str, bytes | None]]) -> dict[str, bytes | None]:
    """Return the headers by name. Raises `HeadersError` for too many, too large or doubled ones."""
    counted = [each for each in headers if not is_of_context(each[0])]
    if len(counted) > MAX_HEADERS:
        raise HeadersError(f"headers: {len(counted)} are too many", hint=f"{MAX_HEADERS} at most")
    size = sum(len(name) + len(value or b"") for name, value in counted)
    if size > MAX_BYTES:
        raise HeadersError(f"headers: {size} bytes are too many", hint=f"{MAX_BYTES} at most")
    fields: dict[str, bytes | None] = {}
    for name, value in headers:
        if name in fields and is_of_context(name):
            value = None
        elif name in fields and (name.startswith("ce_") or name in _SINGLE):
            raise HeadersError(f"{_short(name)}: comes twice")
        fields[name] = value
    return fields


def _attribute(fields: dict[str, bytes | None], name: str, longest: int = MAX_ATTRIBUTE) -> str:
    value = fields.get(name)
    if value is None:
        raise HeadersError(f"{name}: missing")
    try:
        text = value.decode()
    except UnicodeDecodeError:
        raise HeadersError(f"{name}: not UTF-8") from None
    return _text(name, text, longest)


def _text(name: str, text: str, longest: int) -> str:
    if not text:
        raise HeadersError(f"{name}: empty")
    if len(text) > longest:
        raise HeadersError(f"{name}: {len(text)} characters are too many", hint=f"{longest} at most")
    if _CONTROL.search(text):
        raise HeadersError(f"{name}: holds a control character")
    return text


def time_in(headers: str) -> int:
    """Return the time of an event (ms) in its headers as an outbox holds them, 0 where none can be read.

    >>> time_in("ce_id: 1\\nce_time: 2026-01-31T12:00:00Z")
    1769860800000
    """
    for line in headers.split("\n"):
        if line.startswith("ce_time: "):
            try:
                return _time(line.removeprefix("ce_time: "))
            except HeadersError:
                return 0
    return 0


def _time(text: str) -> int:
    """Parse RFC 3339 into milliseconds since the epoch; finer parts are cut off."""
    if not _RFC3339.fullmatch(text):
        raise HeadersError(f"ce_time: {_short(text)} is not a time as RFC 3339 writes it")
    try:
        time = (datetime.fromisoformat(text.upper()) - _EPOCH) // _MILLISECOND
    except (ValueError, OverflowError):
        raise HeadersError(f"ce_time: {_short(text)} is no moment of the calendar") from None
    time = min(max(time, FIRST_MOMENT), LAST_MOMENT)  # an offset can lead out of the calendar
    if _PLAIN.fullmatch(text):
        _bounded(_starts)[text[:19].encode()] = time - time % 1000
    return time


def _vocabulary(fields: dict[str, bytes | None], name: str, words: frozenset[str]) -> str:
    word = _attribute(fields, name)
    if word not in words:
        raise HeadersError(f"{name}: {_short(word)} is not known", hint=f"one of {', '.join(sorted(words))}")
    return word


def _bounded(cache: dict[K, V]) -> dict[K, V]:
    """Return a cache with room for one more entry, emptied where it was full."""
    if len(cache) >= _CACHED:
        cache.clear()
    return cache


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:40]}…")


def _structured(content_type: bytes | None) -> bool:
    return content_type is not None and content_type.startswith(b"application/cloudevents")
