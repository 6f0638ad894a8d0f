"""``ParameterEntry``: one parameter of a handler, so that its ``def`` line can be written anew."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ParameterEntry:
    """One parameter. ``role`` is ``event`` (it calls), ``result`` (what is undone), ``earlier`` or
    ``context``.

    ``types`` are the full names of the events that it takes, `Aborted` left out; ``optional``: or None.
    """

    name: str
    role: str
    types: tuple[str, ...] = ()
    optional: bool = False


ROLES = ("event", "result", "earlier", "context")
"""The roles that a parameter may have."""
