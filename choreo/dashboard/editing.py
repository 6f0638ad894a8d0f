"""The event of a dead letter's handler, edited on the page: checked against its schema, then kept."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Final

from choreo.dashboard.element import element, joined
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
from choreo.errors import ChoreoError
from choreo.operations.bodies import event_text, given_body
from choreo.operations.letters import Found
from choreo.operations.settling import EditedMeanwhile, edit, refuse_without_event
from choreo.records import DeadLetter

_OTHER: Final = "its own page shows that event; keep yours once more, and it takes that one's place"


def editor(visit: Visit, shown: Shown) -> Body:
    """Return the page on which the event of a letter is edited."""
    found = _editable(shown, visit.query)
    return _editor(visit, found, {"event": event_text(found.letter, visit.settings.schemas)})


def _editable(shown: Shown, given: Mapping[str, str]) -> Found[Read]:
    found = open_letter(shown, given)
    refuse_without_event(found)
    return found


def _editor(
    visit: Visit, found: Found[Read], given: Mapping[str, str], problem: str = "", note: str = ""
) -> Body:
    title = f"Edit the event of {found.title}"
    meaning = (
        f"{found.letter.task} {found.letter.name} receives this event instead of the original, once the "
        "letter is requeued. The topic and the saga log keep the original, and other handlers receive that."
    )
    area = event_area(found.letter.event_type, given.get("event", ""))
    form = act_form(
        visit,
        "/edit",
        {**names_of(found), "edited": _mark(found.letter)},
        given,
        "Keep this event",
        "edit",
        area,
        check_box(given),
        kept_where="it is logged",
    )
    said = element("p", note, class_="note good", role="status") if note else None
    content = joined(
        way(visit), element("h1", title), problem_note(problem), said, element("p", meaning), form
    )
    return Body(title, content, 400 if problem else 200)


def _mark(letter: DeadLetter) -> str:
    """Return what tells an edited event from another one, empty where there is none."""
    return "" if letter.edited is None else sha256(letter.edited).hexdigest()


def keep(visit: Visit, shown: Shown, form: Mapping[str, str]) -> Body:
    """Keep an edited event, and return the page that says so; or what is wrong with it."""
    found = _editable(shown, form)
    try:
        who_and_why(form)
        body = given_body(found.letter.event_type, event_in(form), visit.settings.schemas)
        if form.get("edited", "") != _mark(found.letter):
            raise EditedMeanwhile(f"{found.title} was edited meanwhile", hint=_OTHER)
    except ChoreoError as error:
        return _editor(visit, found, form, f"{error}.")
    if form.get("check") == "yes":
        return _editor(
            visit, found, {**form, "check": ""}, note=f"A good {found.letter.event_type}; nothing was kept."
        )
    with opened(shown, found.opened.participant) as store:
        edit(Found(store, found.letter), body)
    log_action("edited", found.opened.participant, [found], form)
    title = f"{found.title}: edited"
    then = visit.link("Requeue…", "/act", verb="requeue", class_="button requeue", **names_of(found))
    said = element(
        "p", "Its handler receives this event once the letter is requeued.", class_="note good", role="status"
    )
    return Body(title, joined(way(visit), element("h1", title), said, element("div", then, class_="buttons")))
