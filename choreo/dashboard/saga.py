"""The view of one saga: its timeline, what it waits for, its graph with what is done, undone and to come."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from choreo.avro.json_encoding import text_of
from choreo.dashboard.deadlines import deadlines
from choreo.dashboard.element import Child, Html, element, joined, lines
from choreo.dashboard.frame import Body, rows, section
from choreo.dashboard.letters import letter_link
from choreo.dashboard.stores import Shown
from choreo.dashboard.visit import Visit
from choreo.dashboard.what_if import link_to
from choreo.errors import ChoreoError
from choreo.graph import SagaGraph
from choreo.operations.letters import Found
from choreo.records import Entry
from choreo.render import html
from choreo.render.flow import Mark, flow
from choreo.timeline.moments import What
from choreo.timeline.timeline import Timeline

_MARKS: Final[dict[What, Mark]] = {
    "started": Mark("started", "good"),
    "cancelled": Mark("cancelled", "bad"),
    "imported": Mark("imported", "good"),
    "completed": Mark("done", "good"),
    "executing": Mark("under way", "busy"),
    "retrying": Mark("tries again", "back"),
    "failed": Mark("failed", "bad"),
    "timed out": Mark("timed out", "bad"),
    "refused": Mark("refused", "bad"),
    "compensating": Mark("being undone", "back"),
    "compensated": Mark("undone", "back"),
    "dead letter": Mark("dead letter", "bad"),
    "requeued": Mark("requeued", "busy"),
    "discarded": Mark("discarded", "back"),
}


def saga(visit: Visit, shown: Shown) -> Body:
    """Return the view. Raises `ConfigurationError` where there is no such saga."""
    timeline = shown.timelines.one(visit.query.get("id", ""), visit.query.get("type", ""))
    graph = shown.timelines.graph_of(timeline)
    content = joined(
        element("p", visit.link("Sagas", "/sagas"), class_="way"),
        _written(html.heading(timeline)),
        _letters(visit, shown, timeline),
        _written(html.happened(timeline)),
        _written(html.waits(timeline)),
        deadlines(visit, shown, timeline),
        _graph(timeline, graph) if graph else None,
        _written(html.remains(timeline)),
        _written(html.lines(timeline)),
        _written(html.remarks(timeline)),
        link_to(visit, timeline.saga_id, timeline.saga_type),
        _payloads(visit, shown, timeline),
    )
    return Body(f"{timeline.saga_type} {timeline.saga_id}", content)


def _written(parts: Iterator[str]) -> Html:
    return Html("\n".join(parts))


def _letters(visit: Visit, shown: Shown, timeline: Timeline) -> Html | None:
    found = [
        Found(each, letter)
        for each in shown.read
        for letter in each.store.letters_of(timeline.saga_id, timeline.saga_type)
        if letter.state == "open"
    ]
    if not found:
        return None
    named = [
        element(
            "li",
            letter_link(visit, each),
            f" {each.what} ",
            element("span", each.letter.reason, class_="tone bad"),
        )
        for each in found
    ]
    return element("div", element("strong", "It needs a person."), element("ul", named), class_="note bad")


def _graph(timeline: Timeline, graph: SagaGraph) -> Html:
    seen = frozenset(event.type for event in timeline.events if not event.void)
    picture = Html(flow(graph, marks=marks_of(timeline, graph), seen=seen))
    return section("Its graph", element("figure", picture, class_="card"))


def marks_of(timeline: Timeline, graph: SagaGraph) -> dict[str, Mark]:
    """Return what is said of each step: by its last moment, by what remains, or that it was not reached."""
    marks = {each.step: _MARKS[each.what] for each in timeline.moments if each.what in _MARKS}
    for each in timeline.remaining:
        if each.step in marks and each.task == "compensation":
            marks[each.step] = Mark("to undo", "back")
        elif each.step not in marks:
            marks[each.step] = Mark("to come", "calm", True) if each.needs else Mark("owed now", "busy", True)
    word = "not reached" if timeline.is_ended else ""
    return {name: marks.get(name, Mark(word, "calm", True)) for name in graph.steps}


def _payloads(visit: Visit, shown: Shown, timeline: Timeline) -> Html:
    title = "What its events held"
    if visit.query.get("payloads") != "shown":
        ask = visit.link("Show payloads", "/saga", **{**visit.query, "payloads": "shown"})
        return section(title, element("p", "Hidden, as it may hold what customers wrote. ", ask))
    cells = list(_bodies(visit, shown, timeline))
    note = element("p", "A participant keeps the bodies of the events that it handles.", class_="quiet")
    if not cells:
        return section(title, note, element("p", "None of those whose stores were looked at has kept any."))
    return section(title, note, rows(("Event", "Kept by", "Body"), cells, label=title))


def _bodies(visit: Visit, shown: Shown, timeline: Timeline) -> Iterator[tuple[Child, ...]]:
    told: set[str] = set()
    for each in shown.read:
        view = each.store.views(timeline.saga_id).get(timeline.saga_type)
        for entry in view.entries if view else ():
            if entry.input == "event" and entry.payload is not None and entry.event_id not in told:
                told.add(entry.event_id)
                yield entry.event_type, each.participant, _body(visit, entry)


def _body(visit: Visit, entry: Entry) -> Html:
    try:
        return element(
            "pre", lines(text_of(entry.event_type, entry.payload, visit.settings.schemas)), tabindex=0
        )
    except ChoreoError as error:
        return element("span", error.message, class_="quiet")
