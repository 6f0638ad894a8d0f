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
from choreo.worker.attempt import Attempt
from choreo.worker.binding import Binding
from choreo.worker.bodies import encode
from choreo.worker.dead_letters import dead_letter
from choreo.worker.handlers import Handlers
from choreo.worker.instances import Instances, history_of
from choreo.worker.item import Item, TriggerEvent
from choreo.worker.outbox import outbox_rows
from choreo.worker.rows import Rows
from choreo.worker.schedule import Schedule

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
        schedule: Schedule,
        sagas_in_memory: int,
    ) -> None:
        self.live = False
        self.sagas = Instances(store, sagas_in_memory)
        self.todo: list[tuple[Item, Queue]] = []
        self._name = participant.name
        self._exports = participant.exports
        self._store = store
        self._codec = codec
        self._clock = clock
        self._handlers = handlers
        self._schedule = schedule
        self._is_traced = telemetry.is_on()

    def tell(self, item: Item, told: Input, emitted: Attempt = _NO_RESULT) -> None:
        """Fold one input: write its rows, publish what it publishes, and note what it queues."""
        before = self.sagas.get(item.role, item.saga_id)
        after, decisions = fold(item.role, before, told)
        if decisions and type(decisions[0]) is Unowned:
            before, after, decisions = self._fold_afresh(item, told)
        if decisions and decisions[0] == _DUPLICATE:
            return
        self.sagas.put(item.role, item.saga_id, after)
        rows = Rows(item, before, after, told, emitted.at or self._clock.now())
        self._carry_out_all(item, rows, after, decisions, emitted)

    def answer(self, item: Item, step: str) -> None:
        """Answer what was refused while we caught up, unless the saga ended without us (rule R4)."""
        saga = self.sagas.get(item.role, item.saga_id)
        answers: list[Decision] = []
        steps.answer(saga, item.role.action[step], answers, "the saga is aborted")
        rows = Rows(item, saga, saga, None, self._clock.now())
        self._carry_out_all(item, rows, saga, answers, _NO_RESULT)

    def bury(self, item: Item, task: str, name: str, reason: str, detail: str, tried: int) -> None:
        """Keep a dead letter of what can't go on by itself."""
        letter = dead_letter(item, task, name, reason, detail, self._clock.now(), tried)
        number = self._store.add_dead_letter(letter)
        log.error(
            "dead letter %d: saga_id=%s step=%s %s: %s", number, item.saga_id, name, task, letter.reason
        )
        self.tell(item, Buried(name, reason))

    def case_of(self, item: Item, event_type: str) -> Item:
        """Give the case as if it were caused by another event that its saga has had."""
        if event_type in ("", item.trigger.envelope.type):
            return item
        entries = history_of(self._store, item.saga_type, item.saga_id)
        found = (each for each in entries if each.input == "event" and each.event_type == event_type)
        entry = next((each for each in found if each.note != "void"), None)
        return item if entry is None else item._replace(trigger=TriggerEvent.remembered(entry))

    def _carry_out_all(
        self, item: Item, rows: Rows, saga: Instance, decisions: Iterable[Decision], emitted: Attempt
    ) -> None:
        followups: list[tuple[Item, Queue | Bury]] = []
        for decision in decisions:
            followups += self._carry_out(item, rows, saga, decision, emitted)
        self._store.append(rows.entries())
        for about, followup in reversed(followups):
            if isinstance(followup, Bury):
                reason, _, detail = followup.reason.partition(": ")
                self.bury(about, followup.task, followup.name, reason, detail, 0)
            else:
                self.todo.append((item, followup))

    def _fold_afresh(self, item: Item, told: Input) -> tuple[Instance, Instance, list[Decision]]:
        """Fold an own outcome that we don't remember deciding on what the store says.

        Another process of the service may have started the saga after it came into our memory. Where
        the store knows nothing of it either, it is not the one that published it.
        """
        self.sagas.forget(item.role, item.saga_id)
        before = self.sagas.get(item.role, item.saga_id)
        after, decisions = fold(item.role, before, told)
        if Unowned(item.trigger.envelope.step) in decisions:
            raise StoreMismatch(
                f"{item.topic}[{item.trigger.partition}]@{item.trigger.offset} is an outcome of "
                f"{item.trigger.envelope.step} that this store never produced",
                hint="was the database restored from a backup, copied, or is another store in use?",
            )
        return before, after, decisions

    def _carry_out(
        self, item: Item, rows: Rows, saga: Instance, decision: Decision, emitted: Attempt
    ) -> Iterable[tuple[Item, Queue | Bury]]:
        """Do what belongs to the input's own rows; give back what comes after them."""
        match decision:
            case Moved():
                rows.moves.append(decision)
            case Publish(step, outcome):
                self._publish(item, rows, step, outcome, emitted.type, emitted.body)
            case Expire(name):
                watched = item.role.deadline[name].of
                self._publish(item, rows, watched, TIMED_OUT, emitted.type, emitted.body)
            case Answer():
                return self._answer_or_wait(item, rows, saga, decision)
            case Queue() | Bury():
                return ((item, decision),)
            case Ignored():
                rows.is_void = True
            case _:
                self._plan(item, decision)
        return ()

    def _plan(self, item: Item, decision: Decision) -> None:
        """Put on the agenda, or take off it, what has its time."""
        match decision:
            case Drop(task, name):
                self._schedule.drop(item, task, name)
            case Arm(name):
                self._schedule.arm(item, self._handlers.named(name))
            case Disarm(name):
                self._schedule.drop(item, "deadline", name)

    def _publish(self, item: Item, rows: Rows, step: str, outcome: str, name: str, body: bytes) -> None:
        action = item.role.action.get(step)
        trigger = item.trigger.envelope
        envelope = Envelope(
            event_id(item.saga_id, step, outcome, name),
            self._name,
            name,
            self._clock.now(),
            item.saga_id,
            item.saga_type,
            trigger.saga_version,
            step,
            outcome,  # type: ignore[arg-type]
            action.kind if action else "compensatable",
            trigger.id,
            telemetry.traceparent(trigger.traceparent) if self._is_traced else trigger.traceparent,
        )
        rows.published.append((envelope, body))
        self._store.enqueue(outbox_rows(envelope, (item.topic, *self._exports(name)), body))

    def _answer_or_wait(
        self, item: Item, rows: Rows, saga: Instance, answer: Answer
    ) -> Iterable[tuple[Item, Bury]]:
        self._schedule.drop(item, "answer", answer.step)
        if self.live:
            return self._answer(item, rows, saga, answer)
        self._schedule.put(item, "answer", answer.step, self._clock.now())
        return ()

    def _answer(self, item: Item, rows: Rows, saga: Instance, answer: Answer) -> list[tuple[Item, Bury]]:
        """Build and publish an answer that no handler wrote, from the events that triggered the step."""
        action = item.role.action[answer.step]
        types = action.trigger.types if answer.step != START else frozenset((item.role.contract.starts,))
        try:
            cls, build_answer = self._handlers.answer(answer.step, answer.type)
            sources = Binding(self._store, self._codec, item.saga_id, saga, item.trigger).events(
                types, answer.step
            )
            body = encode(self._codec, build(cls, sources, answer.reason, build_answer))
        except StoreError:
            raise  # the turn's transaction is lost
        except Exception as error:  # the body of an event, or what the service's own answer= does
            detail = error if isinstance(error, ChoreoError) else type(error).__name__
            about = self.case_of(item, getattr(error, "event_type", ""))
            return [(about, Bury("action", answer.step, f"unanswerable: {detail}"))]
        self._publish(item, rows, answer.step, answer.outcome, answer.type, body)
        return []
