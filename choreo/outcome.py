"""The small vocabularies: outcomes of a step, kinds of a step, states of a step and of a saga."""

from __future__ import annotations

from typing import Final, Literal

Outcome = Literal["succeeded", "failed", "timed_out", "compensated"]
"""How a step ended, as the header ``ce_outcome`` says it."""

Kind = Literal["compensatable", "pivot", "retriable", "start", "external", "cancellation"]
"""What a step is (Richardson, *Microservices Patterns*, chapter 4); the last three are choreo's own."""

StepState = Literal["pending", "executing", "completed", "failed", "refused", "compensating", "compensated"]
"""Where a step stands; the diagram is in `choreo.protocol`."""

SagaState = Literal["started", "pending", "compensating", "completed", "failed"]
"""Where a saga stands; ``failed`` means failed with every compensation confirmed."""

SUCCEEDED: Final = "succeeded"
FAILED: Final = "failed"
TIMED_OUT: Final = "timed_out"
COMPENSATED: Final = "compensated"

COMPENSATABLE: Final = "compensatable"
PIVOT: Final = "pivot"
RETRIABLE: Final = "retriable"

START: Final = "start"
"""Name of the step that starts a saga; its compensation ends the saga in ``fails``."""

CANCEL: Final = "cancel"
"""Name of the step whose success is the saga's ``aborts`` event."""
