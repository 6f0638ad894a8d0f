"""The rules R1 to R8, and what stands beside them, one small test each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from choreo.envelope import Envelope, event_id
from choreo.outcome import (
    CANCEL,
    COMPENSATED,
    EXTERNAL,
    FAILED,
    PIVOT,
    RETRIABLE,
    START,
    SUCCEEDED,
    TIMED_OUT,
)
from choreo.protocol import (
    Action,
    Answer,
    Arm,
    Begin,
    Buried,
    Bury,
    Compensation,
    Contract,
    Deadline,
    Deferred,
    Disarm,
    Discarded,
    Drop,
    Due,
    Ended,
    Expire,
    Held,
    Ignored,
    Instance,
    Moved,
    Observed,
    Observer,
    Progress,
    Publish,
    Queue,
    Requeued,
    Role,
    Run,
    Trigger,
    Unowned,
    fold,
)
from choreo.protocol.recorded_inputs import rebuild
from choreo.records import Entry

CONTRACT = Contract("order", "OrderCreated", "OrderFulfilled", "OrderFailed", "OrderCancelled")
PAY = Action(
    "pay",
    Trigger.of("Reserved"),
    failure="PaymentFailed",
    compensations=(Compensation(Trigger.of("ShipFailed", "ShipUndone"), "Refunded"),),
)
"""One step in the middle: `reserve` comes before it, `ship` after it."""


def role(*actions: Action, **more: Any) -> Role:
    return Role("payments", CONTRACT, actions or (PAY,), **more)


def event(
    step: str, outcome: str, event_type: str, kind: str = "compensatable", version: int = 1
) -> Envelope:
    unique = event_id("s-1", "order", step, outcome, event_type)
    return Envelope(unique, step, event_type, 0, "s-1", "order", version, step, outcome, kind)


START_EVENT = event(START, SUCCEEDED, "OrderCreated", "start")
RESERVED = event("reserve", SUCCEEDED, "Reserved")
LATE = event("pay", TIMED_OUT, "PaymentLate")
SHIP_FAILED = event("ship", FAILED, "ShipFailed")
CANCELLED = event(CANCEL, SUCCEEDED, "OrderCancelled", "cancellation")
FAILED_END = event(START, COMPENSATED, "OrderFailed", "start")
PAID = event("pay", SUCCEEDED, "Paid")
BEGIN, PAID_NOW = Begin("pay"), Ended("pay", SUCCEEDED, "Paid")
REFUSAL = Answer("pay", FAILED, "PaymentFailed", "the saga is aborted")


class Folded:
    """A participant that has folded some inputs; ``decided`` is what it decided about the last one."""

    def __init__(self, role: Role, *inputs: Any) -> None:
        self.role, self.saga, self.decided = role, Instance(), []  # type: ignore[var-annotated]
        self.fold(*inputs)

    def fold(self, *inputs: Any) -> list[Any]:
        for item in inputs:
            self.saga, self.decided = fold(self.role, self.saga, item)
        return self.decided

    def state(self, step: str = "pay") -> tuple[str, str]:
        progress = self.saga.step(step)
        return progress.state, progress.activity


def test_r1_an_event_that_nobody_here_handles_is_folded_by_its_headers() -> None:
    """An unknown type changes what is known of the saga, and asks for nothing."""
    folded = Folded(role(), START_EVENT, event("gift", FAILED, "shop.NeverHeardOf"))
    assert folded.decided == []
    assert folded.saga.outcomes["gift"] == FAILED
    assert folded.saga.aborted


def test_r2_an_event_seen_before_changes_nothing() -> None:
    """The second copy of a trigger does not run the step again."""
    folded = Folded(role(), START_EVENT, RESERVED)
    before = folded.saga
    assert folded.fold(RESERVED) == [Ignored("duplicate")]
    assert folded.saga == before


def test_r2_ids_depend_on_the_outcome_and_nothing_else() -> None:
    """A restart or a replay gives the same id; another outcome gives another."""
    assert event_id("s", "order", "pay", SUCCEEDED, "Paid") == event_id(
        "s", "order", "pay", SUCCEEDED, "Paid"
    )
    assert event_id("s", "order", "pay", SUCCEEDED, "Paid") != event_id("s", "order", "pay", FAILED, "Paid")


def test_r3_a_late_success_is_void_and_triggers_nobody() -> None:
    """The timeout came first in the log, so the next step never sees its trigger."""
    folded = Folded(role(), START_EVENT, event("reserve", TIMED_OUT, "ReserveLate"))
    assert folded.fold(RESERVED) == [Ignored("void")]
    assert "Reserved" not in folded.saga.types
    assert folded.state() == ("pending", "idle")


def test_r3_a_late_timeout_is_void() -> None:
    """The success came first, so the saga goes on."""
    folded = Folded(role(), START_EVENT, RESERVED)
    assert folded.fold(event("reserve", TIMED_OUT, "ReserveLate")) == [Ignored("void")]
    assert not folded.saga.aborted


@pytest.mark.parametrize("abort", [CANCELLED, event("gift", FAILED, "GiftFailed")], ids=lambda e: e.type)
def test_r4_a_trigger_after_the_abort_is_answered_with_the_failure(abort: Envelope) -> None:
    """Somebody did the work before it, and waits."""
    folded = Folded(role(), START_EVENT, abort)
    assert folded.fold(RESERVED) == [Moved("pay", "pending", "refused"), REFUSAL]


def test_r4_a_queued_step_is_dropped_and_refused_at_the_abort() -> None:
    """It was triggered and has not begun: it ends there."""
    folded = Folded(role(), START_EVENT, RESERVED)
    assert folded.fold(CANCELLED) == [Drop("action", "pay"), Moved("pay", "pending", "refused"), REFUSAL]


JOIN = PAY._replace(trigger=Trigger.all_of(Trigger.of("Reserved"), Trigger.of("Priced")))


def test_r4_a_half_filled_join_is_refused_at_the_abort() -> None:
    """The branch that filled its half waits for an answer."""
    folded = Folded(role(JOIN), START_EVENT, RESERVED)
    assert folded.fold(CANCELLED)[-1] == REFUSAL


def test_r4_a_join_is_refused_when_its_first_half_comes_after_the_abort() -> None:
    """Whichever comes first, and the second half then changes nothing."""
    folded = Folded(role(JOIN), START_EVENT, CANCELLED)
    assert folded.fold(RESERVED)[-1] == REFUSAL
    assert folded.fold(event("price", SUCCEEDED, "Priced")) == []


def test_r4_an_untouched_join_answers_nobody() -> None:
    """Nothing of it has come, so nobody waits."""
    folded = Folded(role(JOIN), START_EVENT)
    assert folded.fold(CANCELLED) == []


def test_r4_a_retriable_step_is_never_refused() -> None:
    """Once triggered it runs, whatever has been aborted."""
    notify = Action("pay", Trigger.of("Reserved"), RETRIABLE)
    folded = Folded(role(notify), START_EVENT, CANCELLED)
    assert folded.fold(RESERVED) == [Queue("action", "pay")]
    assert folded.fold(BEGIN)[-1] == Run("action", "pay")


def test_r4_a_pivot_is_refused_like_any_other() -> None:
    """It has not happened yet, so there is a way back."""
    folded = Folded(
        role(Action("pay", Trigger.of("Reserved"), PIVOT, "PaymentFailed")), START_EVENT, CANCELLED
    )
    assert folded.fold(RESERVED)[-1] == REFUSAL


def test_r4_a_step_that_runs_already_is_not_refused() -> None:
    """Its result is awaited: only what comes next is stopped."""
    folded = Folded(role(), START_EVENT, RESERVED, BEGIN)
    assert folded.fold(CANCELLED) == []
    assert folded.fold(PAID_NOW)[-1] == Publish("pay", SUCCEEDED, "Paid")


def test_r4_a_call_that_was_out_at_a_restart_runs_again_after_an_abort() -> None:
    """Nobody knows what it did, so its result is needed."""
    folded = Folded(role(), START_EVENT, RESERVED, BEGIN, CANCELLED)
    assert folded.fold(BEGIN) == [Run("action", "pay")]


def test_r4_a_cancellation_before_the_start_is_kept() -> None:
    """The saga starts aborted, and its first step is refused."""
    folded = Folded(role(PAY._replace(trigger=Trigger.of("OrderCreated"))), CANCELLED)
    assert folded.fold(START_EVENT)[-1] == REFUSAL


def test_r4_a_cancellation_after_the_last_step_stops_nothing() -> None:
    """Too late: the saga completes."""
    folded = Folded(role(), START_EVENT, CANCELLED)
    folded.fold(event("ship", SUCCEEDED, "OrderFulfilled"))
    assert folded.saga.state == "completed"


def test_r4_an_owner_that_knows_of_the_end_refuses_what_came_before_it() -> None:
    """It folded to the high watermark first: the queued step ends there, and nobody is folded."""
    folded = Folded(role(), START_EVENT, RESERVED)
    assert folded.fold(FAILED_END) == [Drop("action", "pay"), Moved("pay", "pending", "refused")]


def test_r8_a_rollback_goes_on_after_the_end_until_all_is_undone() -> None:
    """Where an import has come: its step gets its answer, and the saga is failed once it has confirmed."""
    folded = Folded(role(), START_EVENT, event("desk.X", SUCCEEDED, "X", EXTERNAL), RESERVED)
    dropped, moved, answer = folded.fold(FAILED_END)
    assert (dropped, moved) == (Drop("action", "pay"), Moved("pay", "pending", "refused"))
    assert isinstance(answer, Answer)
    assert (answer.step, answer.outcome, folded.saga.state) == ("pay", FAILED, "compensating")
    folded.fold(event("reserve", COMPENSATED, "ReserveUndone"))
    assert folded.saga.state == "failed"


def test_r8_what_an_import_alone_calls_is_not_called_in_a_rollback() -> None:
    """Before it, the import calls its step; after the first failure nobody would wait for the answer."""
    imported = event("desk.X", SUCCEEDED, "Reserved", EXTERNAL)
    assert Folded(role(), START_EVENT).fold(imported) == [Queue("action", "pay")]
    assert Folded(role(), START_EVENT, SHIP_FAILED).fold(imported) == []


def test_r9_a_saga_that_an_earlier_choreo_took_as_ended_stays_so() -> None:
    """Its rows say that it had failed, and that what came later was void."""
    imported = event("desk.X", SUCCEEDED, "X", EXTERNAL)
    rows = [_row(START_EVENT, "started"), _row(imported, "pending"), _row(RESERVED, "pending")]
    rows.append(_row(FAILED_END, "failed"))
    rows.append(_row(event("ship", SUCCEEDED, "Shipped"), "failed")._replace(note="void"))
    saga = rebuild(role(), rows)
    assert (saga.state, "ship" in saga.outcomes) == ("failed", False)


def _row(event: Envelope, state: str) -> Entry:
    return Entry(
        *("s-1", "order", 1, state, 0, "event", event.step, "pending", "completed", event.id, event.type),
        event.outcome,
        event.kind,
        event.source,
    )


def test_r4_who_joins_does_not_run_a_retriable_step_of_a_saga_that_ended() -> None:
    """What ended without it is recorded, and never acted on."""
    notify = Action("pay", Trigger.of("Reserved"), RETRIABLE)
    folded = Folded(role(notify), START_EVENT, RESERVED, FAILED_END)
    assert Run("action", "pay") not in folded.fold(Begin("pay", joining=True))


def test_a_saga_whose_start_was_never_seen_is_not_acted_on() -> None:
    """Its history is incomplete: a dead letter."""
    folded = Folded(role())
    assert folded.fold(RESERVED) == [Bury("action", "pay", "incomplete-history")]


def test_a_version_that_is_not_known_is_folded_and_not_acted_on() -> None:
    """The participant says so, once a saga, in a dead letter; what the events call for is held."""
    folded = Folded(role())
    letter, held = folded.fold(replace_version(START_EVENT, 2))
    assert letter[:2] == ("saga", START)
    assert letter.reason.startswith("unknown-version: version 2 of the saga")
    assert [held, *folded.fold(RESERVED)] == [Held(), Held()]
    assert "Reserved" in folded.saga.types


@pytest.mark.parametrize("halves", [(RESERVED, CANCELLED), (CANCELLED, RESERVED)], ids=["at", "after"])
def test_a_version_that_is_not_known_refuses_no_half_filled_join(halves: tuple[Envelope, ...]) -> None:
    """A refusal is an act too: who doesn't know the version holds it, too."""
    folded = Folded(role(JOIN), replace_version(START_EVENT, 2), *halves)
    assert folded.decided == [Held()]


@pytest.mark.parametrize("later", [(), (CANCELLED,)], ids=["alive", "aborted"])
def test_what_is_held_is_done_once_the_version_is_known(later: tuple[Envelope, ...]) -> None:
    """In its order, against the state of that day: what comes meanwhile is held behind it."""
    folded = Folded(role(), replace_version(START_EVENT, 2), RESERVED, *later)
    folded.role = replace(folded.role, contract=CONTRACT._replace(version=2))
    assert folded.fold(event("pack", SUCCEEDED, "Packed")) == [Held()]
    done = [each for event in tuple(folded.saga.held) for each in folded.fold(Requeued("pay", event))]
    expected = [Moved("pay", "pending", "refused"), REFUSAL]
    assert done == (expected if later else [Queue("action", "pay")])
    assert not folded.saga.held


def test_what_is_held_and_discarded_calls_for_nothing() -> None:
    """Who discards it wants nothing of it done; what comes later is acted on again."""
    folded = Folded(role(), replace_version(START_EVENT, 2))
    folded.role = replace(folded.role, contract=CONTRACT._replace(version=2))
    assert folded.fold(Discarded("start", "no", *folded.saga.held)) == []
    assert folded.fold(RESERVED) == [Queue("action", "pay")]


def test_a_requeue_decides_by_the_state_of_today() -> None:
    """Buried before the abort, requeued after it: refused."""
    folded = Folded(role(), START_EVENT, RESERVED, BEGIN, Buried("pay"), CANCELLED)
    assert folded.fold(Requeued("pay")) == [Queue("action", "pay")]
    assert folded.fold(BEGIN)[-1] == REFUSAL


def test_r5_a_compensation_before_its_action_bars_it_silently() -> None:
    """Nobody waits for a step that was not triggered; when its trigger comes, it answers."""
    folded = Folded(role(), START_EVENT)
    assert folded.fold(SHIP_FAILED) == []
    assert folded.fold(RESERVED)[-1] == REFUSAL


def test_r5_a_call_bars_its_action_without_any_abort() -> None:
    """A compensation that some success calls, too, stands before its action."""
    barred = PAY._replace(compensations=(Compensation(Trigger.of("Returned"), "Refunded"),))
    folded = Folded(role(barred), START_EVENT, event("return", SUCCEEDED, "Returned"))
    assert folded.fold(RESERVED)[-1] == REFUSAL


def test_r5_a_compensation_waits_for_the_result_of_an_action_that_runs() -> None:
    """Called while the action is out; done as soon as its result is in."""
    folded = Folded(role(), START_EVENT, RESERVED, BEGIN)
    assert folded.fold(SHIP_FAILED) == []
    decided = folded.fold(PAID_NOW)
    assert decided[1:] == [
        Publish("pay", SUCCEEDED, "Paid"),
        Moved("pay", "completed", "compensating"),
        Queue("compensation", "pay"),
    ]


def test_r5_a_step_in_backoff_at_the_abort_answers_and_is_not_tried_again() -> None:
    """Its pause is over there and then."""
    folded = Folded(role(), START_EVENT, RESERVED, BEGIN, Deferred("pay"))
    assert folded.fold(CANCELLED) == [Drop("action", "pay"), Moved("pay", "executing", "refused"), REFUSAL]
    assert folded.fold(BEGIN) == []


def test_r5_an_attempt_that_fails_after_the_abort_is_the_last() -> None:
    """It was out at the abort, and is not tried again."""
    folded = Folded(role(), START_EVENT, RESERVED, BEGIN, CANCELLED)
    assert folded.fold(Deferred("pay"))[-1] == REFUSAL


def test_r5_after_a_timeout_the_refusal_is_a_compensated() -> None:
    """A failure would be void; and it is decided once."""
    folded = Folded(role(), START_EVENT, RESERVED)
    answers = [decided for decided in folded.fold(LATE) if isinstance(decided, Answer)]
    assert answers == [Answer("pay", COMPENSATED, "Refunded", "the saga is aborted")]


def test_r5_a_timeout_after_the_own_failure_is_confirmed() -> None:
    """The failure is on its way and will be void: the compensated stands in for it."""
    folded = Folded(role(), START_EVENT, RESERVED, BEGIN, Ended("pay", FAILED, "PaymentFailed"))
    assert folded.fold(LATE) == [Answer("pay", COMPENSATED, "Refunded", "timed out")]
    assert folded.fold(event("pay", FAILED, "PaymentFailed")) == [Ignored("void")]


def test_r5_a_failure_after_the_timeout_answers_compensated() -> None:
    """The call was out when the deadline passed; its failure says that nothing is left."""
    folded = Folded(role(), START_EVENT, RESERVED, BEGIN, LATE)
    decided = folded.fold(Ended("pay", FAILED, "PaymentFailed"))
    assert decided == [Moved("pay", "executing", "failed"), Answer("pay", COMPENSATED, "Refunded", "")]


def test_r5_a_success_after_the_timeout_is_undone() -> None:
    """That a step's own timeout calls its compensation is implied, never declared."""
    folded = Folded(role(), START_EVENT, RESERVED, BEGIN, LATE)
    assert folded.fold(PAID_NOW)[-1] == Queue("compensation", "pay")


def test_r6_a_step_runs_once_though_two_events_trigger_it() -> None:
    """Any of two; the second finds it done."""
    either = PAY._replace(trigger=Trigger.of("Reserved", "Priced"))
    folded = Folded(role(either), START_EVENT, RESERVED, BEGIN, PAID_NOW)
    assert folded.fold(event("price", SUCCEEDED, "Priced")) == []


def test_r6_a_result_that_comes_again_changes_nothing() -> None:
    """An action ends once, and a compensation too."""
    folded = Folded(role(), START_EVENT, RESERVED, BEGIN, PAID_NOW)
    assert folded.fold(PAID_NOW) == []
    undone = Ended("pay", COMPENSATED, "Refunded")
    folded.fold(SHIP_FAILED, BEGIN, undone)
    assert folded.fold(undone) == []


def test_r7_a_compensation_waits_for_every_parallel_successor() -> None:
    """One branch has failed; the other is still to be compensated."""
    both = Trigger.all_of(Trigger.of("ShipFailed", "ShipUndone"), Trigger.of("GiftFailed", "GiftUndone"))
    folded = Folded(
        role(PAY._replace(compensations=(Compensation(both, "Refunded"),))),
        START_EVENT,
        RESERVED,
        BEGIN,
        PAID_NOW,
    )
    assert folded.fold(PAID, SHIP_FAILED) == []
    assert folded.fold(event("gift", COMPENSATED, "GiftUndone"))[-1] == Queue("compensation", "pay")


LEAF = PAY._replace(compensations=(Compensation(Trigger(), "Refunded"),))


def test_r7_a_leaf_is_compensated_on_the_first_failure() -> None:
    """Nothing after it can fail, so nobody else would call it."""
    folded = Folded(role(LEAF), START_EVENT, RESERVED, BEGIN, PAID_NOW)
    assert folded.fold(SHIP_FAILED)[-1] == Queue("compensation", "pay")


def test_r7_a_cancellation_alone_does_not_compensate_a_leaf() -> None:
    """The saga may still complete."""
    folded = Folded(role(LEAF), START_EVENT, RESERVED, BEGIN, PAID_NOW)
    assert folded.fold(CANCELLED) == []


@pytest.mark.parametrize(("result", "answer"), [("PaidByCard", "CardRefunded"), ("PaidInCash", "CashBack")])
def test_r7_a_choice_has_one_compensation_for_each_result(result: str, answer: str) -> None:
    """The edges are those of the event that was really emitted."""
    undo = (
        Compensation(Trigger.of("ShipFailed"), "CardRefunded", frozenset({"PaidByCard"})),
        Compensation(Trigger.of("PickupFailed"), "CashBack", frozenset({"PaidInCash"})),
    )
    folded = Folded(
        role(PAY._replace(compensations=undo)), START_EVENT, RESERVED, BEGIN, Ended("pay", SUCCEEDED, result)
    )
    calls = folded.fold(SHIP_FAILED) + folded.fold(event("pickup", FAILED, "PickupFailed"))
    assert calls.count(Queue("compensation", "pay")) == 1
    folded.fold(BEGIN, Buried("pay"))
    assert folded.fold(Discarded("pay"))[-1] == Answer("pay", COMPENSATED, answer, "")


def test_r8_an_outcome_after_the_end_is_void() -> None:
    """The first end ends it."""
    folded = Folded(role(), START_EVENT, FAILED_END)
    assert folded.fold(event("ship", SUCCEEDED, "OrderFulfilled")) == [Ignored("void")]
    assert folded.saga.state == "failed"


def test_r8_a_compensation_that_is_owed_runs_after_the_end() -> None:
    """It was called before."""
    folded = Folded(role(), START_EVENT, RESERVED, BEGIN, PAID_NOW, SHIP_FAILED, FAILED_END)
    assert folded.fold(BEGIN) == [Run("compensation", "pay")]
    assert folded.fold(Ended("pay", COMPENSATED, "Refunded"))[-1] == Publish("pay", COMPENSATED, "Refunded")


def test_r8_completes_after_a_failure_counts_only_after_a_pivot() -> None:
    """Without one it is recorded, and dispatched to nobody."""
    folded = Folded(role(), START_EVENT, SHIP_FAILED)
    assert folded.fold(event("gift", SUCCEEDED, "OrderFulfilled")) == [Ignored("void")]
    assert (folded.saga.end, folded.saga.outcomes["gift"]) == ("", SUCCEEDED)
    pivoted = Folded(role(), START_EVENT, event("pay2", SUCCEEDED, "Paid2", PIVOT), SHIP_FAILED)
    pivoted.fold(event("gift", SUCCEEDED, "OrderFulfilled"))
    assert pivoted.saga.end == "completed"


def test_r8_the_start_is_a_step_whose_compensation_ends_the_saga() -> None:
    """Its owner publishes `fails` when the first step confirms."""
    start = Action(
        START, Trigger(), "start", compensations=(Compensation(Trigger.of("ReserveFailed"), "OrderFailed"),)
    )
    folded = Folded(role(start), Ended(START, SUCCEEDED, "OrderCreated"))
    assert folded.decided[-1] == Publish(START, SUCCEEDED, "OrderCreated")
    folded.fold(START_EVENT, event("reserve", FAILED, "ReserveFailed"))
    assert folded.decided[-1] == Queue("compensation", START)
    folded.fold(Begin(START), Ended(START, COMPENSATED, "OrderFailed"))
    assert folded.decided[-1] == Publish(START, COMPENSATED, "OrderFailed")


PARTIAL = PAY._replace(partial=True)
RAISED = Ended("pay", FAILED, "", "partial", "cut off")


def test_a_partial_attempt_is_compensated_before_its_failure_is_published() -> None:
    """It may have had effects outside."""
    folded = Folded(role(PARTIAL), START_EVENT, RESERVED, BEGIN)
    assert folded.fold(RAISED)[-1] == Queue("compensation", "pay")
    decided = folded.fold(BEGIN, Ended("pay", COMPENSATED, "Refunded", reason="cut off"))
    assert decided == [
        Moved("pay", "compensating", "failed", "cut off"),
        Answer("pay", FAILED, "PaymentFailed", "cut off"),
    ]


def test_a_partial_attempt_that_was_timed_out_confirms_with_its_compensated() -> None:
    """The failure would be void."""
    folded = Folded(role(PARTIAL), START_EVENT, RESERVED, BEGIN, RAISED, LATE, BEGIN)
    assert folded.fold(Ended("pay", COMPENSATED, "Refunded"))[-1] == Publish("pay", COMPENSATED, "Refunded")


def test_a_partial_step_in_backoff_is_compensated_at_the_abort() -> None:
    """An attempt was made, so something may be there."""
    folded = Folded(role(PARTIAL), START_EVENT, RESERVED, BEGIN, Deferred("pay"))
    assert folded.fold(CANCELLED)[-1] == Queue("compensation", "pay")


def test_a_returned_failure_says_that_nothing_was_done() -> None:
    """Nothing is compensated, partial or not."""
    folded = Folded(role(PARTIAL), START_EVENT, RESERVED, BEGIN)
    assert folded.fold(Ended("pay", FAILED, "Declined"))[-1] == Publish("pay", FAILED, "Declined")


def test_a_returned_failure_says_nothing_of_the_attempts_before_it() -> None:
    """Whether one raised, or its process ended: what it may have done is undone before it is published."""
    declined = Ended("pay", FAILED, "Declined")
    for before in ((BEGIN, Deferred("pay"), BEGIN), (BEGIN, BEGIN)):
        folded = Folded(role(PARTIAL), START_EVENT, RESERVED, *before)
        ended = declined.after_attempts(PARTIAL, folded.saga.step("pay"))
        assert folded.fold(ended)[-1] == Queue("compensation", "pay")
        decided = folded.fold(BEGIN, Ended("pay", COMPENSATED, "Refunded"))
        assert decided[-1] == Publish("pay", FAILED, "Declined")
        assert folded.saga.step("pay").state == "failed"
    assert declined.after_attempts(PARTIAL, Progress()) == declined
    assert declined.after_attempts(PAY, Progress(attempt=1)) == declined


def test_exhausted_retries_are_answered_by_the_runtime() -> None:
    """No handler wrote that event."""
    folded = Folded(role(), START_EVENT, RESERVED, BEGIN)
    decided = folded.fold(Ended("pay", FAILED, "", "raised", "no answer in 5 attempts"))
    assert decided[-1] == Answer("pay", FAILED, "PaymentFailed", "no answer in 5 attempts")


def test_a_timeout_before_the_step_began_fails_it_without_an_attempt() -> None:
    """Queued too long."""
    folded = Folded(role(), START_EVENT, RESERVED)
    assert folded.fold(Ended("pay", FAILED, "", "raised", "timeout"))[0] == Moved(
        "pay", "pending", "failed", "timeout"
    )


def test_a_discarded_compensation_was_done_by_hand() -> None:
    """Its compensated event is published with the reason."""
    folded = Folded(role(), START_EVENT, RESERVED, BEGIN, PAID_NOW, SHIP_FAILED, BEGIN, Buried("pay"))
    assert folded.fold(Discarded("pay", "by hand"))[-1] == Answer("pay", COMPENSATED, "Refunded", "by hand")


def test_a_discarded_action_publishes_its_failure() -> None:
    """The saga is rolled back."""
    folded = Folded(role(), START_EVENT, RESERVED, BEGIN, Buried("pay"))
    assert folded.fold(Discarded("pay", "by hand"))[-1] == Answer("pay", FAILED, "PaymentFailed", "by hand")


def test_a_discarded_retriable_step_stays_a_dead_letter() -> None:
    """It cannot fail, so there is nothing that it could say: it can only be requeued."""
    folded = Folded(
        role(Action("pay", Trigger.of("Reserved"), RETRIABLE)), START_EVENT, RESERVED, Buried("pay")
    )
    assert folded.fold(Discarded("pay", "by hand")) == []
    assert folded.fold(Requeued("pay")) == [Queue("action", "pay")]


def test_an_answer_that_was_buried_is_given_when_it_is_requeued() -> None:
    """The failure of a step that failed, with its reason; the confirmation of one that was undone."""
    failed = Folded(role(), START_EVENT, RESERVED, BEGIN)
    failed.fold(Ended("pay", FAILED, "", "raised", "declined"), Buried("pay"))
    assert failed.fold(Requeued("pay")) == [Answer("pay", FAILED, "PaymentFailed", "declined")]
    refused = Folded(role(), START_EVENT, CANCELLED, RESERVED, Buried("pay"))
    assert refused.fold(Requeued("pay")) == [REFUSAL]
    gone = Ended("pay", COMPENSATED, "Refunded", "raised", "gone")
    undone = Folded(role(), START_EVENT, RESERVED, BEGIN, PAID_NOW, SHIP_FAILED, BEGIN, gone, Buried("pay"))
    assert undone.fold(Requeued("pay")) == [Answer("pay", COMPENSATED, "Refunded", "")]
    assert undone.saga.step("pay") == Progress("compensated", result="Paid")


def test_an_answer_that_was_buried_is_given_when_it_is_discarded() -> None:
    """What happened does not change, only the reason does."""
    gone = Ended("pay", COMPENSATED, "Refunded", "raised", "gone")
    undone = Folded(role(), START_EVENT, RESERVED, BEGIN, PAID_NOW, SHIP_FAILED, BEGIN, gone, Buried("pay"))
    assert undone.fold(Discarded("pay", "by hand")) == [Answer("pay", COMPENSATED, "Refunded", "by hand")]
    assert undone.fold(Discarded("pay", "by hand")) == []


def test_an_outcome_of_an_own_step_that_was_never_decided_puts_the_saga_in_quarantine() -> None:
    """It counts, as it does for everyone; but no own step is begun, refused or compensated any more."""
    folded = Folded(role(), START_EVENT, RESERVED)
    unowned, letter = folded.fold(PAID)
    assert (unowned, letter[:2]) == (Unowned("pay"), ("outcome", "pay"))
    assert folded.saga.outcomes["pay"] == SUCCEEDED
    assert folded.fold(BEGIN) == []
    assert folded.fold(SHIP_FAILED) == []


def test_an_adopted_outcome_counts_as_done_and_what_it_calls_for_is_done() -> None:
    """The step is not done again; its compensation, which was called meanwhile, runs."""
    folded = Folded(role(), START_EVENT, RESERVED, PAID, SHIP_FAILED)
    assert folded.fold(Requeued("pay", PAID.id)) == [
        Moved("pay", "pending", "completed", "adopted"),
        Moved("pay", "completed", "compensating"),
        Queue("compensation", "pay"),
    ]
    assert folded.fold(Requeued("pay", PAID.id)) == []


DEADLINE = Deadline("ship_is_late", "ship", Trigger.of("Paid"), "ShipLate")


def test_a_deadline_that_was_buried_is_requeued_or_given_up() -> None:
    """It is due again, unless it is over meanwhile; discarded, it never fires."""
    assert watcher(PAID, Buried("ship_is_late")).fold(Requeued("ship_is_late")) == [
        Queue("deadline", "ship_is_late")
    ]
    over = watcher(PAID, Buried("ship_is_late"), event("ship", SUCCEEDED, "Shipped"))
    assert over.fold(Requeued("ship_is_late")) == []
    discarded = watcher(PAID, Buried("ship_is_late"), Discarded("ship_is_late", "by hand"))
    assert discarded.fold(Requeued("ship_is_late"), Due("ship_is_late")) == []


def watcher(*inputs: Any) -> Folded:
    return Folded(Role("orders", CONTRACT, deadlines=(DEADLINE,)), START_EVENT, *inputs)


def test_a_deadline_is_armed_by_its_event_and_expires_once() -> None:
    """When it is due, its handler publishes the timeout."""
    folded = watcher(PAID)
    assert folded.decided == [Arm("ship_is_late")]
    assert folded.fold(Due("ship_is_late")) == [Expire("ship_is_late")]
    assert folded.fold(Due("ship_is_late")) == []


@pytest.mark.parametrize(
    "over",
    [
        event("ship", SUCCEEDED, "Shipped"),
        event("gift", FAILED, "GiftFailed"),
        FAILED_END,
        event("ship", SUCCEEDED, "OrderFulfilled"),
    ],
    ids=lambda e: e.type,
)
def test_a_deadline_is_disarmed_by_the_outcome_a_failure_or_the_end(over: Envelope) -> None:
    """A deadline can only abort its saga, and that is over."""
    folded = watcher(PAID)
    assert folded.fold(over) == [Disarm("ship_is_late")]
    assert folded.fold(Due("ship_is_late")) == []


def test_a_deadline_is_not_armed_when_its_step_has_an_outcome() -> None:
    """The reply came before the event that would have armed it."""
    assert watcher(event("ship", SUCCEEDED, "Shipped"), PAID).decided == []


def test_an_observer_takes_events_in_the_order_of_the_topic() -> None:
    """One event at a time: the next one waits until the first is done with."""
    looks = Observer("project", Trigger.of("OrderCreated", "Reserved"))
    folded = Folded(Role("reporting", CONTRACT, observers=(looks,)), START_EVENT)
    assert folded.decided == [Queue("observer", "project")]
    assert folded.fold(RESERVED) == []
    assert folded.saga.observers["project"] == (START_EVENT.id, RESERVED.id)
    assert folded.fold(Observed("project")) == [Queue("observer", "project")]
    assert folded.fold(Observed("project")) == []
    assert folded.saga.observers == {}


def test_an_observer_in_the_dead_letters_lets_the_next_event_pass() -> None:
    """Its event is skipped, and comes again when it is requeued."""
    looks = Observer("project", Trigger.of("OrderCreated", "Reserved"))
    folded = Folded(Role("reporting", CONTRACT, observers=(looks,)), START_EVENT, RESERVED)
    assert folded.fold(Buried("project")) == [Queue("observer", "project")]
    folded.fold(Observed("project"))
    assert folded.fold(Requeued("project", START_EVENT.id)) == [Queue("observer", "project")]


def test_commands_that_do_not_fit_change_nothing() -> None:
    """A pause that is over for a step that has ended meanwhile, say."""
    folded = Folded(role(), START_EVENT)
    before = folded.saga
    for command in (BEGIN, PAID_NOW, Requeued("pay"), Discarded("pay"), Deferred("pay"), Due("none")):
        assert folded.fold(command) == []
        assert folded.saga == before


def replace_version(envelope: Envelope, version: int) -> Envelope:
    return envelope._replace(saga_version=version)


def test_a_version_that_is_known_is_acted_on() -> None:
    """An older saga is handled by a newer participant."""
    newer = replace(role(), contract=CONTRACT._replace(version=3))
    folded = Folded(newer, replace_version(START_EVENT, 2))
    assert folded.fold(RESERVED) == [Queue("action", "pay")]
