"""Imports the modules that the user names, and finds their participants and events."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from importlib import import_module
from types import ModuleType
from typing import Any

from choreo.errors import ChoreoError, ConfigurationError
from choreo.events import Aborted, is_event
from choreo.participant import Participant
from choreo.project.packages import Place, modules_in
from choreo.project.pyproject import nearest_project

_log = logging.getLogger("choreo.project")


def load_module(name: str) -> ModuleType:
    """Import a module; the working directory is searched first.

    Raises `ConfigurationError` if there is no such module, or if importing it fails.
    """
    if not name:
        raise ConfigurationError("no module is named", hint="write MODULE:PARTICIPANT")
    if name.endswith(".py") or not all(part.isidentifier() for part in name.split(".")):
        dotted = name.removesuffix(".py").strip("./").replace("/", ".")
        raise ConfigurationError(
            f"{name!r} is not the name of a module", hint=f"write it as Python imports it: {dotted}"
        )
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        return import_module(name)
    except (ChoreoError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise _not_imported(name, error) from None


def load_modules(name: str) -> list[ModuleType]:
    """Import a module or, for a package, also all modules within it, at any depth.

    Raises `ConfigurationError` where importing one of them fails. What is no part of a package is not
    imported: its ``__main__``, its tests, and files whose names can't be imported. Where one of these
    declares a participant, a line of the log says that it was left out.
    """
    module = load_module(name)
    found = [module]
    for place in modules_in(module):
        if place.left_out:
            _log_if_it_declares(place)
            continue
        try:
            found.append(load_module(place.name))
        except ConfigurationError as error:
            hint = f"{error.hint}, or name the modules of {name} that count"
            raise ConfigurationError(error.message, hint=hint) from None
    return found


def _log_if_it_declares(place: Place) -> None:
    if "Participant(" in place.text():
        _log.warning("left out: %s, which declares a participant; name it to count it", place.name)


def load_participant(target: str) -> Participant:
    """Return the participant that ``MODULE:PARTICIPANT`` names. Raises `ConfigurationError`."""
    name, separator, attribute = target.partition(":")
    module = load_module(name)
    if not separator or not attribute:
        raise ConfigurationError(f"{target}: which participant of it?", hint=_offer(module))
    try:
        found = getattr(module, attribute)
    except AttributeError:
        close = get_close_matches(attribute, list(vars(module)), n=1)
        hint = f"did you mean {name}:{close[0]}?" if close else _offer(module)
        raise ConfigurationError(f"{name} has no attribute {attribute!r}", hint=hint) from None
    if not isinstance(found, Participant):
        kind = type(found).__name__
        raise ConfigurationError(f"{target} is a {kind}, not a Participant", hint=_offer(module))
    return found


def participants_of(module: ModuleType) -> Iterator[tuple[str, Participant]]:
    """Yield a module's participants, with their names in the module."""
    for name, value in vars(module).items():
        if isinstance(value, Participant):
            yield name, value


def _offer(module: ModuleType) -> str:
    found = [f"{module.__name__}:{name}" for name, _ in participants_of(module)]
    return f"it has {', '.join(found)}" if found else f"no Participant is declared in {module.__name__}"


def _not_imported(name: str, error: BaseException) -> ConfigurationError:
    if isinstance(error, ModuleNotFoundError) and error.name and f"{name}.".startswith(f"{error.name}."):
        return ConfigurationError(
            f"there is no module {error.name}", hint="run choreo in the folder that holds it, or install it"
        )
    reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return ConfigurationError(f"importing {name} failed: {reason}", hint=f"see {_where(error)}")


def _where(error: Any) -> str:
    """Return the line at which an import failed."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{os.path.relpath(error.filename)}:{error.lineno}"
    own = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename != __file__ and "importlib" not in frame.filename
    ]
    return f"{os.path.relpath(own[-1].filename)}:{own[-1].lineno}" if own else "the module"


def events_of(targets: Iterable[str]) -> tuple[type, ...]:
    """Return the events of ``MODULE`` and ``MODULE:PARTICIPANT`` targets, or else those of the project.

    Raises `ConfigurationError` if nothing is named, or if a target has no event.
    """
    wanted = tuple(targets) or tuple(nearest_project().get("modules") or ())
    if not wanted:
        raise ConfigurationError(
            "no module is named", hint="give MODULE, or modules = [...] in [tool.choreo] of pyproject.toml"
        )
    found: dict[type, None] = {}
    for target in wanted:
        events = [cls for cls in _events_of_one(target) if cls is not Aborted]
        if not events:
            raise ConfigurationError(
                f"{target} has no event", hint="decorate its classes with @event, or name another module"
            )
        found.update(dict.fromkeys(events))
    return tuple(found)


def _events_of_one(target: str) -> Iterator[type]:
    if ":" in target:
        yield from load_participant(target).events
        return
    modules = load_modules(target)
    yield from (value for module in modules for value in vars(module).values() if is_event(value))
    for _, participant in (each for module in modules for each in participants_of(module)):
        yield from participant.events
