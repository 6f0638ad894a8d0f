"""Fakes: events with arbitrary values, and participants from their manifests, without their code."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import typing
import uuid
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from choreo.errors import ConfigurationError, DeclarationError
from choreo.events import event, event_name, short_name
from choreo.manifest import HandlerEntry, Manifest, SagaEntry
from choreo.outcome import START
from choreo.participant import Handler, Parameter, Participant
from choreo.participant.handler import Place
from choreo.saga import Saga

_VALUES: dict[Any, Any] = {
    str: "made-up",
    int: 1,
    float: 1.0,
    bool: True,
    bytes: b"made-up",
    Decimal: Decimal(1),
    uuid.UUID: uuid.UUID(int=0),
    dt.datetime: dt.datetime(2030, 1, 1, tzinfo=dt.UTC),
    dt.date: dt.date(2030, 1, 1),
    dt.time: dt.time(12),
    dt.timedelta: dt.timedelta(seconds=1),
    type(None): None,
}
_EMPTY: dict[Any, Callable[[], Any]] = {list: list, tuple: tuple, dict: dict, set: set, frozenset: frozenset}


def fake_event(cls: type, like: Iterable[object] = ()) -> Any:
    """Return an event of a class, whose fields have the values of that name in ``like``, or arbitrary ones.

    >>> from examples.orders.contract import InventoryReserved, OrderCreated
    >>> fake_event(InventoryReserved, [OrderCreated("o-1", "ada", "pear", 2, 100, "12 Elm Street")])
    InventoryReserved(order_id='o-1', customer='ada', total=100, address='12 Elm Street')
    """
    known = {field.name: getattr(each, field.name) for each in like for field in dataclasses.fields(each)}  # type: ignore[arg-type]
    hints = typing.get_type_hints(cls)
    return cls(
        **{field.name: _value(cls, field, hints[field.name], known) for field in dataclasses.fields(cls)}
    )


def _value(cls: type, field: dataclasses.Field[Any], hint: Any, known: dict[str, Any]) -> Any:
    if field.name in known:
        return known[field.name]
    if field.default is not dataclasses.MISSING:
        return field.default
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    try:
        return _made_up(hint)
    except KeyError:
        raise ConfigurationError(
            f"no value can be made up for {cls.__name__}.{field.name}: {hint}", hint="give it a default"
        ) from None


def _made_up(hint: Any) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return _made_up(arguments[0])
    if origin is typing.Literal:
        return arguments[0]
    if origin in _EMPTY or hint in _EMPTY:
        return _EMPTY[origin or hint]()
    if arguments:  # a union
        return None if type(None) in arguments else _made_up(arguments[0])
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return next(iter(hint))
    return fake_event(hint) if isinstance(hint, type) and dataclasses.is_dataclass(hint) else _VALUES[hint]


def fake_participants(manifests: Iterable[Manifest]) -> list[Participant]:
    """Return a participant for each manifest, whose handlers return their declared events without any effect.

    The events have no fields, as the course of a saga does not depend on payloads.
    """
    events = _Events()
    sagas: dict[str, Saga] = {}
    return [_participant(manifest, events, sagas) for manifest in manifests]


class _Events(dict[str, type]):
    """Event classes by name, created on first use."""

    def __missing__(self, name: str) -> type:
        namespace = name.rpartition(".")[0]
        self[name] = event(namespace=namespace)(type(short_name(name), (), {}))
        return self[name]


def _participant(manifest: Manifest, events: _Events, sagas: dict[str, Saga]) -> Participant:
    for entry in manifest.sagas:
        if entry.name not in sagas:
            sagas[entry.name] = _saga(entry, events, manifest)
    _refuse_foreign(manifest)
    own = [sagas[entry.name] for entry in manifest.sagas]
    handlers = [_handler(each, events, sagas[each.saga]) for each in manifest.handlers]
    return Participant(manifest.participant, sagas=own).with_handlers(handlers)


def _refuse_foreign(manifest: Manifest) -> None:
    steps = {START, *(each.step for each in manifest.handlers if each.task == "action")}
    for each in manifest.handlers:
        if each.task == "compensation" and each.step not in steps:
            raise DeclarationError(
                f"{each.place}: {each.name} undoes {each.step}, which is another participant's",
                hint="no worker runs that: mend it first",
            )


def _saga(entry: SagaEntry, events: _Events, manifest: Manifest) -> Saga:
    return Saga(
        entry.name,
        starts=events[entry.starts],
        completes=events[entry.completes],
        fails=events[entry.fails],
        aborts=events[entry.aborts] if entry.aborts else None,
        topic=entry.topic,
        version=entry.version,
        namespaces=tuple(sorted({name.rpartition(".")[0] for name in manifest.schemas})),
    )


def _handler(entry: HandlerEntry, events: _Events, saga: Saga) -> Handler:
    emits = {name: events[name] for name in (*entry.emits.successes, *entry.emits.failures)}
    made = [fake_event(cls) for cls in emits.values()]
    file, _, line = entry.place.rpartition(":")
    return Handler(
        name=entry.name,
        task=entry.task,  # type: ignore[arg-type]
        step=entry.step,
        saga=saga,
        function=lambda *_: made[0] if made else None,
        place=Place(file, int(line) if line.isdigit() else 0),
        parameters=tuple(_parameters(entry, events)),
        trigger=entry.trigger,
        emits=emits,
        fails=tuple(events[name] for name in entry.emits.failures),
        kind=entry.kind or "compensatable",  # type: ignore[arg-type]
        timeout=_time(entry.timeout_ms),
        within=_time(entry.within_ms),
        callers=tuple(events[name] for name in sorted(entry.trigger.types)),
        partial=entry.partial,
        runs=entry.runs,  # type: ignore[arg-type]
        derived=entry.derived,
        versions=entry.versions,
        formerly=entry.formerly,
    )


def _parameters(entry: HandlerEntry, events: _Events) -> Iterable[Parameter]:
    """Yield a compensation's parameters for the undone event and for `Aborted`."""
    if entry.task != "compensation":
        return
    callers = tuple(events[name] for name in sorted(entry.trigger.types))
    if callers:
        yield Parameter("event", callers, optional=entry.aborted)
    if entry.results:
        results = tuple(events[name] for name in sorted(entry.results))
        yield Parameter("done", results, is_result=True, optional=entry.optional_result)


def _time(milliseconds: int | None) -> dt.timedelta | None:
    return None if milliseconds is None else dt.timedelta(milliseconds=milliseconds)


def by_name(events: Iterable[type]) -> dict[str, type]:
    """Return event classes by their full names."""
    return {event_name(cls): cls for cls in events}
