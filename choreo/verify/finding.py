"""``Finding``: one thing that is wrong, where, why, and what mends it."""

from __future__ import annotations

from typing import Literal, NamedTuple

Level = Literal["error", "warning"]


class TraceLine(NamedTuple):
    """One step of a run that shows the finding: ``what`` is ok, FAILED, undone, refused or late."""

    step: str
    what: str
    consumed: str
    emitted: str
    remark: str = ""


class Finding(NamedTuple):
    """One finding. ``place`` is ``file:line``; ``related`` are other places, each with what stands there."""

    rule: str
    name: str
    level: Level
    saga: str
    message: str
    place: str = ""
    why: str = ""
    help: str = ""
    steps: tuple[str, ...] = ()
    related: tuple[tuple[str, str], ...] = ()
    scenario: str = ""
    trace: tuple[TraceLine, ...] = ()

    @property
    def fingerprint(self) -> str:
        """What stays the same when lines move: rule, saga and steps."""
        return "/".join((self.rule, self.saga, *self.steps))
