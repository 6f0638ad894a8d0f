"""``SagaHistory``: the history of a saga from its topic alone, computed independently of the protocol."""

from __future__ import annotations

from collections.abc import Iterable

from choreo.envelope import Envelope
from choreo.events import event_name
from choreo.outcome import COMPENSATABLE, COMPENSATED, EXTERNAL, FAILED, PIVOT, SUCCEEDED, TIMED_OUT
from choreo.saga import Saga


class SagaHistory:
    """One saga in the order of its topic: the first outcome of each step counts, and so does the first end.

    After ``fails`` only what belongs to a rollback counts, and only where an import has come.

    ``counted`` are the events that count, ``outcomes`` the first outcome of each step, ``compensated`` the
    confirmed compensations by step; ``end`` is ``"completed"``, ``"failed"`` or empty.
    """

    def __init__(self, saga: Saga, envelopes: Iterable[Envelope]) -> None:
        self.saga = saga
        self.envelopes = list(envelopes)
        self.counted: list[Envelope] = []
        self.outcomes: dict[str, Envelope] = {}
        self.compensated: dict[str, Envelope] = {}
        self.end = ""
        self._is_failing = False
        self._is_past_pivot = False
        for envelope in self.envelopes:
            self._read(envelope)

    def __str__(self) -> str:
        lines = []
        for place, envelope in enumerate(self.envelopes, 1):
            void = "" if envelope in self.counted else "  (void)"
            source = f"{envelope.source}: " if envelope.source != envelope.step.partition(".")[0] else ""
            lines.append(f"  {place:3} {source}{envelope.step} {envelope.outcome}: {envelope.type}{void}")
        return "\n".join(lines)

    @property
    def types(self) -> set[str]:
        """The types of the events that count."""
        return {envelope.type for envelope in self.counted}

    @property
    def answered(self) -> set[str]:
        """The steps with an outcome on the topic, whether it counts or not."""
        return {envelope.step for envelope in self.envelopes}

    def is_timed_out(self, step: str) -> bool:
        """Whether a deadline passed before the step answered."""
        return step in self.outcomes and self.outcomes[step].outcome == TIMED_OUT

    def _read(self, envelope: Envelope) -> None:
        if any(envelope.id == each.id for each in self.counted):
            return
        completes = envelope.type == event_name(self.saga.completes)
        if self.end and (self.end == "completed" or completes or not self._goes_on_with(envelope)):
            return
        known = self.compensated if envelope.outcome == COMPENSATED else self.outcomes
        if envelope.step in known:
            return
        known[envelope.step] = envelope
        self._is_failing = self._is_failing or envelope.outcome in (FAILED, TIMED_OUT)
        if envelope.kind == PIVOT and envelope.outcome == SUCCEEDED:
            self._is_past_pivot = True
        if completes:
            if self._is_failing and not self._is_past_pivot:
                return
            self.end = "completed"
        if envelope.type == event_name(self.saga.fails):
            self.end = "failed"
        self.counted.append(envelope)

    def _goes_on_with(self, envelope: Envelope) -> bool:
        undone_later = envelope.outcome == SUCCEEDED and envelope.kind == COMPENSATABLE
        has_import = any(each.kind == EXTERNAL for each in self.counted)
        return has_import and (undone_later or envelope.outcome in (FAILED, COMPENSATED))
