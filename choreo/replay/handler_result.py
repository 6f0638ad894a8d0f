"""``HandlerResult``: the result of a handler, either recorded or returned by today's code, to be compared."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any, NamedTuple

from choreo.errors import BodyError, UndeclaredEvent
from choreo.ports import Codec
from choreo.records import Entry
from choreo.worker.attempt import ALREADY_GONE, Attempt, Verdict
from choreo.worker.results import GAVE_UP

_LONGEST = 200
"""The most characters of an event in a report."""


class HandlerResult(NamedTuple):
    """An event, or the reason why there is none; ``body`` is None where it isn't known."""

    verdict: Verdict
    type: str = ""
    body: bytes | None = None
    reason: str = ""

    @classmethod
    def recorded(cls, entry: Entry, following: Entry | None) -> HandlerResult:
        """Return the result that a row recorded; a deadline's event is in the row that follows."""
        if entry.input == "observed":
            return cls("returned")
        if entry.input == "due":
            return cls("returned", following.event_type, following.payload) if following else cls("returned")
        if entry.kind == "returned" or (entry.kind == "partial" and entry.event_type):
            return cls("returned", entry.event_type, entry.payload)
        if entry.note == ALREADY_GONE:
            return cls("ignored")
        if entry.note.startswith(GAVE_UP):
            return cls("transient", reason=entry.note.partition(": ")[2])
        return cls("permanent", reason=entry.note)

    @classmethod
    def of(cls, attempt: Attempt) -> HandlerResult:
        """Return the result of an attempt."""
        if attempt.verdict == "ignored":
            return cls("ignored")
        return cls(attempt.verdict, attempt.type, attempt.body, attempt.reason)

    def matches(self, other: HandlerResult, codec: Codec) -> bool:
        """Whether two results are the same; an event may have other bytes by another schema."""
        if self.verdict != "returned" or other.verdict != "returned":
            return (self.verdict, self.reason) == (other.verdict, other.reason)
        if self.type != other.type:
            return False
        if not self.type or self.body is None or other.body is None or self.body == other.body:
            return True
        event = _event(self, codec)
        return event is not None and bool(event == _event(other, codec))


def difference(one: HandlerResult, other: HandlerResult, codec: Codec) -> tuple[str, str]:
    """Return two differing results as text: of two events of one type only the fields that differ."""
    if one.verdict == other.verdict == "returned" and one.type == other.type:
        first, second = _event(one, codec), _event(other, codec)
        names = _different(first, second)
        if names:
            return _fields(one.type, first, names), _fields(other.type, second, names)
    return _in_words(one, codec), _in_words(other, codec)


def _in_words(result: HandlerResult, codec: Codec) -> str:
    if result.verdict == "returned":
        event = _event(result, codec) if result.body is not None else None
        return _short(repr(event)) if event is not None else result.type or "no event"
    if result.reason == UndeclaredEvent.__name__:
        return "no event, or one that it does not declare"
    return f"{_WORDS[result.verdict]}{result.reason}"


_WORDS: dict[Verdict, str] = {
    "ignored": ALREADY_GONE,
    "permanent": "failed: ",
    "transient": "raises ",
    "unreadable": "can't read its events: ",
    "unknown-fingerprint": "can't read its events: ",
}


def _event(result: HandlerResult, codec: Codec) -> Any:
    try:
        return codec.decode(result.type, result.body)
    except (BodyError, KeyError):
        return None


def _different(one: Any, other: Any) -> list[str]:
    if not (is_dataclass(one) and type(one) is type(other)):
        return []
    names = [field.name for field in fields(one)]
    return [name for name in names if getattr(one, name) != getattr(other, name)]


def _fields(name: str, event: Any, names: list[str]) -> str:
    values = ", ".join(f"{each}={getattr(event, each)!r}" for each in names)
    return _short(f"{name.rpartition('.')[2]}({values}, …)")


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
