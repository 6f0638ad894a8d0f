"""The invariants, which hold for every saga at rest, independent of the faults before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from choreo.events import event_name
from choreo.outcome import EXTERNAL, RETRIABLE, START, SUCCEEDED
from choreo.participant import Handler
from choreo.saga import Saga
from choreo.testing.account import account_of
from choreo.testing.effects import Effect
from choreo.testing.harness import Harness
from choreo.testing.history import SagaHistory
from choreo.testing.simulation import Violation

_MOST_ROWS = 1_000

Actions = Mapping[str, Sequence[Handler]]
"""The declarations of each step, one for each release of its participant, by the step's name."""


def require(holds: object, complaint: str) -> None:
    """Raise `Violation` with ``complaint`` unless a condition holds."""
    if not holds:
        raise Violation(complaint)


def check(harness: Harness) -> None:
    """Check every invariant. Raises `Violation` with the saga's timeline and the moves that led there.

    Nothing waits: no publication, no scheduled row, no unread record, no dead letter. Each saga has one end,
    on which all participants agree; every effect took place at most once; where it failed, every effect is
    undone, in the strict reverse of the causal order; every step that was triggered has answered; a repeated
    event changes nothing.
    """
    blamed = next(((each.saga_type, each.saga_id) for each in harness.letters() if each.saga_id), None)
    try:
        check_quiet(harness)
        for blamed in harness.sagas():
            saga_type, saga_id = blamed
            check_saga(harness, _sagas(harness)[saga_type], saga_id)
    except Violation as violation:
        raise Violation(violation.complaint, account_of(harness, blamed)) from None


def check_quiet(harness: Harness) -> None:
    """Check that no publication, row, record or dead letter waits."""
    for process, letter in harness.world.open_letters():
        what = f"{letter.task} {letter.name or letter.event_type}"
        raise Violation(f"a dead letter of {process.name} is open: {what}: {letter.reason}: {letter.detail}")
    for name, process in harness.processes.items():
        require(not process.log.in_flight, f"{name} has sent events that never got to the topic")
        unpublished = len(process.store.unpublished(0, _MOST_ROWS))
        require(not unpublished, f"{name} still has {_several(unpublished, 'event')} to publish")
        rows = process.store.db.execute("select task, name, saga_id from schedule").fetchall()
        waiting = ", ".join(f"{task} {handler} of {saga_id}" for task, handler, saga_id in rows)
        require(not waiting, f"{name} still has to do: {waiting}")
        require(not process.log.has_news, f"{name} has not read everything")
        for partition, position in process.store.positions().items():
            high = harness.broker.partition(partition).high
            require(position == high, f"{name} has read {position} of {high} records of {partition.topic}")


def check_saga(harness: Harness, saga: Saga, saga_id: str) -> None:
    """Check one saga. Raises `Violation`."""
    history = SagaHistory(saga, harness.events(saga_id, saga))
    actions = _actions(harness, saga)
    effects = [
        effect
        for each in harness.effects.values()
        for effect in each
        if (effect.saga_type, effect.saga_id) == (saga.name, saga_id)
    ]
    try:
        check_end(harness, history, saga_id)
        check_winners(harness, history, saga_id)
        check_once(harness, saga, effects, saga_id)
        check_undone(actions, effects, history)
        check_order(actions, effects, history)
        check_answers(_unchanged(harness, history), history)
    except Violation as violation:
        raise Violation(f"{saga.name} {saga_id}: {violation.complaint}") from None


def check_end(harness: Harness, history: SagaHistory, saga_id: str) -> None:
    """Check that it has ended, in the same way for every participant."""
    require(history.end, "it never ends")
    for name, process in harness.processes.items():
        if history.saga.name not in {saga.name for saga in process.participant.sagas}:
            continue
        entries = process.store.history(saga_id, history.saga.name)
        state = entries[-1].saga_state if entries else "unknown"
        require(state == history.end, f"it is {history.end} by its events, and {state} for {name}")


def check_winners(harness: Harness, history: SagaHistory, saga_id: str) -> None:
    """Check that the same outcomes are void for every participant."""
    counted = {envelope.id for envelope in history.counted}
    for name, process in harness.processes.items():
        for entry in process.store.history(saga_id, history.saga.name):
            if entry.input == "event":
                is_void = entry.note == "void"
                right = is_void != (entry.event_id in counted)
                does, is_it = ("ignores", "which counts") if is_void else ("acts on", "which is void")
                require(right, f"{name} {does} {entry.event_type} of {entry.step}, {is_it} for the others")


def check_once(harness: Harness, saga: Saga, effects: list[Effect], saga_id: str) -> None:
    """Check that no effect took place twice, in one release or in two, and that no event is recorded twice.

    What runs outside of a transaction may have been called twice. Steps of different names whose success is
    the same event have the same effect: a release that renames a step must say so.
    """
    inside = Counter((each.task, each.step) for each in effects if not each.declared.is_outside)
    for (task, step), times in inside.items():
        of = "the compensation of " if task == "compensation" else ""
        once = times <= 1 or task not in ("action", "compensation")
        require(once, f"{of}{step} took effect {times} times in one saga")
    steps: dict[str, str] = {}
    for each in effects:
        if each.is_done:
            first = steps.setdefault(each.result, each.step)
            require(first == each.step, f"{first} and {each.step} both did what {each.result} says")
    for name, process in harness.processes.items():
        seen = [each.event_id for each in process.store.history(saga_id, saga.name) if each.input == "event"]
        twice = {each for each in seen if seen.count(each) > 1}
        require(not twice, f"{name} has recorded {_several(len(twice), 'event')} twice")


def check_undone(actions: Actions, effects: list[Effect], history: SagaHistory) -> None:
    """Check that effects are undone exactly where the saga failed."""
    done = {effect.step: effect.declared for effect in effects if effect.is_done}
    undone = {effect.step for effect in effects if effect.task == "compensation"}
    for step, declared in actions.items():
        if done.get(step, declared[-1]).kind == RETRIABLE:
            continue
        is_done, partial = step in done, any(each.partial for each in declared)
        if history.end == "failed":
            require(not is_done or step in undone, f"{step} was done and is never undone")
        elif not partial and not history.is_timed_out(step):
            require(step not in undone, f"{step} is undone, and the saga completes")
        if not partial:
            require(is_done or step not in undone, f"{step} is undone, and was never done")
        if step in undone and not partial:
            require(step in history.compensated, f"{step} is undone, and no event says so")


def check_order(actions: Actions, effects: list[Effect], history: SagaHistory) -> None:
    """Check that causally later effects are undone earlier.

    A success that is void has called nobody: its step is undone whatever the others do.
    """
    void = {name for name, first in history.outcomes.items() if first.outcome != SUCCEEDED}
    places: dict[str, list[int]] = {}
    for effect in effects:
        if effect.task == "compensation":
            places.setdefault(effect.step, []).append(effect.place)
    for earlier in sorted(places.keys() - void):
        for later in _consequences(actions, effects, earlier):
            if later in places and later != earlier:
                in_order = max(places[later]) < min(places[earlier])
                require(in_order, f"{earlier} is undone before {later}, which depends on it")


def check_answers(handlers: Iterable[Handler], history: SagaHistory) -> None:
    """Check that, where it failed, each of these steps has answered that another step called."""
    if history.end != "failed":
        return
    imported = {envelope.type for envelope in history.counted if envelope.kind == EXTERNAL}
    for handler in handlers:
        asked = handler.task == "action" and handler.kind != "retriable"
        alone = handler.trigger.satisfied(imported)  # nobody waits for its answer
        if asked and handler.trigger.satisfied(history.types) and not alone:
            require(handler.step in history.answered, f"{handler.step} was asked for and has never answered")


def _consequences(actions: Actions, effects: list[Effect], step: str) -> set[str]:
    """Return the steps that a step has triggered, directly or indirectly, by the events really emitted."""
    done = [each for each in effects if each.task == "action"]
    declared = {name: each[-1] for name, each in actions.items()} | {
        each.step: each.declared for each in done
    }
    emitted = {each.step: each.result for each in done}
    if step == START:
        emitted[START] = next((event_name(each.saga.starts) for each in declared.values()), "")
    found: set[str] = set()
    open_steps = [step]
    while open_steps:
        result = emitted.get(open_steps.pop(), "")
        for name, handler in declared.items():
            if result in handler.trigger.types and name not in found:
                found.add(name)
                open_steps.append(name)
    return found


def _actions(harness: Harness, saga: Saga) -> Actions:
    """Return every declaration of each step of a saga, the latest last."""
    found: dict[str, list[Handler]] = {}
    for process in harness.processes.values():
        for release in process.releases:
            for handler in release.handlers:
                if handler.task == "action" and handler.saga.name == saga.name:
                    found.setdefault(handler.step, []).append(handler)
    return found


def _unchanged(harness: Harness, history: SagaHistory) -> Iterator[Handler]:
    """Yield the actions that every release so far declared alike, since no other need have answered.

    Neither need those of a participant that joined meanwhile, and those of other versions of the saga.
    """
    version = history.envelopes[0].saga_version if history.envelopes else 0
    for process in harness.processes.values():
        for handler in process.participant.handlers:
            is_of_saga = handler.saga.name == history.saga.name and handler.versions.includes(version)
            if process.name in harness.joined or not is_of_saga:
                continue
            if all(any(_is_alike(handler, each) for each in it.handlers) for it in process.releases):
                yield handler


def _is_alike(one: Handler, other: Handler) -> bool:
    return (one.task, one.step, one.kind, one.trigger) == (other.task, other.step, other.kind, other.trigger)


def _sagas(harness: Harness) -> dict[str, Saga]:
    return {saga.name: saga for process in harness.processes.values() for saga in process.participant.sagas}


def _several(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
