"""The picture of a graph: every step has its box, no box lies upon another one, every event its line."""

from __future__ import annotations

import re
from importlib import import_module
from itertools import combinations
from pkgutil import iter_modules

import pytest

from choreo.graph import SagaGraph, choreography_of
from choreo.manifest import manifest_of
from choreo.project.modules import participants_of
from choreo.render.flow import Mark, flow
from choreo.render.graph import edges, ends
from examples.scenarios import bank, orders, travel
from tests.verify import sagas
from tests.verify.judging import question

EXAMPLES = [each.scenario.participants for each in (orders, travel, bank)]
SHAPES = [
    [one for _, one in participants_of(import_module(f"{sagas.__name__}.{module.name}"))]
    for module in iter_modules(sagas.__path__)
]
GRAPHS = {
    each.name: each
    for participants in (*EXAMPLES, *SHAPES)
    for each in choreography_of(manifest_of(one, {}) for one in participants).sagas
}


def boxes(picture: str) -> list[tuple[float, ...]]:
    """Return left, top, width and height of each box."""
    found = re.findall(
        r'<rect class="box" x="([-\d.]+)" y="([-\d.]+)" width="([\d.]+)" height="([\d.]+)"', picture
    )
    return [tuple(map(float, each)) for each in found]


def assert_whole(graph: SagaGraph, picture: str) -> None:
    found = boxes(picture)
    assert len(found) == len(graph.steps) + len(list(ends(graph)))
    for (x, y, width, height), (other_x, other_y, *_) in combinations(found, 2):
        assert abs(x - other_x) >= width or abs(y - other_y) >= height
    left, top, right, bottom = (float(each) for each in re.findall(r'viewBox="([^"]*)"', picture)[0].split())
    assert all(
        left <= x and x + width <= right and top <= y and y + height <= bottom
        for x, y, width, height in found
    )
    called = {
        (e.source, e.target, e.back) for e in edges(graph) if e.source in graph.steps and e.source != e.target
    }
    assert picture.count('<path class="arrow') == len(called) + len(list(ends(graph)))


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=list(GRAPHS))
def test_every_shape_is_drawn(graph: SagaGraph) -> None:
    assert_whole(graph, flow(graph))


@pytest.mark.parametrize("seed", range(20))
def test_random_choreographies_are_drawn(seed: int) -> None:
    """Also those that no proof would let pass."""
    for graph in choreography_of(question(seed).manifests).sagas:
        assert_whole(graph, flow(graph))


def test_what_is_said_of_steps_and_edges_is_drawn() -> None:
    """Words, not colours alone; numbers where sagas wait."""
    graph = GRAPHS["order-fulfilment"]
    edge = next(edges(graph))
    marks = {"payments.process_payment": Mark("<undone>", "back")}
    picture = flow(graph, marks=marks, seen=frozenset(), counts={edge: 1_234})
    assert "payments · &lt;undone&gt;" in picture
    assert ">1,234<" in picture
    assert picture.count("faint") > 5
