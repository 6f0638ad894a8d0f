"""Work that somebody did by hand: the event with which it ended is written on the page, and checked."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from choreo.avro.schema_files import SUFFIX, read_parsed_schema
from choreo.dashboard.element import Html, element, joined
from choreo.dashboard.forms import (
    act_form,
    check_box,
    event_area,
    event_in,
    log_action,
    names_of,
    open_letter,
    opened,
    problem_note,
    way,
    who_and_why,
)
from choreo.dashboard.frame import Body
from choreo.dashboard.stores import Read, Shown
from choreo.dashboard.visit import Visit
from choreo.errors import ChoreoError, ConfigurationError
from choreo.operations.bodies import given_body
from choreo.operations.letters import Found
from choreo.operations.resolving import following, type_of, ways_of
from choreo.operations.settling import settle
from choreo.worker.by_hand import Ways, usual
from choreo.worker.dead_letters import Result


def by_hand(visit: Visit, shown: Shown) -> Body:
    """Return the page on which the event is written with which the work of a letter ended."""
    found = open_letter(shown, visit.query)
    return _written(visit, found, _ways(shown, found), visit.query)


def _ways(shown: Shown, found: Found[Read], why: str = "") -> Ways:
    """Return how the work may end, as the store of its participant says; nothing is written."""
    with opened(shown, found.opened.participant) as store:
        return ways_of(Found(store, found.letter), why)


def _written(
    visit: Visit,
    found: Found[Read],
    known: Ways,
    given: Mapping[str, str],
    problem: str = "",
    follows: Iterable[str] = (),
) -> Body:
    title = f"{found.title}: done by hand"
    follows = tuple(follows)
    above = []
    if "" not in known:
        like = _like(usual(known) or next(iter(known)), visit.settings.schemas)
        above = [_types(known, given), event_area("Its event, as JSON", given.get("event", ""), like)]
    form = act_form(
        visit,
        "/by-hand",
        names_of(found),
        given,
        "It was done by hand",
        "resolve",
        *above,
        check_box(given),
    )
    said = element("div", _follows(follows), class_="note good", role="status") if follows else None
    meaning = (
        f"Say so once {found.letter.task} {found.letter.name} was really done, outside of choreo. The saga "
        "goes on as if the handler had returned this event; with its failure event, as if it had failed."
    )
    parts = (element("h1", title), problem_note(problem), said, element("p", meaning, class_="meaning"), form)
    return Body(title, joined(way(visit), *parts), 400 if problem else 200)


def _like(name: str, folder: Path) -> str | None:
    """Return what an event of a type may look like: the names of its fields."""
    try:
        fields = read_parsed_schema(folder / f"{name}{SUFFIX}").bare["fields"]
    except (ChoreoError, OSError, KeyError, TypeError):
        return None
    return json.dumps({field["name"]: "…" for field in fields}, ensure_ascii=False)


def _types(known: Ways, given: Mapping[str, str]) -> Html:
    chosen = given.get("as") or usual(known)
    options = [element("option", name, value=name, selected=name == chosen) for name in known]
    return element("label", element("span", "It ended with"), element("select", options, name="as"))


def _follows(follows: Iterable[str]) -> Html:
    lines = [element("li", each) for each in follows]
    told = element("strong", "A good event; nothing was changed.")
    return joined(told, " It would follow:", element("ul", lines))


def resolve(visit: Visit, shown: Shown, form: Mapping[str, str]) -> Body:
    """End the work of a letter with the event of a form, and return the page that says so."""
    found = open_letter(shown, form)
    known = _ways(shown, found, form.get("why", ""))
    try:
        who, why = who_and_why(form)
        name = type_of(found, known, form.get("as", ""), has_event="" not in known)
        result = Result(name, given_body(name, event_in(form), visit.settings.schemas)) if name else None
    except ChoreoError as error:
        return _written(visit, found, known, form, f"{error}.")
    if form.get("check") == "yes":
        follows = following(known[name])
        return _written(visit, found, known, {**form, "check": ""}, follows=follows)
    with opened(shown, found.opened.participant) as store:
        if settle(Found(store, found.letter), "resolved", why, shown.now, by=who, result=result):
            raise ConfigurationError(f"{found.title} was settled meanwhile")
    log_action("resolved", found.opened.participant, [found], form)
    title = f"{found.title}: resolved"
    then = "The worker carries it out in its next turn, or when it starts. The saga: "
    said = element(
        "p", then, visit.saga(found.letter.saga_id, found.letter.saga_type), class_="note good", role="status"
    )
    return Body(title, joined(way(visit), element("h1", title), said))
