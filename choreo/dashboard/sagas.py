"""The view of many sagas: their states and what they wait for, by filters that stand in the address."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, get_args

from choreo.dashboard.element import EMPTY, Child, Html, element, joined
from choreo.dashboard.frame import Body, badge, empty, rows
from choreo.dashboard.stores import Shown
from choreo.dashboard.visit import Visit
from choreo.operations.spans import milliseconds_in
from choreo.outcome import SagaState
from choreo.render.wording import STATE_TONES, short_step, span, wait_reason
from choreo.timeline.selection import Filter, Page
from choreo.timeline.timeline import Timeline
from choreo.timeline.waits import Why

_UNENDED: Final = "unended"
_STATES: Final = (_UNENDED, *get_args(SagaState))
_PAGE: Final = 50
"""The sagas of a page."""

_LOOKED_AT: Final = 60
"""The sagas that are looked at for a page, as few may match."""


def sagas(visit: Visit, shown: Shown) -> Body:
    """Return the view."""
    wanted = _filter(visit)
    saga_id, after = visit.query.get("id", ""), visit.query.get("after", "")
    if saga_id:
        page = shown.timelines.like(saga_id, wanted, _PAGE, _LOOKED_AT, after)
    else:
        page = shown.timelines.page(wanted, _PAGE, _LOOKED_AT, after)
    return Body(
        "Sagas",
        joined(
            element("h1", "Sagas"),
            _form(visit, shown),
            listed(visit, page.timelines) if page.timelines else _none(visit, shown, page),
            _further(visit, page),
        ),
    )


def _filter(visit: Visit) -> Filter:
    query = visit.query
    state = query.get("state", "")
    return Filter(
        states=(state,) if state and state != _UNENDED else (),
        saga_type=query.get("type", ""),
        participant=query.get("participant", ""),
        older_than=milliseconds_in(query["older"]) if query.get("older") else 0,
        is_unended=state == _UNENDED,
        why=query.get("why", ""),
    )


def _form(visit: Visit, shown: Shown) -> Html:
    query = visit.query
    types = sorted({*shown.timelines.types, *filter(None, [query.get("type")])})
    people = sorted({*(each.participant for each in shown.read), *filter(None, [query.get("participant")])})
    fields = [
        _field(
            "Saga",
            element("input", name="id", value=query.get("id", ""), placeholder="its id, or how it begins"),
        ),
        _choice("State", "state", _STATES, query.get("state", "")),
        _choice("Type", "type", types, query.get("type", "")),
        _choice("Participant", "participant", people, query.get("participant", "")),
        _choice("Waits for", "why", get_args(Why), query.get("why", "")),
        _field(
            "Older than",
            element("input", name="older", value=query.get("older", ""), placeholder="2h", size=6),
        ),
    ]
    buttons = element("div", element("button", "Show"), visit.link("All", "/sagas"), class_="buttons")
    return element(
        "form", fields, buttons, method="get", action=visit.url("/sagas"), class_="filters", role="search"
    )


def _field(name: str, control: Html) -> Html:
    return element("label", element("span", name), control)


def _choice(name: str, key: str, values: Iterable[str], chosen: str) -> Html:
    options = [element("option", "any", value="")]
    options += [element("option", value, value=value, selected=value == chosen) for value in values]
    return _field(name, element("select", options, name=key))


def listed(visit: Visit, timelines: Sequence[Timeline]) -> Html:
    """Return a table of sagas."""
    head = ("Saga", "Type", "State", "Age", "Last", "Waits for")
    return rows(head, [_row(visit, each) for each in timelines], label="Sagas")


def _row(visit: Visit, timeline: Timeline) -> Sequence[Child]:
    last = timeline.moments[-1]
    step = last.step if last.participant in last.step else f"{last.participant} {last.step}"
    ago = span(max(timeline.now - last.time, 0))
    return (
        visit.saga(timeline.saga_id, timeline.saga_type),
        timeline.saga_type,
        badge(timeline.state, STATE_TONES[timeline.state]),
        span(max(timeline.now - timeline.began, 0)),
        joined(f"{step} {last.what}", element("span", f"{ago} ago", class_="why")),
        _waits(timeline),
    )


def _waits(timeline: Timeline) -> Html:
    if not timeline.waits:
        return EMPTY
    first, others = timeline.waits[0], len(timeline.waits) - 1
    what = short_step(first.what, first.who)
    tone = "bad" if first.why == "dead letter" else "busy"
    more = element("span", f" and {others} more", class_="quiet") if others else None
    return joined(
        element("strong", first.who or "nobody here"),
        f" {what} " if what else " ",
        element("span", first.why, class_=f"tone {tone}"),
        more,
        element("span", wait_reason(first, timeline.now), class_="why"),
    )


def _none(visit: Visit, shown: Shown, page: Page) -> Html:
    if page.after:
        return empty(
            f"None of the {page.looked_at} sagas that were looked at is meant.", "There are more of them."
        )
    if visit.query:
        return empty("No such saga.", joined("Set fewer filters, or see ", visit.link("all", "/sagas"), "."))
    if not shown.read:
        return empty("No store can be read.", "See above what to do about each.")
    return empty("There is no saga yet.", "One appears here as soon as a participant has started it.")


def _further(visit: Visit, page: Page) -> Html:
    links = [
        element("a", "← From the beginning", href=visit.again(after=""))
        if visit.query.get("after")
        else None,
        element("a", "Further →", href=visit.again(after=page.after), rel="next") if page.after else None,
    ]
    return element("nav", links, class_="further", aria_label="Pages") if any(links) else EMPTY
