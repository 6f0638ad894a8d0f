"""Compatibility: whether two versions of an event can live on one topic.

Both directions count. The log keeps old events, so the new version must read what the old one wrote;
and participants are deployed one at a time, so the old one must read what the new one writes.
"""

from __future__ import annotations

from choreo.avro.definition import Definition
from choreo.avro.resolution import Problem, resolve


def unreadable(writer: Definition, reader: Definition) -> list[Problem]:
    """Say what in a writer's records a reader could not read; nothing where it reads them all."""
    return resolve(writer, reader).problems


def incompatibilities(old: Definition, new: Definition) -> list[str]:
    """Say why two versions can't live together, in both directions, each with the field's path.

    >>> from choreo.avro.definition import define
    >>> old = define({"type": "record", "name": "A", "fields": []})
    >>> new = define({"type": "record", "name": "A", "fields": [{"name": "n", "type": "long"}]})
    >>> incompatibilities(old, new)
    ["the new version can't read the old one: n: not written, and has no default"]
    """
    forwards = [f"the new version can't read the old one: {p}" for p in unreadable(old, new)]
    return forwards + [f"the old version can't read the new one: {p}" for p in unreadable(new, old)]
