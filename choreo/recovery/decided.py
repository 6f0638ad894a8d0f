"""What the protocol must have been told, that day, before an outcome of the participant was published."""

from __future__ import annotations

from choreo.envelope import Envelope
from choreo.outcome import COMPENSATED, FAILED, TIMED_OUT
from choreo.protocol import Begin, Ended, Instance
from choreo.recovery.outcomes import Published
from choreo.worker.case import Case

REBUILT = "rebuilt"
"""The note of a row that the topic tells of, but whose like only the lost file had."""


def told_before(saga: Instance, own: Envelope) -> Begin | Ended | None:
    """Give what the protocol was told before this outcome was published; None where that is known already."""
    progress = saga.step(own.step)
    under_way = progress.state in ("pending", "executing") and progress.activity != "idle"
    if own.outcome != COMPENSATED:
        return Ended(own.step, own.outcome, own.type, reason=REBUILT) if under_way else None
    if progress.state == "compensating":
        return Ended(own.step, COMPENSATED, own.type, reason=REBUILT)
    if not under_way:
        return None
    # It was under way when somebody's deadline passed, and came to nothing (R5).
    is_late = saga.outcomes.get(own.step) == TIMED_OUT
    return Ended(own.step, FAILED, "", "raised", REBUILT) if is_late else Begin(own.step)


def called_by(case: Case, own: Published) -> Case:
    """Give the case as caused by the event that the outcome says, rather than by the outcome itself."""
    envelope = case.cause.envelope._replace(id=own.envelope.causation_id)
    return case._replace(cause=case.cause._replace(envelope=envelope))
