"""What remains: held against random sagas of the protocol, event by event."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given

from choreo.envelope import Envelope
from choreo.graph import SagaGraph
from choreo.outcome import CANCEL, START, TIMED_OUT
from choreo.protocol import Ignored, Instance, Role, Trigger, fold
from choreo.timeline.events import Event, Place
from choreo.timeline.remaining import RemainingStep, remaining_steps
from choreo.timeline.timeline import _undone
from tests.graph.small_sagas import choreography_from, step_of
from tests.protocol import sagas as shapes
from tests.protocol.explore import Budget, Machine, walk
from tests.protocol.sagas import CANCELLED, COMPLETES, FAILS, STARTED, Saga
from tests.protocol.test_properties import chances, sagas, thorough
from tests.timeline.travelled import graph_of_trips

MUCH = Budget(failures=1, deadlines=1, cancellations=1, pauses=1)


def graph_of(saga: Saga) -> SagaGraph:
    (graph,) = choreography_from(saga, cancellable=True).sagas
    return graph


def events_of(saga: Saga, log: tuple[str, ...]) -> list[Event]:
    """Return the events of a log as they lie in the topic; void where the protocol says so."""
    nobody = Role("nobody", saga.roles[0].contract)
    state, told = Instance(), []
    for offset, name in enumerate(log):
        event = saga.events[name]
        state, decisions = fold(nobody, state, event)
        if Ignored("duplicate") not in decisions:
            told.append(event_of(event, offset, "void" if Ignored("void") in decisions else ""))
    return told


def event_of(event: Envelope, offset: int, void: str = "") -> Event:
    return Event(
        event.id,
        event.type,
        event.step if event.step in (START, CANCEL) else step_of(event.step),
        event.outcome,
        event.kind,
        event.source,
        "",
        offset,
        Place("t", 0, offset),
        {},
        void,
    )


def owed(found: list[RemainingStep]) -> set[tuple[str, str]]:
    """Return the events that are owed now, each with its step."""
    return {(each.step, name) for each in found if not each.needs for name in each.answers}


@given(sagas(), chances)
@thorough
def test_whatever_comes_next_and_counts_was_owed(saga: Saga, chance: random.Random) -> None:
    """Deadlines and cancellations come from nobody's wait; everything else does."""
    log = walk(Machine(saga), MUCH, chance).log
    events, graph = events_of(saga, log), graph_of(saga)
    for place, event in enumerate(events):
        if event.void or event.step in (START, CANCEL) or event.outcome == TIMED_OUT:
            continue
        assert (event.step, event.type) in owed(remaining_steps(graph, events[:place])), log[: place + 1]


@given(sagas(), chances)
@thorough
def test_a_saga_that_has_not_ended_always_waits_for_somebody(saga: Saga, chance: random.Random) -> None:
    """And one that has, for nobody."""
    log = walk(Machine(saga), MUCH, chance).log
    events, graph = events_of(saga, log), graph_of(saga)
    for place in range(1, len(events) + 1):
        seen = events[:place]
        if all(each.step != START for each in seen):
            continue
        ended = any(each.type in (COMPLETES, FAILS) and not each.void for each in seen)
        assert bool(owed(remaining_steps(graph, seen))) is not ended, [each.type for each in seen]


def test_what_may_follow_is_told_with_what_it_needs() -> None:
    """Along the successes, step by step."""
    saga = shapes.chain(3)
    found = remaining_steps(graph_of(saga), events_of(saga, (STARTED,)))
    first, second, third = saga.steps
    assert [(each.task, bool(each.needs)) for each in found] == [
        ("action", False),
        ("action", True),
        ("action", True),
    ]
    assert found[1].needs == first.results
    assert found[2].needs == second.results
    assert found[2].answers[: len(third.results)] == third.results


def test_a_rollback_is_told_back_to_the_start() -> None:
    """The failure's successors are the compensations, the last step's first."""
    saga = shapes.chain(3)
    first, second, third = saga.steps
    log = (STARTED, *first.results, *second.results, third.failure)
    found = remaining_steps(graph_of(saga), events_of(saga, log))
    assert [(each.step, each.needs) for each in found] == [
        (step_of(second.name), ()),
        (START, first.answers),
        (step_of(first.name), second.answers),
    ]
    assert {each.task for each in found} == {"compensation"}


def test_what_an_event_under_way_leads_to_needs_it() -> None:
    """It isn't owed before somebody has read it."""
    saga = shapes.chain(2)
    first, second = saga.steps
    done = event_of(saga.events[first.results[0]], 0)._replace(place=None)
    (found,) = remaining_steps(graph_of(saga), events_of(saga, (STARTED,)), [done])
    assert found.step == step_of(second.name)
    assert found.needs == first.results


def test_a_cancelled_saga_owes_its_rollback() -> None:
    """What was triggered before may still succeed; what is triggered after is refused."""
    saga = shapes.chain(3)
    first, second, third = saga.steps
    log = (STARTED, *first.results, CANCELLED)
    (owes,) = [each for each in remaining_steps(graph_of(saga), events_of(saga, log)) if not each.needs]
    assert owes.answers == (*second.results, second.failure)
    log = (*log, *second.results)
    (owes,) = [each for each in remaining_steps(graph_of(saga), events_of(saga, log)) if not each.needs]
    assert owes.answers == (third.failure,)


def test_a_choice_that_timed_out_may_answer_for_either_result() -> None:
    """Nobody knows yet which of them it was. Found by the property above, with ``CHOREO_FUZZ=1``."""
    one, other = (
        shapes.step("A", STARTED, "A1", "A2"),
        shapes.last("B", Trigger.any_of(Trigger.of("A1"), Trigger.of("A2"))),
    )
    saga = Saga("choice", (one, other)).with_watch("A")
    (owes,) = [
        each
        for each in remaining_steps(graph_of(saga), events_of(saga, (STARTED, "ALate")))
        if not each.needs
    ]
    assert owes.answers == one.answers
    assert len(one.answers) == 2


def test_what_completes_in_vain_is_undone() -> None:
    """The saga had failed; the step was done all the same. Found as the one above."""
    beside, last = shapes.step("A", STARTED), shapes.last("B", STARTED)
    saga = Saga("vain", (beside, last))
    events = events_of(saga, (STARTED, beside.failure, *last.results))
    assert events[-1].void
    owes = [each for each in remaining_steps(graph_of(saga), events) if not each.needs]
    assert [(each.task, each.answers) for each in owes] == [("compensation", last.answers)]


def test_a_join_that_cannot_be_refused_owes_nothing_before_it_is_whole() -> None:
    """Whatever the abort finds."""
    one, other = shapes.step("A", STARTED), shapes.step("B", STARTED)
    join = shapes.last("C", Trigger.all_of(Trigger.of(*one.results), Trigger.of(*other.results)), "retriable")
    saga = Saga("join", (one, other, join))
    found = remaining_steps(graph_of(saga), events_of(saga, (STARTED, *one.results, CANCELLED)))
    assert step_of(join.name) not in {each.step for each in found if not each.needs}


def test_the_start_waits_for_the_answer_that_can_still_come() -> None:
    """Of a choice, the one that undoes what was done."""
    choice, beside = shapes.step("A", STARTED, "A1", "A2"), shapes.step("B", STARTED)
    last = shapes.last("C", Trigger.all_of(Trigger.any_of(*map(Trigger.of, choice.results)), beside.on))
    saga = Saga("choice", (choice, beside, last))
    events = events_of(saga, (STARTED, "A2", beside.failure))
    start = next(each for each in remaining_steps(graph_of(saga), events) if each.step == START)
    assert choice.answers[1] in start.needs
    assert choice.answers[0] not in start.needs


@pytest.mark.parametrize("state", ["pending", "executing", "compensating", "compensated"])
def test_a_step_that_is_undone_before_its_failure_is_published_can_only_fail(state: str) -> None:
    """Its own participant knows, and nobody else: there is no event of it yet."""
    graph = graph_of_trips()
    action = RemainingStep("hotel", "hotel.book_room", "action", graph.steps["hotel.book_room"].answers)
    moments: Any = [
        SimpleNamespace(step="hotel.book_room", new_state="executing"),
        SimpleNamespace(step="hotel.book_room", new_state=state),
        SimpleNamespace(step="flight.book_seat", new_state="compensating"),
    ]
    shown = _undone(action, moments, graph)
    if state != "compensating":
        assert shown == action
    else:
        assert (shown.task, shown.answers) == ("compensation", graph.steps["hotel.book_room"].failures[:1])
