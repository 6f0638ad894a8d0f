"""``Names``: writes names into code to paste as a handler's module knows them, and what it must import."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from choreo.events import short_name
from choreo.graph import Choreography
from choreo.manifest import Manifest

PARTICIPANT = "participant"

_WIDTH = 140
"""Columns that a line of code to paste may have, before it is written on several."""


class Code(NamedTuple):
    """Code to paste: its lines, and the imports that the module needs for it."""

    lines: tuple[str, ...]
    imports: tuple[str, ...] = ()


NO_CODE = Code(())


def function_head(head: str, parameters: Sequence[str], returned: str) -> tuple[str, ...]:
    """Return the ``def`` line of a function, or several lines where it is wide.

    >>> function_head("def undo", ["event: Failed", "ctx: Context"], "Undone:")
    ('def undo(event: Failed, ctx: Context) -> Undone:',)
    """
    line = f"{head}({', '.join(parameters)}) -> {returned}"
    if len(line) <= _WIDTH:
        return (line,)
    inner = [line for each in parameters for line in _parameter(each)]
    return (f"{head}(", *inner, f") -> {returned}")


def _parameter(text: str) -> list[str]:
    name, _, classes = text.partition(": ")
    first, *others = classes.split(" | ")
    if len(text) + 5 <= _WIDTH or not others:
        return [f"    {text},"]
    return [f"    {name}: (", f"        {first}", *(f"        | {each}" for each in others), "    ),"]


def _imports(home: str, names: Sequence[str]) -> tuple[str, ...]:
    line = f"from {home} import {', '.join(names)}"
    if len(line) <= _WIDTH:
        return (line,)
    return (f"from {home} import (", *(f"    {name}," for name in names), ")")


class Names:
    """The names of one module, ``file``, in which a handler of ``participant`` stands.

    A name that the module doesn't know yet is imported from where the participant, or else another one, has
    it. Where nobody says where that is, a comment stands for the import.
    """

    def __init__(self, choreography: Choreography, participant: str, file: str) -> None:
        manifests = choreography.manifests
        own = next((each for each in manifests if each.participant == participant), None)
        self.participant = participant
        self._module = next((each for each in (own.modules if own else ()) if each.file == file), None)
        self._origins = _origins(own, manifests)
        self._given: dict[str, str] = {}
        self._needed: dict[str, str] = {}
        self._unknown: dict[str, None] = {}
        self._events = frozenset(own.schemas if own else ())
        self._taken = set(self._module.names.values()) if self._module else set()

    def event(self, name: str) -> str:
        """Return the name of an event's class."""
        return self._named(name, short_name(name))

    def events(self, names: Iterable[str]) -> list[str]:
        """Return the names of several events' classes."""
        return [self.event(name) for name in names]

    def variable(self) -> str:
        """Return the name of the participant."""
        return self._named(PARTICIPANT, self.participant.replace("-", "_"))

    def saga(self, name: str) -> str:
        """Return the name of a saga."""
        return self._named(f"saga {name}", name.replace("-", "_"))

    def local(self, name: str) -> str:
        """Return a name for a class that the pasted code declares itself."""
        while name in self._taken:
            name = f"{name}Again"
        self._taken.add(name)
        return name

    @property
    def imports(self) -> tuple[str, ...]:
        """The lines that import what was named so far and isn't known in the module."""
        by_module: dict[str, list[str]] = defaultdict(list)
        for key, name in self._needed.items():
            home, _, original = self._origins[key].rpartition(".")
            by_module[home].append(original if original == name else f"{original} as {name}")
        lines = (line for home in sorted(by_module) for line in _imports(home, sorted(by_module[home])))
        return (*lines, *(f"# {name}: import it from where it is declared" for name in sorted(self._unknown)))

    def _named(self, key: str, fallback: str) -> str:
        known = self._module.names.get(key) if self._module else None
        if known:
            return known
        if key in self._given:
            return self._given[key]
        origin = self._origins.get(key, "")
        name = short_name(origin) or fallback
        if name in self._taken:
            name = f"{short_name(key.rpartition('.')[0]).capitalize()}{name}"
        if origin and not (self._module and origin.rpartition(".")[0] == self._module.name):
            self._needed[key] = name
        if not origin and key not in self._events and not key.startswith((PARTICIPANT, "saga ")):
            self._unknown[key] = None
        self._given[key] = name
        self._taken.add(name)
        return name


def _origins(own: Manifest | None, manifests: Iterable[Manifest]) -> dict[str, str]:
    """Return from where each thing can be imported, its own participant's way before those of others."""
    found = {f"choreo.{name}": f"choreo.{name}" for name in ("Aborted", "Context", "Earlier", "event")}
    for manifest in manifests:
        found |= {key: origin for key, origin in manifest.origins.items() if key not in (PARTICIPANT, *found)}
    return {**found, **(own.origins if own else {})}
