"""What must hold at rest, of effects that are written by hand."""

from __future__ import annotations

import pytest

from choreo.envelope import Envelope
from choreo.graph import derive
from choreo.outcome import COMPENSATABLE, FAILED, SUCCEEDED, TIMED_OUT, Outcome
from choreo.participant import Handler
from choreo.testing import Violation
from choreo.testing.effects import Effect
from choreo.testing.fakes import fake_participants
from choreo.testing.history import SagaHistory
from choreo.testing.invariants import check_order
from tests.verify.choreography_text import SAGA, read_choreography

(PARTICIPANT,) = fake_participants(
    read_choreography("""
        p.fail of start derived <> Failed
        p.hold < Started > Held / HoldFailed
        p.unhold of p.hold derived <> Unheld
        p.pay < Held | Given > Completed / PayFailed
        p.refund of p.pay derived <> Refunded
        p imports Given
    """)
)
derive([PARTICIPANT])


def declared(task: str, step: str) -> Handler:
    return next(each for each in PARTICIPANT.handlers if (each.task, each.step) == (task, step))


def undone(*steps: str) -> list[Effect]:
    """Return the effects of two steps that are done, and are undone in this order."""
    done = [("action", "p.hold", "g.Held"), ("action", "p.pay", "g.Completed")]
    made = [*done, *(("compensation", step, "") for step in steps)]
    return [
        Effect(place, "1", SAGA, task, step, step, result, declared(task, step))  # type: ignore[arg-type]
        for place, (task, step, result) in enumerate(made)
    ]


def history(*outcomes: tuple[str, Outcome, str]) -> SagaHistory:
    envelopes = [
        Envelope(f"{number}", "p", event, 0, "1", SAGA, 1, step, outcome, COMPENSATABLE)
        for number, (step, outcome, event) in enumerate(outcomes)
    ]
    return SagaHistory(PARTICIPANT.saga(SAGA), envelopes)


def test_a_step_is_undone_after_those_that_depend_on_it() -> None:
    actions = {name: [declared("action", name)] for name in ("p.hold", "p.pay")}
    held = history(("p.hold", SUCCEEDED, "g.Held"), ("p.other", FAILED, "g.OtherFailed"))

    check_order(actions, undone("p.pay", "p.hold"), held)
    with pytest.raises(Violation, match=r"p\.hold is undone before p\.pay, which depends on it"):
        check_order(actions, undone("p.hold", "p.pay"), held)


def test_nothing_depends_on_a_success_that_is_void() -> None:
    """A step that timed out has called nobody, and is undone as soon as it has succeeded after all."""
    actions = {name: [declared("action", name)] for name in ("p.hold", "p.pay")}
    late = history(("p.hold", TIMED_OUT, "g.HoldLate"), ("p.hold", SUCCEEDED, "g.Held"))

    check_order(actions, undone("p.hold", "p.pay"), late)
