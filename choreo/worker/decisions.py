"""``Decisions``: folds inputs with the protocol, and carries out its decisions in the turn of the store."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any

from choreo import telemetry
from choreo.envelope import Envelope, event_id
from choreo.errors import ChoreoError, StoreError
from choreo.outcome import START, TIMED_OUT, StepState
from choreo.participant import Participant
from choreo.participant.answers import build
from choreo.ports import Clock, Codec, Store
from choreo.protocol import (
    Answer,
    Arm,
    Bury,
    Decision,
    Disarm,
    Drop,
    Expire,
    Held,
    Ignored,
    Input,
    Instance,
    Moved,
    Publish,
    Queue,
    Unowned,
    fold_into,
    steps,
)
from choreo.protocol.renaming import role_for
from choreo.records import Entry
from choreo.worker.attempt import Attempt
from choreo.worker.binding import Binding
from choreo.worker.bodies import encode
from choreo.worker.failure import detail_of, is_interrupt, text_of
from choreo.worker.handlers import Handlers
from choreo.worker.instances import Instances, item_about
from choreo.worker.item import Item
from choreo.worker.outbox import outbox_rows
from choreo.worker.partitions import Partitions
from choreo.worker.rows import Rows
from choreo.worker.schedule import Schedule
from choreo.worker.tally import REFUSED, VOID, Tally
from choreo.worker.tracing import sending

log = logging.getLogger("choreo.saga")

NO_EVENT = Attempt("ignored")
"""The attempt of an input that publishes no event of a handler."""

_DUPLICATE = Ignored("duplicate")

_NOTES: dict[type, Any] = {Ignored: "void", Unowned: "unowned", Held: "held"}
"""The notes of the rows of events about which such a decision was taken."""

FollowUp = tuple[Item, Queue | Bury]
"""Work that follows from a decision: a handler to run, or a dead letter to keep, and its item."""


class Decisions:
    """Folds inputs, and writes what follows from them to the store: saga log, outbox and schedule."""

    def __init__(
        self,
        participant: Participant,
        store: Store,
        codec: Codec,
        clock: Clock,
        handlers: Handlers,
        schedule: Schedule,
        partitions: Partitions,
        instances: Instances,
        tally: Tally,
        redact: bool = False,
    ) -> None:
        self.instances = instances
        self._tally = tally
        self._name = participant.name
        self._exports = participant.exports
        self._store = store
        self._codec = codec
        self._clock = clock
        self._handlers = handlers
        self._schedule = schedule
        self._partitions = partitions
        self._is_traced = telemetry.is_on()
        self._redact = redact

    def apply(self, item: Item, input: Input, attempt: Attempt = NO_EVENT) -> list[FollowUp]:
        """Fold one input and carry out the decisions; return the follow-ups, in order."""
        saga, old, decisions = self._fold(item, input)
        if decisions and type(decisions[0]) is Unowned:
            # Another process of the service may have started the saga meanwhile.
            self.instances.forget(item.role, item.saga_id)
            saga, old, decisions = self._fold(item, input)
        if decisions and decisions[0] == _DUPLICATE:
            return []
        return self._carry_out(item, input, old, saga, decisions, attempt)

    def answer(self, item: Item, step: str) -> list[FollowUp]:
        """Answer a step that ended while the worker caught up, unless the saga has ended (R4)."""
        saga = self.instances.get(item.role, item.saga_id)
        answers: list[Decision] = []
        reason = saga.step(step).reason or "the saga is aborted"
        steps.answer(saga, item.role.action[step], answers, reason)
        return self._carry_out(item, None, saga.state_of(step), saga, answers)

    def _fold(self, item: Item, input: Input) -> tuple[Instance, StepState, list[Decision]]:
        """Fold an input into the saga in memory; return it, the state of the step before, and the decisions.

        It is folded in place, as a copy for each event would make a long saga's cost quadratic. What is
        rolled back is therefore forgotten, and read from the store again.
        """
        saga = self.instances.get(item.role, item.saga_id)
        old = saga.state_of(input.step if type(input) is Envelope else str(input[0]))
        try:
            return saga, old, fold_into(item.role, saga, input)
        except BaseException:
            self.instances.forget(item.role, item.saga_id)
            raise

    def _carry_out(
        self,
        item: Item,
        input: Input | None,
        old: StepState,
        after: Instance,
        decisions: Iterable[Decision],
        attempt: Attempt = NO_EVENT,
    ) -> list[FollowUp]:
        """Write the rows of one input and of its decisions; return the follow-ups, in order.

        ``attempt`` is the one that returned the event to publish. ``input`` is None for a postponed answer.
        """
        rows = Rows(
            item,
            old,
            after,
            input,
            attempt.at or self._clock.now(),
            detail=attempt.detail,
            body=attempt.body,
            note=attempt.by_hand,
        )
        buried: list[FollowUp] = []
        queued: list[FollowUp] = []
        for decision in decisions:
            match decision:
                case Moved():
                    self._move(rows, decision)
                case Publish():
                    buried += self._publish_returned(item, rows, after, decision, attempt)
                case Queue():
                    queued.append((item, decision))
                case Bury():
                    buried.append((item, decision))
                case Ignored() | Unowned() | Held():
                    self._note(rows, _NOTES[type(decision)])
                case Answer():
                    buried += self._answer_or_wait(item, rows, after, decision, attempt)
                case _:
                    self._plan(item, rows, decision, attempt)
        self._write(rows.entries())
        return buried + queued  # so that a handler that runs next sees that those steps have stopped

    def _move(self, rows: Rows, move: Moved) -> None:
        rows.moves.append(move)
        if move.new == "refused":
            self._tally.add(REFUSED, "step")

    def _note(self, rows: Rows, note: Any) -> None:
        """Note what is special about an event, and count it where it is refused or without effect."""
        rows.event_note = note
        if note == "void":
            self._tally.add(VOID, rows.item.saga_type)
        elif note == "unowned":
            self._tally.add(REFUSED, "outcome")

    def _write(self, entries: Sequence[Entry]) -> None:
        self._store.append(entries)
        if log.isEnabledFor(logging.DEBUG):
            _tell(entries, self._name)

    def _plan(self, item: Item, rows: Rows, decision: Decision, attempt: Attempt) -> None:
        """Carry out a decision about the schedule: of a deadline, or of a dropped step."""
        match decision:
            case Drop(task, name):
                self._schedule.drop(item, task, name)
            case Arm(name):
                self._schedule.arm(item, self._handlers.named(name))
            case Disarm(name):
                self._schedule.drop(item, "deadline", name)
            case Expire(name):
                watched = role_for(item.role, rows.after).deadline[name].of
                self._publish(item, rows, watched, TIMED_OUT, attempt.type, attempt.body)

    def _publish_returned(
        self, item: Item, rows: Rows, saga: Instance, decision: Publish, attempt: Attempt
    ) -> Iterable[FollowUp]:
        """Publish the event of an attempt, or of an earlier one whose effects had to be undone first."""
        step, outcome, name = decision
        body = attempt.body if name == attempt.type else self._store.payload(*item.saga_key, name)
        if body is None:
            answer = Answer(step, outcome, name, saga.step(step).reason)
            return self._answer_or_wait(item, rows, saga, answer)
        self._publish(item, rows, step, outcome, name, body)
        return ()

    def _publish(self, item: Item, rows: Rows, step: str, outcome: str, name: str, body: bytes) -> None:
        action = item.role.action.get(step)
        cause = item.trigger.envelope
        envelope = Envelope(
            event_id(item.saga_id, rows.after.id_type(item.saga_type), step, outcome, name),
            self._name,
            name,
            self._clock.now(),
            item.saga_id,
            item.role.contract.saga,
            rows.after.version or cause.saga_version,
            step,
            outcome,  # type: ignore[arg-type]
            action.kind if action else "compensatable",
            cause.id,
            cause.traceparent,
        )
        if self._is_traced:
            envelope = envelope._replace(traceparent=sending(item.topic, envelope, cause.traceparent))
        rows.published.append((envelope, body))
        self._store.enqueue(outbox_rows(envelope, (item.topic, *self._exports(name)), body))

    def _answer_or_wait(
        self, item: Item, rows: Rows, saga: Instance, answer: Answer, attempt: Attempt = NO_EVENT
    ) -> Iterable[FollowUp]:
        self._schedule.drop(item, "answer", answer.step)
        if attempt.by_hand and attempt.type == answer.type:
            self._publish(item, rows, answer.step, answer.outcome, answer.type, attempt.body)
            return ()
        # No handler runs for an answer, so a careful worker gives it at once, too.
        if self._partitions.acts_on(item.trigger.topic, item.trigger.partition):
            return self._answer(item, rows, saga, answer)
        self._schedule.put(item, "answer", answer.step, self._clock.now())
        return ()

    def _answer(self, item: Item, rows: Rows, saga: Instance, answer: Answer) -> Iterable[FollowUp]:
        """Build and publish the answer of a step from the events that triggered it."""
        action = item.role.action[answer.step]
        types = action.trigger.types if answer.step != START else frozenset((item.role.contract.starts,))
        try:
            cls, build_answer = self._handlers.answer(item.saga_type, answer.step, answer.type)
            binding = Binding(self._store, self._codec, item.saga_key, saga, item.trigger)
            sources = binding.events(types, answer.step)
            body = encode(self._codec, build(cls, sources, answer.reason, build_answer))
        except StoreError:
            raise  # the turn's transaction is lost
        except BaseException as error:  # of an unreadable event, or of the service's own answer=
            if is_interrupt(error):
                raise
            detail = text_of(error) if isinstance(error, ChoreoError) else self._told(error)
            about = item_about(self._store, item, getattr(error, "event_type", ""))
            return ((about, Bury("action", answer.step, f"unanswerable: {detail}")),)
        self._publish(item, rows, answer.step, answer.outcome, answer.type, body)
        return ()

    def _told(self, error: BaseException) -> str:
        return detail_of(error, redact=self._redact)


def _tell(entries: Iterable[Entry], participant: str) -> None:
    """Log each transition of a step, without any payload; the turn that it is of may still be undone."""
    for each in entries:
        if each.old_state != each.new_state:
            about = {"saga_id": each.saga_id, "saga_type": each.saga_type, "step": each.step}
            states = {"old_state": each.old_state, "new_state": each.new_state}
            log.debug(
                "%s: saga_id=%s step=%s: %s → %s, event_id=%s",
                *(participant, each.saga_id, each.step, each.old_state, each.new_state, each.event_id),
                extra={"participant": participant, **about, **states, "event_id": each.event_id},
            )
