"""``act_form``: how the page asks who changes something and why, and how it is done and logged."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any, Final
from urllib.parse import urlencode

from choreo.dashboard.element import Html, element, json_text
from choreo.dashboard.guard import fields_in
from choreo.dashboard.letters import number_in
from choreo.dashboard.stores import Read, Shown
from choreo.dashboard.visit import Visit
from choreo.errors import ConfigurationError
from choreo.escape import escaped
from choreo.operations.letters import Found, letter_of
from choreo.operations.settling import LONGEST_COMMENT, LONGEST_NAME, refuse_comment, refuse_name
from choreo.operations.stores import Opened
from choreo.records import DeadLetter
from choreo.store.opening import open_store

log = logging.getLogger("choreo.dashboard")

_NO_TIME: Final = 10**18
_RESTORED: Final = "was its store restored from a backup? look at what needs a person"


def way(visit: Visit) -> Html:
    """Return the link back to what needs a person."""
    return element("p", visit.link("Needs a person", "/"), class_="way")


def problem_note(text: str) -> Html | None:
    """Return what is said of a problem, nothing where there is none."""
    return element("p", text, class_="note bad", role="alert") if text else None


def act_form(
    visit: Visit,
    path: str,
    hidden: Mapping[str, str | int],
    given: Mapping[str, str],
    button: str,
    kind: str,
    *above: Html,
    kept_where: str = "it is kept with the letters, and logged",
    back: Html | None = None,
) -> Html:
    """Return the form that asks who does it and why; ``back`` is the link of who does not do it."""
    # As in an address, since browsers change line ends and other characters in the fields of a form.
    asked = urlencode({name: value for name, value in hidden.items() if value not in ("", 0)})
    kept = [
        element("input", type="hidden", name="token", value=visit.settings.form_token),
        element("input", type="hidden", name="asked", value=asked),
    ]
    who = element(
        "input",
        name="who",
        value=given.get("who", visit.who),
        required=True,
        maxlength=LONGEST_NAME,
        autocomplete="name",
    )
    why = element("input", name="why", value=given.get("why", ""), required=True, maxlength=LONGEST_COMMENT)
    return element(
        "form",
        kept,
        above,
        element("label", element("span", "Who"), who),
        element("label", element("span", f"Why ({kept_where})"), why),
        element(
            "div",
            element("button", button, class_=f"button {kind}"),
            back or visit.link("Cancel", "/"),
            class_="buttons",
        ),
        method="post",
        action=visit.url(path),
        class_="act card",
    )


def who_and_why(form: Mapping[str, str]) -> tuple[str, str]:
    """Return who does it, and why. Raises `ConfigurationError` where one is missing, or can't be kept."""
    who, why = form.get("who", "").strip(), form.get("why", "").strip()
    if not who or not why:
        raise ConfigurationError("say who does it, and why")
    refuse_name(who)
    refuse_comment(why)
    return who, why


def given_in(fields: Mapping[str, str]) -> dict[str, str]:
    """Return what a form gives: its own fields, and those that it was made for."""
    return {**(fields_in(fields.get("asked", "").encode()) or {}), **fields}


def event_area(name: str, text: str, like: str | None = None) -> Html:
    """Return the field in which an event is written as JSON; ``like`` says what it may look like."""
    area = element(
        "textarea",
        Html("\n"),
        json_text(text),
        name="event",
        rows=10,
        spellcheck="false",
        required=True,
        placeholder=like,
    )
    return element("label", element("span", name), area)


def check_box(given: Mapping[str, str]) -> Html:
    """Return the box that says: check it, and change nothing."""
    box = element("input", type="checkbox", name="check", value="yes", checked=given.get("check") == "yes")
    return element("label", box, " only check it", class_="check")


def event_in(form: Mapping[str, str]) -> str:
    """Return the event that a form holds, with the line ends that were written."""
    return form.get("event", "").replace("\r\n", "\n")


def open_letter(shown: Shown, given: Mapping[str, str]) -> Found[Read]:
    """Return the open letter that is meant. Raises `ConfigurationError` where there is none."""
    found = letter_of(shown.read, number_in(given.get("number", "")), given.get("participant", ""))
    if not was_there(found.letter, recorded_in(given)):
        raise ConfigurationError(f"{found.title} is not the letter that it was", hint=_RESTORED)
    if found.letter.state != "open":
        raise ConfigurationError(f"{found.title} was {found.letter.state} already")
    return found


def names_of(found: Found[Any]) -> dict[str, str | int]:
    """Return what names one letter in an address, or in a form, and when it was recorded."""
    return {
        "participant": found.opened.participant,
        "number": found.letter.id,
        "recorded": newest([found]),
    }


def newest(letters: Iterable[Found[Any]]) -> int:
    """Return when the newest of some letters was recorded, 0 where no form can say so."""
    at = max(each.letter.recorded_at for each in letters)
    return at if 0 < at < _NO_TIME else 0


def recorded_in(given: Mapping[str, str]) -> int:
    """Return until when the letters were recorded that a form is about, 0 where it says nothing of that."""
    return number_in(given["recorded"]) if given.get("recorded") else 0


def was_there(letter: DeadLetter, recorded: int) -> bool:
    """Whether a letter was there when a form was made.

    The number of one may be that of another one after its store was restored from a backup.
    """
    return not recorded or letter.recorded_at <= recorded


@contextmanager
def opened(shown: Shown, participant: str) -> Iterator[Opened]:
    """Open the store of a participant to write into it, as the command line does; a worker may use it."""
    read = next((each for each in shown.read if each.participant == participant), None)
    if read is None:
        raise ConfigurationError(
            f"no store of {participant} can be read", hint="see above, or start the page with its --store"
        )
    with closing(open_store(read.place)) as store:
        yield Opened(participant, read.path, store, read.place)


def log_action(done: str, participant: str, letters: Sequence[Found[Any]], form: Mapping[str, str]) -> None:
    """Log what was done with letters, by whom and why, in one line."""
    if letters:
        numbers = ",".join(str(each.letter.id) for each in letters)
        who, why = escaped(form["who"].strip()), escaped(form["why"].strip())
        log.info(
            "%s: participant=%s letters=%s by=%s because=%s", done, escaped(participant), numbers, who, why
        )
