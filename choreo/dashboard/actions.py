"""What a person does with dead letters: shown first, asked of the worker, and logged with who and why."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any, Final, NamedTuple

from choreo.dashboard.element import Child, Html, element, joined, json_text
from choreo.dashboard.frame import Body, empty, rows
from choreo.dashboard.letters import VERBS, filter_of, letter_link, number_in, query_of
from choreo.dashboard.stores import Read, Shown
from choreo.dashboard.visit import Visit
from choreo.errors import ChoreoError, ConfigurationError
from choreo.escape import escaped
from choreo.operations.bodies import event_text, given_body
from choreo.operations.letters import Filter, Found, H, letter_of, letters_in
from choreo.operations.settling import (
    REQUEUES,
    Objection,
    edit,
    no_objection,
    objection_to_requeue,
    refuse_comment,
    refuse_name,
    refuse_without_event,
    settle_all,
)
from choreo.operations.stores import Opened
from choreo.store.opening import open_store
from choreo.worker.dead_letters import How

log = logging.getLogger("choreo.dashboard")

_SHOWN: Final = 100
"""The letters that are named one by one."""


class Verb(NamedTuple):
    """One thing that can be done with letters: how it is called when done, and what it means."""

    done: How
    objection: Objection
    meaning: str


_VERBS: Final[Mapping[str, Verb]] = {
    "requeue": Verb(
        "requeued",
        objection_to_requeue(REQUEUES),
        "The work is tried again in the worker’s next turn, or when it starts. The saga’s state of that "
        "moment decides: a step whose saga was rolled back meanwhile is not executed. What fails again is a "
        "new dead letter.",
    ),
    "discard": Verb(
        "discarded",
        no_objection,
        "The saga goes on as if this had been settled by hand. A compensation counts as done: first undo by "
        "hand what it should have undone. An action counts as failed, and the saga rolls back. An observer "
        "skips the event.",
    ),
}


class Asked(NamedTuple):
    """What is to be done with which letters."""

    name: str
    verb: Verb
    wanted: Filter
    number: int
    upto: int

    @property
    def query(self) -> dict[str, str | int]:
        """What names it in an address, or in a form."""
        return {"verb": self.name, "number": self.number, **query_of(self.wanted)}


def asked_in(given: Mapping[str, str]) -> Asked:
    """Return what a query, or a form, asks for. Raises `ConfigurationError`."""
    verb = _VERBS.get(given.get("verb", ""))
    if verb is None:
        raise ConfigurationError(f"what is to be done is one of {', '.join(_VERBS)}")
    wanted = filter_of(given)
    if not wanted.participant:
        raise ConfigurationError("no participant is named", hint="go back, and choose dead letters of one")
    number = number_in(given["number"]) if given.get("number") else 0
    upto = number_in(given["upto"]) if given.get("upto") else 0
    return Asked(given["verb"], verb, wanted, number, upto)


def _letters(stores: Sequence[H], asked: Asked) -> list[Found[H]]:
    """Return the open letters that are meant; of many, none that came after they were shown."""
    if asked.number:
        found = letter_of(stores, asked.number, asked.wanted.participant)
        return [found] if found.letter.state == "open" else []
    return [
        each for each in letters_in(stores, asked.wanted) if not asked.upto or each.letter.id <= asked.upto
    ]


def offer(visit: Visit, shown: Shown) -> Body:
    """Return the page that shows what would be done, and asks who does it and why."""
    return _offer(visit, shown, asked_in(visit.query), {})


def _offer(visit: Visit, shown: Shown, asked: Asked, given: Mapping[str, str], problem: str = "") -> Body:
    found = _letters(shown.read, asked)
    title = f"{asked.name.capitalize()} {_counted(len(found))} of {asked.wanted.participant}"
    if not found:
        content: Child = empty(
            "None of them is open.",
            joined("Somebody has settled them: ", visit.link("what is left", "/"), "."),
        )
        return Body(title, joined(element("h1", title), content))
    why_not = [asked.verb.objection(each) for each in found]
    able = sum(not each for each in why_not)
    cells = [
        (
            letter_link(visit, each),
            each.what,
            element("strong", f"left alone: {why}") if why else f"would be {asked.verb.done}",
        )
        for each, why in zip(found[:_SHOWN], why_not, strict=False)
    ]
    more = element("p", f"… and {len(found) - _SHOWN:,} more.") if len(found) > _SHOWN else None
    hidden = {**asked.query, "upto": max(each.letter.id for each in found)}
    content = joined(
        element("p", asked.verb.meaning, class_="meaning"),
        rows(("Letter", "What", "Then"), cells, label="What would be done"),
        more,
        _form(visit, "/act", hidden, given, f"{asked.name.capitalize()} {_counted(able)}", asked.name)
        if able
        else None,
    )
    return Body(
        title, joined(_way(visit), element("h1", title), _problem(problem), content), 400 if problem else 200
    )


def _way(visit: Visit) -> Html:
    return element("p", visit.link("Needs a person", "/"), class_="way")


def _problem(text: str) -> Html | None:
    return element("p", text, class_="note bad", role="alert") if text else None


def _counted(number: int) -> str:
    return f"{number:,} dead letter{'' if number == 1 else 's'}"


def _form(
    visit: Visit,
    path: str,
    hidden: Mapping[str, str | int],
    given: Mapping[str, str],
    button: str,
    kind: str,
    *above: Html,
    kept_where: str = "it is kept with the letters, and logged",
) -> Html:
    """Return the form that asks who does it and why."""
    kept = [
        element("input", type="hidden", name=name, value=value)
        for name, value in {"token": visit.settings.form_token, **hidden}.items()
        if value not in ("", 0)
    ]
    who = element(
        "input",
        name="who",
        value=given.get("who", visit.who),
        required=True,
        maxlength=80,
        autocomplete="name",
    )
    why = element("input", name="why", value=given.get("why", ""), required=True, maxlength=300)
    return element(
        "form",
        kept,
        above,
        element("label", element("span", "Who"), who),
        element("label", element("span", f"Why ({kept_where})"), why),
        element(
            "div",
            element("button", button, class_=f"button {kind}"),
            visit.link("Cancel", "/"),
            class_="buttons",
        ),
        method="post",
        action=visit.url(path),
        class_="act card",
    )


def _who_and_why(form: Mapping[str, str]) -> tuple[str, str]:
    """Return who does it, and why. Raises `ConfigurationError` where one is missing, or can't be kept."""
    who, why = form.get("who", "").strip(), form.get("why", "").strip()
    if not who or not why:
        raise ConfigurationError("say who does it, and why")
    refuse_name(who)
    refuse_comment(why)
    return who, why


def act(visit: Visit, shown: Shown, form: Mapping[str, str]) -> Body:
    """Do what a form asks for, and return the page that says what was done."""
    asked = asked_in(form)
    try:
        who, why = _who_and_why(form)
    except ConfigurationError as error:
        return _offer(visit, shown, asked, form, f"{error.message.capitalize()}.")
    with closing(_opened(shown, asked.wanted.participant)) as held:
        found = _letters([held.opened], asked)
        why_not = settle_all(found, asked.verb.done, why, shown.now, asked.verb.objection, by=who)
    done = [each for each, why in zip(found, why_not, strict=True) if not why]
    _log(asked.verb.done, asked.wanted.participant, done, form)
    left = [(each, why) for each, why in zip(found, why_not, strict=True) if why]
    title = f"{asked.verb.done.capitalize()}: {_counted(len(done))} of {asked.wanted.participant}"
    then = "The worker carries it out in its next turn, or when it starts."
    cells = [(letter_link(visit, each), each.what, why) for each, why in left[:_SHOWN]]
    content = joined(
        element("p", then, class_="note good", role="status") if done else None,
        element("p", f"{_counted(len(left))} left alone.", class_="note bad", role="alert") if left else None,
        rows(("Letter", "What", "Left alone because"), cells, label="Left alone") if left else None,
        _sagas(visit, done),
    )
    return Body(title, joined(_way(visit), element("h1", title), content))


def _sagas(visit: Visit, done: Sequence[Found[Opened]]) -> Html | None:
    of_sagas = [each.letter for each in done if each.letter.saga_id][:_SHOWN]
    if not of_sagas:
        return None
    links = [element("li", visit.saga(each.saga_id, each.saga_type)) for each in of_sagas]
    return joined(element("h2", "Their sagas"), element("ul", links))


class _Held(NamedTuple):
    opened: Opened

    def close(self) -> None:
        self.opened.store.close()


def _opened(shown: Shown, participant: str) -> _Held:
    """Open the store of a participant to write into it, as the command line does; a worker may use it."""
    for each in shown.read:
        if each.participant == participant:
            return _Held(Opened(participant, each.path, open_store(each.place), each.place))
    raise ConfigurationError(
        f"no store of {participant} can be read", hint="see above, or start the page with its --store"
    )


def _log(done: str, participant: str, letters: Sequence[Found[Any]], form: Mapping[str, str]) -> None:
    """Log an action in one line."""
    if letters:
        numbers = ",".join(str(each.letter.id) for each in letters)
        who, why = escaped(form["who"].strip()), escaped(form["why"].strip())
        log.info(
            "%s: participant=%s letters=%s by=%s because=%s", done, escaped(participant), numbers, who, why
        )


def editor(visit: Visit, shown: Shown) -> Body:
    """Return the page on which the event of a letter is edited."""
    found = _editable(shown, visit.query)
    return _editor(visit, found, {"event": event_text(found.letter, visit.settings.schemas)})


def _editable(shown: Shown, given: Mapping[str, str]) -> Found[Read]:
    found = letter_of(shown.read, number_in(given.get("number", "")), given.get("participant", ""))
    if found.letter.state != "open":
        raise ConfigurationError(f"{found.title} was {found.letter.state} already")
    refuse_without_event(found)
    return found


def _editor(
    visit: Visit, found: Found[Read], given: Mapping[str, str], problem: str = "", note: str = ""
) -> Body:
    title = f"Edit the event of {found.title}"
    area = element(
        "textarea",
        Html("\n"),
        json_text(given.get("event", "")),
        name="event",
        rows=14,
        spellcheck="false",
        required=True,
    )
    check = element(
        "label",
        element("input", type="checkbox", name="check", value="yes", checked=given.get("check") == "yes"),
        " only check it",
        class_="check",
    )
    hidden: dict[str, str | int] = {"participant": found.opened.participant, "number": found.letter.id}
    meaning = (
        f"{found.letter.task} {found.letter.name} receives this event instead of the original, once the "
        "letter is requeued. The topic and the saga log keep the original, and other handlers receive that."
    )
    label = element("label", element("span", found.letter.event_type), area)
    form = _form(
        visit, "/edit", hidden, given, "Keep this event", "edit", label, check, kept_where="it is logged"
    )
    said = element("p", note, class_="note good", role="status") if note else None
    content = joined(_way(visit), element("h1", title), _problem(problem), said, element("p", meaning), form)
    return Body(title, content, 400 if problem else 200)


def keep(visit: Visit, shown: Shown, form: Mapping[str, str]) -> Body:
    """Keep an edited event, and return the page that says so; or what is wrong with it."""
    found = _editable(shown, form)
    try:
        _who_and_why(form)
        body = given_body(
            found.letter.event_type, form.get("event", "").replace("\r\n", "\n"), visit.settings.schemas
        )
    except ChoreoError as error:
        return _editor(visit, found, form, f"{error}.")
    if form.get("check") == "yes":
        return _editor(
            visit, found, {**form, "check": ""}, note=f"A good {found.letter.event_type}; nothing was kept."
        )
    with closing(_opened(shown, found.opened.participant)) as held:
        edit(Found(held.opened, found.letter), body)
    _log("edited", found.opened.participant, [found], form)
    title = f"{found.title}: edited"
    query: dict[str, str | int] = {"participant": found.opened.participant, "number": found.letter.id}
    then = visit.link(VERBS["requeue"], "/act", verb="requeue", class_="button requeue", **query)
    said = element(
        "p", "Its handler receives this event once the letter is requeued.", class_="note good", role="status"
    )
    return Body(
        title, joined(_way(visit), element("h1", title), said, element("div", then, class_="buttons"))
    )
