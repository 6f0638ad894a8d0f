"""The trace context of an event, as one text: W3C Trace Context and W3C Baggage, a line for each header.

Source: W3C, "Trace Context" (levels 1 and 2) and "Propagation format for distributed context: Baggage".
What is no context, or too long, is left out in silence: a trace may break, a saga may not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

HEADERS: Final = ("traceparent", "tracestate", "baggage")

_OF_CLOUDEVENTS: Final = ("ce_traceparent", "ce_tracestate")
"""The same in CloudEvents' "Distributed Tracing" extension, as its SDKs write them."""

_MOST_STATE: Final = 512
"""Characters of a ``tracestate``, which every reader must be able to take."""
_MOST_MEMBERS: Final = 32
_MOST_BAGGAGE: Final = 8192
_STATE: Final = re.compile(r"[a-z0-9][a-z0-9_\-*/@]{0,255}=[ -+\--<>-~]{0,255}[!-+\--<>-~]")
_BAGGAGE: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+[ \t]*=[ \t]*[!#-+\--:<-\[\]-~]*[ \t]*(;.*)?")


def is_traceparent(text: str) -> bool:
    """Whether it has the form ``version-trace-parent-flags``; the parts are not checked."""
    dashed = len(text) == 55 and text[2] == text[35] == text[52] == "-"
    return dashed and text.isascii() and text.isprintable()


def joined(traceparent: str, tracestate: str, baggage: str) -> str:
    """Return the text of a context; a ``tracestate`` counts only beside its ``traceparent``.

    >>> joined("", "vendor=1", "tenant=acme").split("\\n")
    ['', '', 'tenant=acme']
    """
    if not (tracestate or baggage):
        return traceparent
    return "\n".join((traceparent, tracestate if traceparent else "", baggage)).rstrip("\n")


def headers_in(text: str) -> list[tuple[str, str]]:
    """Return the headers of a context, as `joined` has made it."""
    return [(name, value) for name, value in zip(HEADERS, text.split("\n"), strict=False) if value]


def context_in(fields: Mapping[str, bytes | None]) -> str:
    """Return the context in a record's headers; empty where there is none."""
    parent, state = (_text(fields.get(name)) for name in HEADERS[:2])
    if not is_traceparent(parent):
        parent, state = (_text(fields.get(name)) for name in _OF_CLOUDEVENTS)
    baggage = _text(fields.get(HEADERS[2]))
    return joined(
        parent if is_traceparent(parent) else "",
        state if _is_list(state, _STATE, _MOST_STATE, _MOST_MEMBERS) else "",
        baggage if _is_list(baggage, _BAGGAGE, _MOST_BAGGAGE, _MOST_BAGGAGE) else "",
    )


def is_of_context(name: str) -> bool:
    """Whether a header is of the context, and so may be wrong without harm."""
    return name in HEADERS or name in _OF_CLOUDEVENTS


def _text(value: bytes | None) -> str:
    """Return a header's value; empty where it is missing or not printable ASCII."""
    text = (value or b"")[: _MOST_BAGGAGE + 1].decode("ascii", "replace")
    return text if text.isascii() and text.isprintable() else ""


def _is_list(text: str, member: re.Pattern[str], longest: int, most: int) -> bool:
    if not text or len(text) > longest:
        return False
    members = [each.strip() for each in text.split(",")]
    return len(members) <= most and all(member.fullmatch(each) for each in members if each)
