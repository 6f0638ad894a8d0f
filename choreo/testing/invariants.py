"""The invariants: what must hold of every saga once nothing moves any more, whatever went wrong before."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from choreo.events import event_name
from choreo.outcome import START
from choreo.participant import Handler
from choreo.saga import Saga
from choreo.testing.effects import Effect
from choreo.testing.letters import open_letters
from choreo.testing.story import Story
from choreo.testing.violation import Violation, require

if TYPE_CHECKING:
    from choreo.testing.harness import Harness


def check(harness: Harness) -> None:
    """Check everything. Raises `Violation` with the saga's story and the way there.

    Nothing waits: no publication, nothing scheduled, no record unread, no dead letter. Of each saga: it has
    one end, on which all agree; every effect was there once at most; where it failed, what was done is
    undone, in the strict reverse of the causal order; whoever was asked has answered; an event that comes
    twice changes nothing.
    """
    try:
        check_quiet(harness)
        for saga_type, saga_id in harness.sagas():
            check_saga(harness, _sagas(harness)[saga_type], saga_id)
    except Violation as violation:
        raise Violation(f"{violation}\n{_circumstances(harness)}") from None


def check_quiet(harness: Harness) -> None:
    """Check that nothing waits for anything."""
    for seat, letter in open_letters(harness):
        what = f"{letter.task} {letter.name or letter.event_type}"
        raise Violation(f"a dead letter of {seat.name} is open: {what}: {letter.reason}: {letter.detail}")
    for name, seat in harness.seats.items():
        require(not seat.wire.in_flight, f"{name} has publications in flight")
        require(not seat.store.unpublished(0, 1), f"{name} has something left in its outbox")
        waiting = seat.store.db.execute("select task, name, lane from schedule").fetchall()
        require(not waiting, f"{name} has something left on its schedule: {waiting}")
        require(not seat.wire.log.has_news, f"{name} has not read everything")
        for partition, position in seat.store.positions().items():
            high = harness.broker.tape(partition).high
            require(position == high, f"{name} stands at {position} of {high} of {partition.topic}")


def check_saga(harness: Harness, saga: Saga, saga_id: str) -> None:
    """Check one saga. Raises `Violation` with its story."""
    story = Story(saga, [each for each in harness.events(saga_id) if each.saga_type == saga.name])
    handlers = [each for seat in harness.seats.values() for each in seat.participant.handlers]
    own = [handler for handler in handlers if handler.saga is saga]
    effects = [
        effect
        for each in harness.effects.values()
        for effect in each
        if (effect.saga_type, effect.saga_id) == (saga.name, saga_id)
    ]
    try:
        check_end(harness, story, saga_id)
        check_winners(harness, story, saga_id)
        check_once(harness, own, effects, saga_id)
        check_undone(own, effects, story)
        check_order(own, effects)
        check_answers(own, story)
    except Violation as violation:
        raise Violation(f"{saga.name} {saga_id}: {violation}\n{story}") from None


def check_end(harness: Harness, story: Story, saga_id: str) -> None:
    """It has ended, and everybody who takes part says so."""
    require(story.end, "it never ends")
    for name, seat in harness.seats.items():
        if story.saga not in seat.participant.sagas:
            continue
        entries = [each for each in seat.store.history(saga_id) if each.saga_type == story.saga.name]
        state = entries[-1].saga_state if entries else "unknown"
        require(state == story.end, f"it has {story.end}, and {name} says it is {state}")


def check_winners(harness: Harness, story: Story, saga_id: str) -> None:
    """Everybody has read the same winners: what is void in the log is void for all, and nothing else is."""
    counted = {envelope.id for envelope in story.counted}
    for name, seat in harness.seats.items():
        for entry in seat.store.history(saga_id):
            if entry.input == "event" and entry.saga_type == story.saga.name:
                is_void = entry.note == "void"
                said = "void" if is_void else "valid"
                right = is_void != (entry.event_id in counted)
                require(right, f"{name} takes {entry.event_type} of {entry.step} for {said}")


def check_once(harness: Harness, handlers: Iterable[Handler], effects: list[Effect], saga_id: str) -> None:
    """What is done inside of the transaction is done once at most; what comes twice changes nothing."""
    for handler in handlers:
        times = sum(effect.handler == handler.name for effect in effects)
        if handler.task in ("action", "compensation") and not handler.is_outside:
            require(times <= 1, f"{handler.name} took effect {times} times")
    for name, seat in harness.seats.items():
        seen = [each.event_id for each in seat.store.history(saga_id) if each.input == "event"]
        twice = {each for each in seen if seen.count(each) > 1}
        require(not twice, f"{name} has recorded {len(twice)} events twice")


def check_undone(handlers: list[Handler], effects: list[Effect], story: Story) -> None:
    """Where it failed, what was done is undone; where it completed, it is not; nothing else is undone."""
    done = {effect.step for effect in effects if _is_done(handlers, effect)}
    undone = {effect.step for effect in effects if effect.task == "compensation"}
    for handler in handlers:
        if handler.task != "action" or handler.kind == "retriable":
            continue
        step, is_done = handler.step, handler.step in done
        if story.end == "failed":
            require(not is_done or step in undone, f"{step} was done and is never undone")
        elif not handler.partial and not story.is_timed_out(step):
            require(step not in undone, f"{step} is undone, and the saga completes")
        if not handler.partial:
            require(is_done or step not in undone, f"{step} is undone and was not done")
        if step in undone and not handler.partial:
            require(step in story.compensated, f"{step} is undone and tells nobody")


def check_order(handlers: list[Handler], effects: list[Effect]) -> None:
    """What came causally later is undone earlier."""
    places: dict[str, list[int]] = {}
    for effect in effects:
        if effect.task == "compensation":
            places.setdefault(effect.step, []).append(effect.place)
    for earlier in places:
        for later in _consequences(handlers, effects, earlier):
            if later in places and later != earlier:
                in_order = max(places[later]) < min(places[earlier])
                require(in_order, f"{earlier} is undone before {later}, which came of it")


def check_answers(handlers: list[Handler], story: Story) -> None:
    """Where it failed, every step that was asked for has answered."""
    if story.end != "failed":
        return
    for handler in handlers:
        asked = handler.task == "action" and handler.kind != "retriable"
        if asked and any(option <= story.types for option in handler.trigger.alternatives):
            require(handler.step in story.answered, f"{handler.step} was asked for and has never answered")


def _is_done(handlers: list[Handler], effect: Effect) -> bool:
    """Say whether an effect is that of an action that went well: a failure that is returned did nothing."""
    return any(
        handler.name == effect.handler and handler.task == "action" and effect.result in handler.successes
        for handler in handlers
    )


def _consequences(handlers: list[Handler], effects: list[Effect], step: str) -> set[str]:
    """Give the steps that came of a step, at any distance, by what was really emitted."""
    emitted = {each.step: each.result for each in effects if each.task == "action"}
    if step == START:
        emitted[START] = next(iter(_starts(handlers)), "")
    found: set[str] = set()
    open_steps = [step]
    while open_steps:
        result = emitted.get(open_steps.pop(), "")
        for handler in handlers:
            if handler.task == "action" and result in handler.trigger.types and handler.step not in found:
                found.add(handler.step)
                open_steps.append(handler.step)
    return found


def _starts(handlers: list[Handler]) -> set[str]:
    return {event_name(handler.saga.starts) for handler in handlers}


def _sagas(harness: Harness) -> dict[str, Saga]:
    return {saga.name: saga for seat in harness.seats.values() for saga in seat.participant.sagas}


def _circumstances(harness: Harness) -> str:
    """Say how it came to this."""
    struck = [repr(fault) for fault in harness.faults if fault.has_struck]
    last = "".join(f"\n  {line}" for line in harness.trace[-30:])
    schedule = harness.choices.schedule
    lines = [f"struck by {', '.join(struck)}"] if struck else []
    lines += [f'schedule="{schedule}"'] if schedule.differs else []
    return "\n".join([*lines, f"the last of {len(harness.trace)} moves:{last}"])
