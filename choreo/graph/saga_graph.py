"""``SagaGraph``: the event graph of one saga."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from choreo.manifest import HandlerEntry, SagaEntry
from choreo.outcome import COMPENSATABLE, COMPENSATED, FAILED, PIVOT, START, SUCCEEDED, TIMED_OUT, Kind
from choreo.protocol import NEVER, Trigger, compensation_for
from choreo.saga import ALL_VERSIONS, Versions


@dataclass(frozen=True)
class SagaGraph:
    """The event graph of one saga in some of its versions: its contract, steps, deadlines and observers."""

    contract: SagaEntry
    participants: tuple[str, ...]
    steps: dict[str, Step]
    deadlines: tuple[HandlerEntry, ...] = ()
    observers: tuple[HandlerEntry, ...] = ()
    imports: frozenset[str] = frozenset()
    exports: frozenset[str] = frozenset()
    handlers: tuple[HandlerEntry, ...] = ()
    versions: Versions = ALL_VERSIONS

    @property
    def name(self) -> str:
        """The saga's name."""
        return self.contract.name

    @property
    def title(self) -> str:
        """The saga's name, with the versions that this graph is of where others differ."""
        return self.name if self.versions == ALL_VERSIONS else f"{self.name}, {self.versions}"

    @cached_property
    def outcome(self) -> dict[str, tuple[str, str]]:
        """The step and the outcome of each event type."""
        found: dict[str, tuple[str, str]] = {}
        for event, step, outcome in self._outcomes():
            found.setdefault(event, (step, outcome))
        return found

    def _outcomes(self) -> Iterable[tuple[str, str, str]]:
        for step in self.steps.values():
            yield from ((event, step.name, SUCCEEDED) for event in step.successes)
            yield from ((event, step.name, FAILED) for event in step.failures)
            yield from ((event, step.name, COMPENSATED) for event in step.answers)
        for deadline in self.deadlines:
            yield from ((event, deadline.step, TIMED_OUT) for event in deadline.emits.successes)

    @cached_property
    def consumers(self) -> dict[str, list[HandlerEntry]]:
        """The handlers whose trigger contains each event type."""
        found: dict[str, list[HandlerEntry]] = {}
        for handler in self.handlers:
            for name in sorted(handler.trigger.types):
                found.setdefault(name, []).append(handler)
        return found

    @cached_property
    def triggered(self) -> dict[str, list[Step]]:
        """The steps whose trigger contains each event type."""
        found: dict[str, list[Step]] = {}
        for step in self.steps.values():
            for name in sorted(step.trigger.types):
                found.setdefault(name, []).append(step)
        return found

    def successors(self, success: str) -> list[Step]:
        """Return the steps that a success event triggers and that can fail (R7)."""
        return [step for step in self.triggered.get(success, ()) if step.can_fail]


@dataclass(frozen=True)
class Step:
    """One step, with the compensations that undo it; the start, a cancellation and imports are steps too.

    ``handler`` is the action, None for the start, the cancellation and an import.
    """

    name: str
    participant: str
    kind: Kind
    successes: tuple[str, ...]
    failures: tuple[str, ...] = ()
    trigger: Trigger = NEVER
    handler: HandlerEntry | None = None
    compensations: tuple[HandlerEntry, ...] = ()

    @property
    def can_fail(self) -> bool:
        """Whether it may fail or be refused."""
        return self.kind in (COMPENSATABLE, PIVOT)

    @property
    def is_undone(self) -> bool:
        """Whether it is compensated when the saga rolls back."""
        return self.kind in (COMPENSATABLE, START)

    @property
    def function(self) -> str:
        """The name of its action in the code, which a release may have renamed."""
        return (self.handler.name if self.handler else self.name).partition(".")[2]

    @property
    def place(self) -> str:
        """The place of its action, or of its compensation where it has no action."""
        handlers = (self.handler, *self.compensations)
        return next((handler.place for handler in handlers if handler), "")

    def compensation_for(self, success: str) -> HandlerEntry | None:
        """Return the compensation that undoes the step where it emitted a success event, or None."""
        return compensation_for(self.compensations, success)

    def compensation_after(self, result: str) -> HandlerEntry | None:
        """Return the compensation that runs after a result, which is empty where the action raised.

        An action that may be compensated without a result has only one compensation.
        """
        return self.compensation_for(result) or next(iter(self.compensations), None)

    @cached_property
    def answers(self) -> tuple[str, ...]:
        """The events that confirm its compensation."""
        return tuple(dict.fromkeys(name for each in self.compensations for name in each.emits.successes))
