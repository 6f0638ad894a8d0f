"""The outcomes and kinds of a step, and the states of a step and of a saga."""

from __future__ import annotations

from typing import Final, Literal

Outcome = Literal["succeeded", "failed", "timed_out", "compensated"]
"""The outcome of a step; the value of the header ``ce_outcome``."""

Kind = Literal["compensatable", "pivot", "retriable", "start", "external", "cancellation"]
"""The kind of a step (Richardson, *Microservices Patterns*, chapter 4); the last three are of choreo."""

StepState = Literal["pending", "executing", "completed", "failed", "refused", "compensating", "compensated"]
"""The state of a step; `choreo.protocol` has the diagram."""

SagaState = Literal["started", "pending", "compensating", "completed", "failed"]
"""The state of a saga; ``failed`` means failed with every compensation confirmed."""

SUCCEEDED: Final = "succeeded"
FAILED: Final = "failed"
TIMED_OUT: Final = "timed_out"
COMPENSATED: Final = "compensated"

COMPENSATABLE: Final = "compensatable"
PIVOT: Final = "pivot"
RETRIABLE: Final = "retriable"

START: Final = "start"
"""The name of the step that starts a saga; its compensation ends the saga in ``fails``."""

EXTERNAL: Final = "external"
"""The kind of a step that an import is the success of."""

CANCEL: Final = "cancel"
"""The name of the step whose success is the saga's ``aborts`` event."""
