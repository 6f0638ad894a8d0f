"""``Model``: one saga as the engine explores it.

All participants read the same topic in the same order, so one role stands for all of them together: how far
a participant has read shows only in when its step begins and ends, and the exploration chooses both. Inputs
are folded by the protocol that the worker runs.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from math import prod

from choreo.envelope import Envelope
from choreo.graph import SagaGraph, Step, role_of_all
from choreo.outcome import CANCEL, COMPENSATABLE, COMPENSATED, SUCCEEDED, Outcome
from choreo.protocol import Action, Ended, Progress

_ALL_CHOICES = 32
"""Up to so many combinations of answers are all run."""


class Model:
    """The facts of a saga's graph that are needed to run it; each is computed once."""

    def __init__(self, graph: SagaGraph) -> None:
        self.graph = graph
        self.role = role_of_all(graph)
        self._envelopes: dict[tuple[str, Outcome, str], Envelope] = {}
        self._compensated: dict[tuple[str, str], Ended] = {}
        self.calling: dict[int, int] = {}
        """The events that may call a compensation, for each progress of all completed steps that was met."""

    def envelope(self, step: str, outcome: Outcome, event: str) -> Envelope:
        """Return an event as the protocol reads it; the same outcome of a step is the same event."""
        key = (step, outcome, event)
        if key not in self._envelopes:
            known = self.graph.steps.get(step)
            self._envelopes[key] = Envelope(
                id="/".join(key),
                source="",
                type=event,
                time=0,
                saga_id="",
                saga_type=self.graph.name,
                saga_version=self.graph.contract.version,
                step=step,
                outcome=outcome,
                kind=known.kind if known else COMPENSATABLE,
            )
        return self._envelopes[key]

    @property
    def cancelling(self) -> tuple[str, Outcome, str]:
        """The outcome that cancels the saga."""
        return CANCEL, SUCCEEDED, self.graph.contract.aborts

    @cached_property
    def most_choices(self) -> int:
        """The number of steps that may answer with another than their first success event in one run.

        All of them as long as that makes few runs, else one.
        """
        choices = [len(step.successes) for step in self.graph.steps.values() if len(step.successes) > 1]
        return len(choices) if prod(choices) <= _ALL_CHOICES else 1

    @cached_property
    def leaves_choices_out(self) -> bool:
        """Whether some combination of answers is in no run."""
        return self.most_choices < sum(len(step.successes) > 1 for step in self.graph.steps.values())

    @cached_property
    def imported(self) -> tuple[Step, ...]:
        """The steps whose success event comes from outside of the saga; they wait for no other event."""
        return tuple(step for step in self.graph.steps.values() if step.kind == "external")

    @cached_property
    def goes_on_in_rollback(self) -> bool:
        """Whether a step may begin in the middle of a rollback: by an event of it, or from outside."""
        return bool(self.imported) or self.begins_in_rollback

    @cached_property
    def begins_in_rollback(self) -> bool:
        """Whether an event of a rollback, such as a failure, triggers an action."""
        successes = {success for step in self.graph.steps.values() for success in step.successes}
        return not successes.issuperset(self.role.triggered_by)

    @cached_property
    def calls(self) -> dict[str, frozenset[str]]:
        """The events in the triggers of each step's compensations."""
        return {
            action.step: frozenset().union(*(undo.trigger.types for undo in action.compensations))
            for action in self.role.actions
        }

    @cached_property
    def bits(self) -> dict[str, int]:
        """A number for each event, in which one bit is set: a number stands for a set of events."""
        return {event: 1 << number for number, event in enumerate(self.graph.outcome)}

    def bits_of_calls(self, steps: Iterable[str]) -> int:
        """Return the events in the triggers of the compensations of some steps, as a number."""
        return self.bits_of(event for step in steps for event in self.calls[step])

    def bits_of(self, events: Iterable[str]) -> int:
        """Return the number that stands for a set of events; what no step emits is left out."""
        found = 0
        for event in events:
            found |= self.bits.get(event, 0)
        return found

    def with_progress(self, steps: int, name: str, progress: Progress | None) -> int:
        """Return the progress of all steps as a number, in which that of one step is another, or none."""
        shift, codes = self._shifts[name], self._codes[name]
        code = codes.setdefault(progress, len(codes) + 1) if progress else 0
        return steps + ((code - (steps >> shift & 0xFF)) << shift)

    @cached_property
    def _shifts(self) -> dict[str, int]:
        return {action.step: 8 * number for number, action in enumerate(self.role.actions)}

    @cached_property
    def _codes(self) -> dict[str, dict[Progress, int]]:
        return {action.step: {} for action in self.role.actions}

    def failures(self, action: Action) -> list[Ended]:
        """Return the ways in which an action may fail for good."""
        if not action.can_fail:
            return []
        returned = [Ended(action.step, "failed", name) for name in self.graph.steps[action.step].failures]
        if action.partial:
            returned.append(Ended(action.step, "failed", "", "partial"))
            others = [each.type for each in returned[:-1] if each.type != action.failure]
            returned += [Ended(action.step, "failed", name, "partial") for name in others]
        return returned

    def compensated(self, step: str, result: str) -> Ended:
        """Return the end of the compensation that runs after a step had this result."""
        ended = self._compensated.get((step, result))
        if ended is None:
            compensation = self.graph.steps[step].compensation_after(result)
            answer = next(iter(compensation.emits.successes), "") if compensation else ""
            ended = self._compensated[step, result] = Ended(step, COMPENSATED, answer)
        return ended
