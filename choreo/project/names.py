"""Finds by which names a participant's modules know events, sagas and the participant itself."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from choreo.events import Aborted, Earlier, event, event_name
from choreo.manifest import ModuleEntry
from choreo.participant import Context, Participant

_CHOREO = {
    "choreo.Aborted": Aborted,
    "choreo.Context": Context,
    "choreo.Earlier": Earlier,
    "choreo.event": event,
}


def modules_of(participant: Participant, locate: Callable[[str], str]) -> tuple[ModuleEntry, ...]:
    """Return the modules of a participant's handlers, with the names that code pasted there can use.

    ``locate`` returns the name of a source file within the project.
    """
    things = _things(participant)
    files = {handler.function.__module__: handler.place.file for handler in participant.handlers}
    found = ((sys.modules.get(name), file) for name, file in files.items())
    entries = (
        ModuleEntry(locate(file), module.__name__, _names(module, things)) for module, file in found if module
    )
    return tuple(sorted(entries, key=lambda each: each.file))


def origins_of(participant: Participant) -> dict[str, str]:
    """Return the dotted names from which each event, saga and the participant can be imported."""
    found: dict[str, str] = {}
    for cls in participant.events:
        if "<" not in cls.__qualname__ and "." not in cls.__qualname__:
            found[event_name(cls)] = f"{cls.__module__}.{cls.__qualname__}"
    homes = dict.fromkeys(
        [*(saga.starts.__module__ for saga in participant.sagas)]
        + [handler.function.__module__ for handler in participant.handlers]
    )
    wanted = {key: thing for key, thing in _things(participant).items() if not key.startswith("choreo.")}
    for home in homes:
        known = _globals(sys.modules[home]) if home in sys.modules else {}
        for key, thing in wanted.items():
            if id(thing) in known:
                found.setdefault(key, f"{home}.{known[id(thing)]}")
    return dict(sorted(found.items()))


def _things(participant: Participant) -> dict[str, Any]:
    """Return what pasted code may name, by the keys of a `ModuleEntry`."""
    events = {event_name(cls): cls for cls in participant.events}
    sagas = {f"saga {saga.name}": saga for saga in participant.sagas}
    return {"participant": participant, **sagas, **events, **_CHOREO}


def _names(module: ModuleType, things: dict[str, Any]) -> dict[str, str]:
    """Return how a module's code can name things: by its own globals, or by those of a module in it."""
    own = _globals(module)
    inner = [(alias, value) for alias, value in vars(module).items() if isinstance(value, ModuleType)]
    missing = [key for key, thing in things.items() if id(thing) not in own]
    by_module = {alias: _globals(each) for alias, each in inner if missing and not alias.startswith("__")}
    named = {key: own.get(id(thing), "") for key, thing in things.items()}
    for key in missing:
        found = (
            f"{alias}.{known[id(things[key])]}"
            for alias, known in by_module.items()
            if id(things[key]) in known
        )
        named[key] = next(found, "")
    return {key: name for key, name in sorted(named.items()) if name}


def _globals(module: ModuleType) -> dict[int, str]:
    """Return the first name of each value among a module's globals, by the value's identity."""
    found: dict[int, str] = {}
    for name, value in list(vars(module).items()):
        if name.isidentifier():
            found.setdefault(id(value), name)
    return found
