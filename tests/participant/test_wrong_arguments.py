"""Arguments of another type, at every public call: refused at once, by an error that names the argument."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from choreo import Aborted, DecimalOf, External, Participant, Retry, Saga, all_of, connect, event
from choreo.errors import ConfigurationError, DeclarationError


@event(namespace="quiz")
class Asked:
    n: str


@event(namespace="quiz")
class Answered:
    n: str


@event(namespace="quiz")
class Lost:
    n: str
    reason: str


@event(namespace="quiz")
class Stopped:
    n: str


@event(namespace="quiz")
class Unknown:
    n: str
    reason: str


@event(namespace="quiz")
class Forgotten:
    n: str


@event(namespace="quiz")
class Late:
    n: str


class Plain:
    """Neither an event nor anything else of choreo's."""


SPAN = timedelta(milliseconds=10)
quiz = Saga("quiz", starts=Asked, completes=Answered, fails=Lost, aborts=Stopped)

WRONG: Mapping[str, Any] = {
    "a number": 7,
    "a fraction": 0.5,
    "a truth": True,
    "bytes": b"x",
    "a text": "x y",
    "an empty text": "",
    "nothing": None,
    "a list": ["x"],
    "a table": {"x": 1},
    "a UUID": uuid.UUID(int=7),
    "a time": datetime(2026, 1, 31),
    "a span": SPAN,
    "a class": Plain,
    "an object": Plain(),
    "an event class": Unknown,
    "an event": Asked("1"),
    "a path": Path("x/y.db"),
    "a function": len,
    "a saga": quiz,
}
"""Values of each sort; those that are right for an argument are left out there."""


def action(**options: Any) -> None:
    participant = Participant("sage", sagas=[quiz])

    def ponder(event: Asked) -> Forgotten:
        return Forgotten(event.n)

    participant.action(**{"fails": Unknown, **options})(ponder)


def compensation(**options: Any) -> None:
    participant = Participant("sage", sagas=[quiz])

    @participant.action(fails=Unknown)
    def ponder(event: Asked) -> Forgotten:
        return Forgotten(event.n)

    def undo(forgotten: Forgotten) -> Late:
        return Late(forgotten.n)

    participant.compensation(**{"of": ponder, **options})(undo)


def observer(**options: Any) -> None:
    def look(event: Asked) -> None: ...

    Participant("sage", sagas=[quiz]).observer(**options)(look)


def deadline(**options: Any) -> None:
    def late(event: Asked) -> Late:
        return Late(event.n)

    Participant("sage", sagas=[quiz]).deadline(**{"of": "other.ponder", "within": SPAN, **options})(late)


def started(participant: Participant, **options: Any) -> None:
    with participant.transaction() as tx:
        tx.start(**{"event": Asked("1"), **options})


def cancelled(participant: Participant, **options: Any) -> None:
    with participant.transaction() as tx:
        tx.cancel(**{"event": Stopped("1"), "saga_id": "s1", **options})


@dataclass(frozen=True)
class Public:
    """A public callable: the arguments that it requires, and the sorts that are right for each argument."""

    call: Callable[..., Any]
    given: Mapping[str, Any]
    right: Mapping[str, tuple[str, ...]]


_EVENT = ("an event class",)
_MAYBE = ("nothing",)
_RETRY = ("nothing",)
_SPAN = ("a span",)
_FUNCTION = ("a function", "nothing", "a class", "an event class")
_ID = ("a text", "nothing")
_SAGA = ("a saga", "nothing")

PUBLIC: Mapping[str, Public] = {
    "event": Public(
        lambda **given: event(**given)(type("Made", (), {"__annotations__": {}})),
        {},
        {"namespace": ("an empty text",), "name": ("an empty text",)},
    ),
    "Saga": Public(
        Saga,
        {"name": "quiz", "starts": Asked, "completes": Answered, "fails": Lost},
        {
            "name": (),
            "starts": _EVENT,
            "completes": _EVENT,
            "fails": _EVENT,
            "aborts": (*_EVENT, *_MAYBE),
            "topic": ("an empty text",),
            "version": ("a number",),
            "namespaces": ("a list",),
        },
    ),
    "Retry": Public(
        Retry,
        {},
        {"attempts": ("a number", *_MAYBE), "delay": _SPAN, "factor": ("a number",), "longest": ()},
    ),
    "External": Public(
        lambda **given: Participant("sage", sagas=[quiz], external=[External(**given)]).roles(),
        {"event": Forgotten, "topic": "carrier", "saga_id": len},
        {
            "event": _EVENT,
            "topic": (),
            "saga_id": ("a function", "a class", "an event class"),
            "decode": _FUNCTION,
            "saga": _SAGA,
        },
    ),
    "Participant": Public(
        Participant,
        {"name": "sage", "sagas": [quiz]},
        {"name": (), "sagas": (), "retry": _RETRY, "prepare": _FUNCTION, "external": ()},
    ),
    "action": Public(
        action,
        {},
        {
            "fails": _EVENT,
            "kind": (),
            "timeout": (*_SPAN, *_MAYBE),
            "retry": _RETRY,
            "on": (*_EVENT, *_MAYBE),
            "emits": (*_EVENT, *_MAYBE),
            "saga": _SAGA,
            "answer": _FUNCTION,
            "blocking": ("a truth", *_MAYBE),
            "partial": ("a truth", *_MAYBE),
        },
    ),
    "compensation": Public(
        compensation,
        {},
        {
            "of": (),
            "on": (*_EVENT, *_MAYBE),
            "retry": _RETRY,
            "ignore": (),
            "answer": _FUNCTION,
            "blocking": ("a truth", *_MAYBE),
        },
    ),
    "observer": Public(observer, {}, {"on": (*_EVENT, *_MAYBE), "retry": _RETRY, "saga": _SAGA}),
    "deadline": Public(
        deadline,
        {},
        {"of": (), "within": _SPAN, "after": (*_EVENT, *_MAYBE), "retry": _RETRY, "saga": _SAGA},
    ),
    "all_of": Public(lambda events: all_of(Asked, events), {}, {"events": _EVENT}),
    "DecimalOf": Public(
        DecimalOf, {"precision": 8, "scale": 2}, {"precision": ("a number",), "scale": ("a number",)}
    ),
    "start": Public(started, {}, {"event": ("an event",), "saga_id": _ID, "saga": _SAGA}),
    "cancel": Public(cancelled, {}, {"event": (), "saga_id": ("a text",), "saga": _SAGA}),
    "status": Public(
        lambda participant, **given: participant.status(**{"saga_id": "s1", **given}),
        {},
        {"saga_id": ("a text", "an empty text"), "saga": _SAGA},
    ),
    "wait": Public(
        lambda participant, **given: participant.wait(**{"saga_id": "s1", "timeout": SPAN * 0, **given}),
        {},
        {"saga_id": ("a text", "an empty text"), "timeout": _SPAN, "saga": _SAGA},
    ),
    "connect": Public(
        lambda participant, **given: connect(**{"participant": participant, "store": "x.db", **given}),
        {},
        {
            "participant": (),
            "store": ("a text", "a path"),
            "schemas": ("a list",),
            "lock": ("a text", "a path", "nothing"),
        },
    ),
}

CASES = [
    (name, argument, sort)
    for name, public in PUBLIC.items()
    for argument, right in public.right.items()
    for sort in WRONG
    if sort not in right
]


@pytest.fixture
def sage(tmp_path: Path) -> Iterator[Participant]:
    participant = Participant("sage", sagas=[quiz])

    @participant.compensation(of=quiz.start)
    def forget(event: Aborted, asked: Asked) -> Lost:
        return Lost(asked.n, "")

    with connect(participant, tmp_path / "sage.db"):
        yield participant


def test_every_argument_of_another_type_is_refused(sage: Participant) -> None:
    """By choreo's own error, which names the argument, or the value that was given."""
    wrong = []
    for name, argument, sort in CASES:
        public, value = PUBLIC[name], WRONG[sort]
        call = public.call
        if name in ("start", "cancel", "status", "wait", "connect"):
            call = partial(call, **({} if argument == "participant" else {"participant": sage}))
        try:
            call(**{**public.given, argument: value})
        except (ConfigurationError, DeclarationError) as error:
            named = (argument, repr(value), str(value) or "''", getattr(value, "__name__", argument))
            if not any(each in str(error) for each in named):
                wrong.append(f"{name}({argument}={value!r}): {error}")
        except BaseException as error:
            wrong.append(f"{name}({argument}={value!r}): {type(error).__name__}: {error}")
        else:
            wrong.append(f"{name}({argument}={value!r}): accepted")
    assert not wrong, "\n" + "\n".join(wrong)


def test_every_value_that_is_right_is_taken(sage: Participant) -> None:
    """So that the table above is not too narrow."""
    for name, public in PUBLIC.items():
        for argument, right in public.right.items():
            for sort in right:
                call = public.call
                if name in ("start", "cancel", "status", "wait"):
                    call = partial(call, participant=sage)
                if name == "connect":
                    continue
                with suppress(DeclarationError):  # right by its type, wrong beside the others
                    call(**{**public.given, argument: WRONG[sort]})
