"""The event classes that ``choreo schemas`` is about: those of modules and of participants."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from choreo.cli.project import nearest_project
from choreo.cli.target import load_modules, load_participant, participants_of
from choreo.errors import ConfigurationError
from choreo.event import Aborted, is_event


def events_of(targets: Iterable[str]) -> tuple[type, ...]:
    """Give the events of ``MODULE`` and ``MODULE:PARTICIPANT`` targets, or else those of the project.

    Raises `ConfigurationError` where nothing is named, or where what is named has no event.
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
