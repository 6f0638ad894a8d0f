"""Finds by which names a participant's modules know events, sagas and the participant itself."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from choreo.events import Aborted, Earlier, event, event_name
from choreo.manifest import ModuleEntry
from choreo.participant import Context, Participant

_CHOREO = {"choreo.Aborted": Aborted, "choreo.Context": Context, "choreo.Earlier": Earlier, "choreo.event": event}


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
    for key, thing in _things(participant).items():
        if key not in found and not key.startswith("choreo."):
            named = ((home, _name(sys.modules.get(home), thing)) for home in homes)
            home, name = next(((home, name) for home, name in named if name), ("", ""))
            if name and "." not in name:
                found[key] = f"{home}.{name}"
    return dict(sorted(found.items()))


def _things(participant: Participant) -> dict[str, Any]:
    """Return what pasted code may name, by the keys of a `ModuleEntry`."""
    events = {event_name(cls): cls for cls in participant.events}
    sagas = {f"saga {saga.name}": saga for saga in participant.sagas}
    return {"participant": participant, **sagas, **events, **_CHOREO}


def _names(module: ModuleType, things: dict[str, Any]) -> dict[str, str]:
    named = {key: _name(module, thing) for key, thing in things.items()}
    return {key: name for key, name in sorted(named.items()) if name}


def _name(module: ModuleType | None, thing: Any) -> str:
    """Return how a module's code can name a thing: by a global of its own, or by one of a module in it."""
    return next(_spellings(module, thing), "") if module else ""


def _spellings(module: ModuleType, thing: Any) -> Iterator[str]:
    own = vars(module)
    yield from (name for name, value in own.items() if value is thing and name.isidentifier())
    for alias, value in own.items():
        if isinstance(value, ModuleType) and alias.isidentifier() and not alias.startswith("__"):
            inner = (name for name, each in list(vars(value).items()) if each is thing and name.isidentifier())
            yield from (f"{alias}.{name}" for name in inner)
