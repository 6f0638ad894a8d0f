"""The view of the choreography: the graph of each saga, and how many sagas wait at its edges."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from choreo.dashboard.element import EMPTY, Html, element, joined
from choreo.dashboard.frame import Body, empty, rows, section
from choreo.dashboard.stores import Read, Shown
from choreo.dashboard.visit import Visit
from choreo.errors import ChoreoError
from choreo.graph import SagaGraph
from choreo.outcome import START
from choreo.records import Seen
from choreo.render.flow import flow
from choreo.render.graph import Edge, edges
from choreo.render.graph import rows as steps

_HEAD: Final = (
    "Step",
    "Participant",
    "Kind",
    "Trigger",
    "Outcomes",
    "Compensation",
    "Called by",
    "Timeout",
    "Deadline",
)


def choreography(visit: Visit, shown: Shown) -> Body:
    """Return the view."""
    graphs = [graph for versions in visit.settings.graphs.values() for graph in versions]
    if not graphs:
        content = empty(
            "No choreography is known here.",
            joined(
                "Name its modules when you start the page: ", element("code", "choreo dashboard shop"), "."
            ),
        )
    else:
        content = joined(_graph(shown, graph) for graph in graphs)
    return Body("Choreography", joined(element("h1", "The choreography"), content))


def _graph(shown: Shown, graph: SagaGraph) -> Html:
    teller = _teller(shown.read, graph)
    seen, problem = _seen(teller, graph)
    count = sum(each.sagas for each in seen)
    told = f"{count:,} in flight" + (f", as {teller.participant} has read" if teller else "")
    if teller is None:
        told = "No store of its participants can be read, so that nothing is counted."
    picture = Html(flow(graph, counts=waiting(graph, seen)))
    return section(
        graph.title,
        element("p", told, class_="quiet"),
        element("p", problem, class_="note bad") if problem else EMPTY,
        element("figure", picture, element("figcaption", _CAPTION), class_="card"),
        element(
            "details", element("summary", "Its steps, as a table"), rows(_HEAD, steps(graph), label="Steps")
        ),
    )


_CAPTION: Final = (
    "A number says how many sagas wait there: the event came, and the step has not answered. "
    "Dashed lines undo."
)


def _teller(read: Sequence[Read], graph: SagaGraph) -> Read | None:
    """Return the store to ask: of who starts the sagas, or of another one, as each reads all their events."""
    by_name = {each.participant: each for each in read}
    names = (graph.steps[START].participant if START in graph.steps else "", *graph.participants)
    return next((by_name[name] for name in names if name in by_name), None)


def _seen(teller: Read | None, graph: SagaGraph) -> tuple[list[Seen], str]:
    if teller is None:
        return [], ""
    try:
        found = teller.store.in_flight(lambda *_: False, frozenset(), frozenset(graph.outcome)).seen
    except ChoreoError as error:
        return [], f"{error.message}."
    return [
        each for each in found if each.saga_type == graph.name and graph.versions.includes(each.saga_version)
    ], ""


def waiting(graph: SagaGraph, seen: Iterable[Seen]) -> dict[Edge, int]:
    """Return how many sagas wait at each edge: its event came, and what it calls has not answered."""
    counts: dict[Edge, int] = {}
    answers = {edge: _answers(graph, edge) for edge in edges(graph)}
    for each in seen:
        for edge, answer in answers.items():
            if edge.event in each.types and not answer & each.types:
                counts[edge] = counts.get(edge, 0) + each.sagas
    return counts


def _answers(graph: SagaGraph, edge: Edge) -> frozenset[str]:
    step = graph.steps[edge.target]
    if edge.back:
        return frozenset(step.answers)
    late = [name for each in graph.deadlines if each.step == step.name for name in each.emits.successes]
    return frozenset((*step.successes, *step.failures, *late))
