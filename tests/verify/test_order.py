"""The order of steps: what a choice keeps apart, however many choices a saga has."""

from __future__ import annotations

from itertools import permutations

import pytest

from choreo.graph import SagaGraph
from choreo.outcome import PIVOT
from choreo.protocol import Trigger
from choreo.verify import Budget, verify
from choreo.verify.analysis.order import Order
from choreo.verify.engine.budget import no_clock
from tests.graph.small_sagas import choreography_from
from tests.protocol.sagas import STARTED, Saga, Step, last, step


def choices(number: int) -> Saga:
    """Return so many choices, one behind the other, with a step on either way, and a pivot at the end."""
    made: list[Step] = []
    on = Trigger.of(STARTED)
    for at in range(number):
        one, other = f"C{at}One", f"C{at}Other"
        made += [step(f"C{at}", on, one, other), step(f"D{at}", one), step(f"E{at}", other)]
        on = Trigger.of(f"D{at}Done", f"E{at}Done")
    return Saga("choices", (*made, last("Z", on, PIVOT)))


def graph_of(number: int) -> SagaGraph:
    (graph,) = choreography_from(choices(number)).sagas
    return graph


@pytest.mark.parametrize("number", [1, 6, 7])
def test_only_the_two_ways_of_one_choice_are_exclusive(number: int) -> None:
    """Seven choices have more ways through than are taken together: then each is looked at by itself."""
    graph = graph_of(number)
    order = Order(graph)
    apart = {
        (one.name, other.name)
        for one, other in permutations(graph.steps.values(), 2)
        if one.trigger and other.trigger and order.are_exclusive(one, other)
        if other.name not in order.after[one.name] and one.name not in order.after[other.name]
    }
    assert apart == {pair for at in range(number) for pair in permutations((f"d{at}.do", f"e{at}.do"))}


@pytest.mark.parametrize("number", [6, 7])
def test_what_either_way_leads_to_has_nothing_beside_it(number: int) -> None:
    """So the pivot behind the choices is right (CHO209), and so is all else."""
    graph = graph_of(number)
    assert list(Order(graph).beside(graph.steps["z.do"])) == []
    verdict = verify(choreography_from(choices(number)), budget=Budget(), clock=no_clock)
    assert {each.rule for each in verdict.findings} == {"CHO301"}


@pytest.mark.parametrize("number", [7, 20, 40])
def test_a_long_saga_is_looked_at_a_few_times_for_each_step(number: int) -> None:
    """Not once for each two of its steps, or for each step with each choice."""
    graph, looks = graph_of(number), list[None]()
    order = Order(graph, lambda: looks.append(None))
    for each in graph.steps.values():
        list(order.beside(each))
        for success in each.successes:
            order.possible(success)
    assert len(looks) < 10 * len(graph.steps)
