"""``Step``: one step of a saga, with what undoes it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from choreo.manifest import Alternatives, HandlerEntry
from choreo.outcome import COMPENSATABLE, PIVOT, START, Kind


@dataclass(frozen=True)
class Step:
    """One step, with the compensations that undo it; the start, a cancellation and imports are steps too.

    ``handler`` is the action, None for a step that no handler does.
    """

    name: str
    participant: str
    kind: Kind
    successes: tuple[str, ...]
    failures: tuple[str, ...] = ()
    trigger: Alternatives = ()
    handler: HandlerEntry | None = None
    undos: tuple[HandlerEntry, ...] = ()

    @property
    def can_fail(self) -> bool:
        """Say whether it has an outcome that rolls the saga back, or may be refused."""
        return self.kind in (COMPENSATABLE, PIVOT)

    @property
    def is_undone(self) -> bool:
        """Say whether it is compensated when the saga rolls back."""
        return self.kind in (COMPENSATABLE, START)

    @property
    def place(self) -> str:
        """Where it is declared, or its compensation is."""
        handlers = (self.handler, *self.undos)
        return next((handler.place for handler in handlers if handler), "")

    def undo_of(self, success: str) -> HandlerEntry | None:
        """Give the compensation that undoes what a success event says was done."""
        return next((undo for undo in self.undos if not undo.results or success in undo.results), None)

    def undo_after(self, result: str) -> HandlerEntry | None:
        """Give the compensation that runs after a success event, or, where there was none, at all.

        An action that raised has no result; with several compensations it is refused at declaration then.
        """
        return self.undo_of(result) or next(iter(self.undos), None)

    @cached_property
    def answers(self) -> tuple[str, ...]:
        """The events that confirm its compensation."""
        return tuple(dict.fromkeys(name for undo in self.undos for name in undo.emits.successes))
