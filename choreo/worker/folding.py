"""Folding: the protocol is told what happened, and what it decides is written down and published."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from choreo import telemetry
from choreo.envelope import Envelope, event_id
from choreo.errors import ChoreoError, StoreError, StoreMismatch
from choreo.outcome import START, TIMED_OUT
from choreo.participant import Participant
from choreo.participant.answer import build
from choreo.ports import Clock, Codec, Store
from choreo.protocol import (
    Answer,
    Arm,
    Buried,
    Bury,
    Decision,
    Disarm,
    Drop,
    Expire,
    Ignored,
    Input,
    Instance,
    Moved,
    Publish,
    Queue,
    Unowned,
    fold,
    steps,
)
from choreo.worker.agenda import Agenda
from choreo.worker.attempt import Attempt
from choreo.worker.binding import Binding
from choreo.worker.bodies import encode
from choreo.worker.case import Case, Cause, dead_letter
from choreo.worker.handlers import Handlers
from choreo.worker.outgoing import outbox_rows
from choreo.worker.rows import Rows
from choreo.worker.sagas import Sagas, history_of

log = logging.getLogger("choreo.worker")

_NO_RESULT = Attempt("ignored")
_DUPLICATE = Ignored("duplicate")


class Folding:
    """Keeps the sagas of one participant, inside the turns of its store.

    What an input calls for is left in ``todo``, the first on top: whoever tells must do it before
    the turn ends. ``live`` is False while the worker catches up; then answers wait on the agenda.
    """

    def __init__(
        self,
        participant: Participant,
        store: Store,
        codec: Codec,
        clock: Clock,
        handlers: Handlers,
        agenda: Agenda,
        sagas_in_memory: int,
    ) -> None:
        self.live = False
        self.sagas = Sagas(store, sagas_in_memory)
        self.todo: list[tuple[Case, Queue]] = []
        self._name = participant.name
        self._exports = participant.exports
        self._store = store
        self._codec = codec
        self._clock = clock
        self._handlers = handlers
        self._agenda = agenda
        self._is_traced = telemetry.is_on()

    def tell(self, case: Case, told: Input, emitted: Attempt = _NO_RESULT) -> None:
        """Fold one input: write its rows, publish what it publishes, and note what it queues."""
        before = self.sagas.get(case.role, case.saga_id)
        after, decisions = fold(case.role, before, told)
        if decisions and type(decisions[0]) is Unowned:
            before, after, decisions = self._fold_afresh(case, told)
        if decisions and decisions[0] == _DUPLICATE:
            return
        self.sagas.put(case.role, case.saga_id, after)
        rows = Rows(case, before, after, told, emitted.at or self._clock.now())
        self._carry_out_all(case, rows, after, decisions, emitted)

    def answer(self, case: Case, step: str) -> None:
        """Answer what was refused while we caught up, unless the saga ended without us (rule R4)."""
        saga = self.sagas.get(case.role, case.saga_id)
        answers: list[Decision] = []
        steps.answer(saga, case.role.action[step], answers, "the saga is aborted")
        rows = Rows(case, saga, saga, None, self._clock.now())
        self._carry_out_all(case, rows, saga, answers, _NO_RESULT)

    def bury(self, case: Case, task: str, name: str, reason: str, detail: str, tried: int) -> None:
        """Keep a dead letter of what can't go on by itself."""
        letter = dead_letter(case, task, name, reason, detail, self._clock.now(), tried)
        number = self._store.add_dead_letter(letter)
        log.error(
            "dead letter %d: saga_id=%s step=%s %s: %s", number, case.saga_id, name, task, letter.reason
        )
        self.tell(case, Buried(name, reason))

    def case_of(self, case: Case, event_type: str) -> Case:
        """Give the case as if it were caused by another event that its saga has had."""
        if event_type in ("", case.cause.envelope.type):
            return case
        entries = history_of(self._store, case.saga_type, case.saga_id)
        found = (each for each in entries if each.input == "event" and each.event_type == event_type)
        entry = next((each for each in found if each.note != "void"), None)
        return case if entry is None else case._replace(cause=Cause.remembered(entry))

    def _carry_out_all(
        self, case: Case, rows: Rows, saga: Instance, decisions: Iterable[Decision], emitted: Attempt
    ) -> None:
        followups: list[tuple[Case, Queue | Bury]] = []
        for decision in decisions:
            followups += self._carry_out(case, rows, saga, decision, emitted)
        self._store.append(rows.entries())
        for about, followup in reversed(followups):
            if isinstance(followup, Bury):
                reason, _, detail = followup.reason.partition(": ")
                self.bury(about, followup.task, followup.name, reason, detail, 0)
            else:
                self.todo.append((case, followup))

    def _fold_afresh(self, case: Case, told: Input) -> tuple[Instance, Instance, list[Decision]]:
        """Fold an own outcome that we don't remember deciding on what the store says.

        Another process of the service may have started the saga after it came into our memory. Where
        the store knows nothing of it either, it is not the one that published it.
        """
        self.sagas.forget(case.role, case.saga_id)
        before = self.sagas.get(case.role, case.saga_id)
        after, decisions = fold(case.role, before, told)
        if Unowned(case.cause.envelope.step) in decisions:
            raise StoreMismatch(
                f"{case.topic}[{case.cause.partition}]@{case.cause.offset} is an outcome of "
                f"{case.cause.envelope.step} that this store never produced",
                hint="was the database restored from a backup, copied, or is another store in use?",
            )
        return before, after, decisions

    def _carry_out(
        self, case: Case, rows: Rows, saga: Instance, decision: Decision, emitted: Attempt
    ) -> Iterable[tuple[Case, Queue | Bury]]:
        """Do what belongs to the input's own rows; give back what comes after them."""
        match decision:
            case Moved():
                rows.moved(decision)
            case Publish(step, outcome):
                self._publish(case, rows, step, outcome, emitted.type, emitted.body)
            case Expire(name):
                watched = case.role.deadline[name].of
                self._publish(case, rows, watched, TIMED_OUT, emitted.type, emitted.body)
            case Answer():
                return self._answer_or_wait(case, rows, saga, decision)
            case Queue() | Bury():
                return ((case, decision),)
            case Ignored():
                rows.void()
            case _:
                self._plan(case, decision)
        return ()

    def _plan(self, case: Case, decision: Decision) -> None:
        """Put on the agenda, or take off it, what has its time."""
        match decision:
            case Drop(task, name):
                self._agenda.drop(case, task, name)
            case Arm(name):
                self._agenda.arm(case, self._handlers.named(name))
            case Disarm(name):
                self._agenda.drop(case, "deadline", name)

    def _publish(self, case: Case, rows: Rows, step: str, outcome: str, name: str, body: bytes) -> None:
        action = case.role.action.get(step)
        cause = case.cause.envelope
        envelope = Envelope(
            event_id(case.saga_id, step, outcome, name),
            self._name,
            name,
            self._clock.now(),
            case.saga_id,
            case.saga_type,
            cause.saga_version,
            step,
            outcome,  # type: ignore[arg-type]
            action.kind if action else "compensatable",
            cause.id,
            telemetry.traceparent(cause.traceparent) if self._is_traced else cause.traceparent,
        )
        rows.published(envelope, body)
        self._store.enqueue(outbox_rows(envelope, (case.topic, *self._exports(name)), body))

    def _answer_or_wait(
        self, case: Case, rows: Rows, saga: Instance, answer: Answer
    ) -> Iterable[tuple[Case, Bury]]:
        self._agenda.drop(case, "answer", answer.step)
        if self.live:
            return self._answer(case, rows, saga, answer)
        self._agenda.put(case, "answer", answer.step, self._clock.now())
        return ()

    def _answer(self, case: Case, rows: Rows, saga: Instance, answer: Answer) -> list[tuple[Case, Bury]]:
        """Build and publish an answer that no handler wrote, from the events that triggered the step."""
        action = case.role.action[answer.step]
        types = action.trigger.types if answer.step != START else frozenset((case.role.contract.starts,))
        try:
            cls, build_answer = self._handlers.answer(answer.step, answer.type)
            sources = Binding(self._store, self._codec, case.saga_id, saga, case.cause).events(
                types, answer.step
            )
            body = encode(self._codec, build(cls, sources, answer.reason, build_answer))
        except StoreError:
            raise  # the turn's transaction is lost
        except Exception as error:  # the body of an event, or what the service's own answer= does
            detail = error if isinstance(error, ChoreoError) else type(error).__name__
            about = self.case_of(case, getattr(error, "event_type", ""))
            return [(about, Bury("action", answer.step, f"unanswerable: {detail}"))]
        self._publish(case, rows, answer.step, answer.outcome, answer.type, body)
        return []
