"""Rule R7: the reverse edges of the graph say what calls each compensation, for every shape of a saga."""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

from choreo.choreography.graph import SagaGraph
from choreo.choreography.step import Step
from choreo.event import short_name
from choreo.manifest import Alternatives


class Wanted(NamedTuple):
    """What has to call the compensation of one success event: of each successor, one of its answers.

    ``answers`` is empty for a step without successors that can fail, a leaf: the first failure calls it.
    """

    success: str
    answers: tuple[tuple[Step, tuple[str, ...]], ...]

    @property
    def is_leaf(self) -> bool:
        """Say whether no successor can fail."""
        return not self.answers

    @property
    def alternatives(self) -> Alternatives:
        """The same as a condition: every combination of answers."""
        if self.is_leaf:
            return ()
        return tuple(frozenset(choice) for choice in product(*(names for _, names in self.answers)))

    def annotation(self) -> str:
        """Write it as it stands in the code."""
        if self.is_leaf:
            return "event: Aborted"
        parts = [" | ".join(short_name(name) for name in names) for _, names in self.answers]
        if len(parts) == 1:
            return f"event: {parts[0]}"
        return f"on=all_of({', '.join(parts)})"


def wanted(graph: SagaGraph, success: str) -> Wanted:
    """Give what has to call the compensation of the step that emits a success event."""
    successors = graph.successors(success)
    return Wanted(success, tuple((step, (*step.failures, *step.answers)) for step in successors))
