"""One participant of the naive search: every state that it may be in, and every move from there.

Roles are read from the manifests without the engine: the oracle and the engine that it judges share the
protocol's `fold` and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from choreo import protocol
from choreo.envelope import Envelope, event_id
from choreo.manifest import HandlerEntry, Manifest, SagaEntry
from choreo.outcome import COMPENSATED, FAILED, START, SUCCEEDED, TIMED_OUT
from choreo.protocol import (
    Action,
    Begin,
    Buried,
    Compensation,
    Contract,
    Deadline,
    Due,
    Ended,
    Input,
    Instance,
    Observed,
    Observer,
    Requeued,
    Role,
    Trigger,
)


class Published(NamedTuple):
    """An event as the topic holds it."""

    step: str
    outcome: str
    type: str
    kind: str


class Effect(NamedTuple):
    """What a move did to a step: ``did``, ``may have done``, ``did nothing`` after all, or ``undid`` it.

    ``causes`` are the event types, known by then, that play a part in the step's trigger.
    """

    what: str
    step: str
    causes: frozenset[str] = frozenset()


class Move:
    """A move: its cost in the budget, and its effects. Where it leads is worked out once, when it is made."""

    __slots__ = ("_before", "_go", "_result", "costs", "effects", "label")

    def __init__(
        self, label: str, costs: str, effects: tuple[Effect, ...], before: int, go: Callable[[], int]
    ) -> None:
        self.label, self.costs, self.effects = label, costs, effects
        self._before, self._go = before, go
        self._result: tuple[int, str] | None = None

    @property
    def result(self) -> tuple[int, str]:
        """The number of the state after it, and the property that it breaks, if it breaks one."""
        if self._result is None:
            try:
                self._result = self._go(), ""
            except Violation as wrong:
                self._result = self._before, str(wrong)
        return self._result

    @property
    def after(self) -> int:
        """The number of the state after it."""
        return self.result[0]

    @property
    def wrong(self) -> str:
        """The property that it breaks, if it breaks one."""
        return self.result[1]


class State(NamedTuple):
    """What one participant knows, what it is executing, and what it has not yet published."""

    saga: int = 0
    queued: frozenset[tuple[str, str]] = frozenset()
    running: frozenset[tuple[str, str]] = frozenset()
    armed: frozenset[str] = frozenset()
    outbox: tuple[Published, ...] = ()


class Violation(Exception):
    """Raised when a property is broken; the text begins with its name."""


def role_of(manifest: Manifest, saga: SagaEntry) -> Role:
    """Return a participant's role in the protocol, from its manifest."""
    own = [handler for handler in manifest.handlers if handler.saga == saga.name]
    undoing = [handler for handler in own if handler.task == "compensation"]
    undos = {h.step: tuple(_undo(each) for each in undoing if each.step == h.step) for h in own}
    actions = [
        Action(
            h.step,
            h.trigger,
            h.kind,  # type: ignore[arg-type]
            next(iter(h.emits.failures), ""),
            undos[h.step],
            h.partial,
        )
        for h in own
        if h.task == "action"
    ]
    if START in undos:
        actions.append(Action(START, Trigger(), "start", compensations=undos[START]))
    return Role(
        manifest.participant,
        Contract(saga.name, saga.starts, saga.completes, saga.fails, saga.aborts, saga.version),
        tuple(actions),
        tuple(Observer(h.name, h.trigger) for h in own if h.task == "observer"),
        tuple(Deadline(h.name, h.step, h.trigger, h.emits.successes[0]) for h in own if h.task == "deadline"),
        frozenset().union(*(h.earlier for h in own)),
    )


def written_out(manifests: Sequence[Manifest]) -> list[Manifest]:
    """Return manifests in which rule R7 has written out the triggers of derived compensations."""
    actions = {h.step: h for m in manifests for h in m.handlers if h.task == "action"}
    undos = [h for m in manifests for h in m.handlers if h.task == "compensation"]
    starts = {saga.name: saga.starts for m in manifests for saga in m.sagas}

    def calls(saga: str, success: str) -> Trigger:
        after = [a for a in actions.values() if a.saga == saga and a.kind != "retriable"]
        ends = [
            [*a.emits.failures, *(undo.emits.successes[0] for undo in undos if undo.step == a.step)]
            for a in after
            if success in a.trigger.types
        ]
        return Trigger.all_of(*(Trigger.of(*names) for names in ends)) if ends else Trigger()

    def each(handler: HandlerEntry) -> Iterator[HandlerEntry]:
        if not handler.derived or (handler.step != START and handler.step not in actions):
            yield handler
            return
        done = (starts[handler.saga],) if handler.step == START else actions[handler.step].emits.successes
        for success in done:
            if not handler.results or success in handler.results:
                trigger = calls(handler.saga, success)
                yield replace(handler, derived=False, trigger=trigger, results=frozenset((success,)))

    return [replace(m, handlers=tuple(out for h in m.handlers for out in each(h))) for m in manifests]


def _undo(handler: HandlerEntry) -> Compensation:
    return Compensation(handler.trigger, next(iter(handler.emits.successes), ""), handler.results)


class NaiveParticipant:
    """A participant's states, by number, and its moves from each, computed once."""

    def __init__(self, manifest: Manifest, saga: SagaEntry, kinds: dict[str, str]) -> None:
        self.name = manifest.participant
        self.saga = saga
        self.role = role_of(manifest, saga)
        own = [h for h in manifest.handlers if h.saga == saga.name]
        self.actions = {h.step: h for h in own if h.task == "action"}
        self.undos = [h for h in own if h.task == "compensation"]
        self._kinds = kinds
        self._instances: list[Instance] = [Instance()]
        self._instance_of: dict[Any, int] = {self._instances[0].key(): 0}
        self.states: list[State] = [State()]
        self._number: dict[State, int] = {State(): 0}
        self._known_moves: dict[int, list[Move]] = {}
        self._read: dict[tuple[int, Published], Move] = {}
        self._published: dict[int, tuple[int, Published]] = {}
        self._envelopes: dict[Published, Envelope] = {}
        self._folded: dict[tuple[int, type, Input], tuple[int, list[Any]]] = {}

    def forget(self) -> None:
        """Let go of the moves, which hold the participant: so nobody has to look for garbage."""
        self._known_moves.clear()
        self._read.clear()

    def knows(self, number: int) -> Instance:
        """Return the saga as the participant knows it in a state."""
        return self._instances[self.states[number].saga]

    def moves(self, number: int) -> list[Move]:
        """Return what the participant may do by itself in a state."""
        if number not in self._known_moves:
            different = {(each.label, each.costs, each.effects): each for each in self._moves(number)}
            self._known_moves[number] = list(different.values())
        return self._known_moves[number]

    def read(self, number: int, event: Published) -> Move:
        """Return the move in which the participant reads an event."""
        key = number, event
        if key not in self._read:
            envelope = self.envelope(event)
            label = f"{self.name} reads {event.type}"
            self._read[key] = self._move(label, "", number, lambda s: self._fold(s, envelope))
        return self._read[key]

    def begin(self, number: int) -> Move:
        """Return the move in which the participant starts the saga."""
        given = Ended(START, SUCCEEDED, self.saga.starts)
        return self._move("starts", "", number, lambda s: self._fold(s, given), Effect("did", START))

    def published(self, number: int) -> tuple[int, Published]:
        """Return the state after the participant has published its next event, and that event."""
        if number not in self._published:
            state = self.states[number]
            after = self._at(state._replace(outbox=state.outbox[1:]))
            self._published[number] = after, state.outbox[0]
        return self._published[number]

    def envelope(self, event: Published) -> Envelope:
        """Return an event as the protocol reads it."""
        if event not in self._envelopes:
            self._envelopes[event] = self._envelope(event)
        return self._envelopes[event]

    def _envelope(self, event: Published) -> Envelope:
        return Envelope(
            event_id("s", "saga", event.step, event.outcome, event.type),
            "somebody",
            event.type,
            0,
            "s",
            self.saga.name,
            self.saga.version,
            event.step,
            event.outcome,  # type: ignore[arg-type]
            event.kind,  # type: ignore[arg-type]
        )

    def _at(self, state: State) -> int:
        number = self._number.setdefault(state, len(self.states))
        if number == len(self.states):
            self.states.append(state)
        return number

    def _move(
        self, label: str, costs: str, number: int, go: Callable[[State], State], *effects: Effect
    ) -> Move:
        return Move(label, costs, effects, number, lambda: self._at(go(self.states[number])))

    def _moves(self, number: int) -> Iterator[Move]:
        state = self.states[number]
        for name in sorted(state.armed):
            yield self._move(f"{name} is due", "d", number, lambda s, n=name: self._fold(s, Due(n)))
        for task, name in sorted(state.running):
            yield from self._endings(number, state, task, name)
        for task, name in sorted(state.queued):
            yield from self._begins(number, task, name)
        for name, progress in self.knows(number).steps.items():
            if progress.activity == "dead":
                given = Requeued(name)
                yield self._move(f"{name} is requeued", "", number, lambda s, t=given: self._fold(s, t))

    def _begins(self, number: int, task: str, name: str) -> Iterator[Move]:
        """Return the moves that begin a step, and end it too if its handler runs inside the transaction."""
        begun = self._move(f"{task} {name} begins", "", number, lambda s: self._begin(s, task, name))
        after = self.states[begun.after]
        handler = self.actions.get(name) if task == "action" else self._undo_handler(number, name)
        if begun.wrong or (task, name) not in after.running or (handler and handler.runs != "inside"):
            yield begun
            return
        yield from self._endings(begun.after, after, task, name)

    def _begin(self, state: State, task: str, name: str) -> State:
        return self._fold(state._replace(queued=state.queued - {(task, name)}), Begin(name))

    def _endings(self, number: int, state: State, task: str, name: str) -> Iterator[Move]:
        def end(label: str, costs: str, given: Input, effect: Effect) -> Move:
            def go(before: State) -> State:
                return self._fold(before._replace(running=before.running - {(task, name)}), given)

            return self._move(label, costs, number, go, effect)

        yield end(f"{task} {name} is buried", "l", Buried(name), Effect("paused", name))
        if task == "compensation":
            yield self._compensates(number, name, end)
            return
        action = self.actions[name]
        saga, types = self.knows(number), action.trigger.types
        did = Effect("did", name, types & saga.types)
        if not action.emits.successes:
            yield _wrong(f"{name} returns", number, f"reachable-end: {name} has nothing to return")
        for success in action.emits.successes:
            yield end(f"{name} returns {success}", "", Ended(name, SUCCEEDED, success), did)
        if action.kind == "retriable":
            return
        nothing = Effect("did nothing", name)
        for failure in action.emits.failures:
            yield end(f"{name} returns {failure}", "f", Ended(name, FAILED, failure), nothing)
        effect = did._replace(what="may have done") if action.partial else nothing
        given = Ended(name, FAILED, "", "partial" if action.partial else "raised")
        yield end(f"{name} raises", "f", given, effect)

    def _compensates(self, number: int, name: str, end: Any) -> Move:
        handler = self._undo_handler(number, name)
        saga = self.knows(number)
        if handler is None:
            return _wrong(f"{name} is compensated", number, f"one-compensation: nothing undoes {name}")
        label, effect = f"{handler.name} undoes {name}", Effect("undid", name)
        called = handler.trigger.satisfied(saga.types)
        if not called and not handler.aborted:
            return _wrong(
                label, number, f"complete-rollback: {handler.name} admits no Aborted, and no event called it"
            )
        if not saga.step(name).result and not handler.optional_result:
            return _wrong(
                label, number, f"complete-rollback: {handler.name} needs a result, and there is none"
            )
        answer = handler.emits.successes[0] if handler.emits.successes else ""
        move: Move = end(label, "", Ended(name, COMPENSATED, answer), effect)
        return move

    def _undo_handler(self, number: int, name: str) -> HandlerEntry | None:
        """Return the compensation that the worker chooses: the only one, or that of the emitted event."""
        those = [handler for handler in self.undos if handler.step == name]
        if len({handler.name for handler in those}) == 1:
            return those[0]
        result = self.knows(number).step(name).result
        return next((handler for handler in those if result in handler.results), None)

    def _fold(self, state: State, given: Input) -> State:
        key = state.saga, type(given), given
        if key not in self._folded:
            saga, decisions = protocol.fold(self.role, self._instances[state.saga], given)
            number = self._instance_of.setdefault(saga.key(), len(self._instances))
            if number == len(self._instances):
                self._instances.append(saga)
            self._folded[key] = number, decisions
        number, decisions = self._folded[key]
        state = state._replace(saga=number)
        for decision in decisions:
            state = self._apply(state, decision)
        return state

    def _apply(self, state: State, decision: Any) -> State:
        match decision:
            case protocol.Queue("observer", name):
                return self._fold(state, Observed(name))
            case protocol.Publish(step, outcome, name) | protocol.Answer(step, outcome, name):
                return self._publish(state, step, outcome, name)
            case protocol.Expire(name):
                deadline = self.role.deadline[name]
                state = state._replace(armed=state.armed - {name})
                return self._publish(state, deadline.of, TIMED_OUT, deadline.answer)
            case protocol.Bury() | protocol.Unowned():
                raise Violation(f"no-dead-letter: {decision}, and nothing went wrong")
        return _scheduled(state, decision)

    def _publish(self, state: State, step: str, outcome: str, name: str) -> State:
        if not name:
            raise Violation(f"R5: {step} owes an event for {outcome}, and has none")
        return state._replace(
            outbox=(*state.outbox, Published(step, outcome, name, self._kinds.get(step, "")))
        )


def _wrong(label: str, number: int, wrong: str) -> Move:
    def refused() -> int:
        raise Violation(wrong)

    return Move(label, "", (), number, refused)


def _scheduled(state: State, decision: Any) -> State:
    match decision:
        case protocol.Queue(task, name):
            return state._replace(queued=state.queued | {(task, name)})
        case protocol.Drop(task, name):
            return state._replace(queued=state.queued - {(task, name)})
        case protocol.Run(task, name):
            return state._replace(running=state.running | {(task, name)})
        case protocol.Arm(name):
            return state._replace(armed=state.armed | {name})
        case protocol.Disarm(name):
            return state._replace(armed=state.armed - {name})
    return state


def kinds_of(manifests: Sequence[Manifest], saga: str) -> dict[str, str]:
    """Return the kind of every step of a saga, as its events carry it."""
    kinds = {START: "start"}
    for manifest in manifests:
        kinds.update({h.step: h.kind for h in manifest.handlers if h.task == "action" and h.saga == saga})
    return kinds
