"""Triggers as tests change them: under other names, or one alternative at a time."""

from __future__ import annotations

from collections.abc import Callable

from choreo.protocol import Trigger


def renamed(trigger: Trigger, new_name: Callable[[str], str]) -> Trigger:
    """Return a trigger with other event types."""
    return trigger.fold(
        lambda name: Trigger.of(new_name(name)),
        lambda parts: Trigger.any_of(*parts),
        lambda parts: Trigger.all_of(*parts),
    )


def alternatives(trigger: Trigger) -> tuple[frozenset[str], ...]:
    """Return the alternatives of a trigger that has few."""
    found = trigger.alternatives(10_000)
    assert found is not None
    return found
