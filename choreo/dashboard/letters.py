"""The views of dead letters: those of one cause, and one with what is known of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from choreo.dashboard.element import Child, Html, element, joined, lines
from choreo.dashboard.frame import Body, badge, empty, rows, section
from choreo.dashboard.stores import Read, Shown
from choreo.dashboard.visit import Visit
from choreo.errors import ConfigurationError, StoreError
from choreo.operations.bodies import bodies_of
from choreo.operations.letters import Filter, Found, letter_of, letters_in
from choreo.render.wording import iso_time, span

_VERBS: Final = ("requeue", "discard")
"""What may be done with dead letters."""

_MOST: Final = 200
"""The letters of a page."""


def title_of(found: Found[Any]) -> str:
    """Return what could not be done, for any saga."""
    letter = found.letter
    return f"{letter.task} {letter.name}" if letter.name else f"records of {letter.topic}"


def letter_link(visit: Visit, found: Found[Any]) -> Html:
    """Return a link to a letter."""
    who, number = found.opened.participant, found.letter.id
    return visit.link(f"#{number}", "/letter", participant=who, number=number)


def group_actions(visit: Visit, query: Mapping[str, str | int], count: int) -> Html | None:
    """Return what may be done with all the letters that a query names; nothing where nothing may be."""
    if visit.settings.read_only:
        return None
    which = "it" if count == 1 else f"all {count:,}"
    # All others end with an event, each one with its own.
    verbs = (*_VERBS, "resolve") if query.get("task") == "observer" else _VERBS
    links = [
        visit.link(f"{verb.capitalize()} {which}…", "/act", verb=verb, class_=f"button {verb}", **query)
        for verb in verbs
    ]
    return element("div", links, class_="buttons")


def filter_of(asked: Mapping[str, str]) -> Filter:
    """Return the filter that a query, or a form, names."""
    return Filter(
        saga=asked.get("saga", ""),
        step=asked.get("step", ""),
        participant=asked.get("participant", ""),
        reason=asked.get("reason", ""),
        task=asked.get("task", ""),
    )


def query_of(wanted: Filter) -> dict[str, str]:
    """Return the query of a filter."""
    return {name: value for name, value in wanted._asdict().items() if value}


def letters(visit: Visit, shown: Shown) -> Body:
    """Return the view of the open letters that a filter admits."""
    wanted = filter_of(visit.query)
    found = list(islice(letters_in(shown.read, wanted), _MOST + 1))
    if not found:
        return Body(
            "Dead letters", joined(element("h1", "Dead letters"), empty("No open dead letter is meant."))
        )
    what = ", ".join(query_of(wanted).values()) or "all"
    more = element("p", f"The first {_MOST} are shown.") if len(found) > _MOST else None
    count = sum(1 for _ in letters_in(shown.read, wanted)) if more else len(found)
    actions = group_actions(visit, query_of(wanted), count) if wanted.participant else None
    head = ("Letter", "Participant", "What", "Saga", "Why", "Since")
    table = rows(head, [_row(visit, shown, each) for each in found[:_MOST]], label="Dead letters")
    title = element("h1", "Dead letters", element("span", f" {what}", class_="quiet"))
    return Body("Dead letters", joined(title, actions, table, more))


def _row(visit: Visit, shown: Shown, found: Found[Read]) -> Sequence[Child]:
    letter = found.letter
    return (
        letter_link(visit, found),
        found.opened.participant,
        title_of(found),
        visit.saga(letter.saga_id, letter.saga_type) if letter.saga_id else "none",
        joined(element("strong", letter.reason), element("span", letter.detail, class_="why")),
        f"{span(max(shown.now - letter.recorded_at, 0))} ago",
    )


def number_in(text: str) -> int:
    """Return the number of a letter. Raises `ConfigurationError` for any other text."""
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise ConfigurationError(f"{text!r:.100} is no number of a dead letter")
    return int(text)


def letter(visit: Visit, shown: Shown) -> Body:
    """Return the view of one letter; its event only where that is asked for."""
    number = number_in(visit.query.get("number", ""))
    found = letter_of(shown.read, number, visit.query.get("participant", ""))
    kept = found.letter
    is_open = kept.state == "open"
    return Body(
        found.title,
        joined(
            element("p", visit.link("Needs a person", "/"), class_="way"),
            element("h1", found.title),
            element(
                "p",
                badge(kept.state, "bad" if is_open else "calm"),
                element("strong", kept.reason, class_="tone bad"),
                f" {title_of(found)}",
                class_="summary",
            ),
            element("p", kept.detail, class_="detail") if kept.detail else None,
            _actions(visit, found) if is_open else None,
            element("dl", list(_facts(visit, shown, found)), class_="list card"),
            _event(visit, found),
        ),
    )


def _actions(visit: Visit, found: Found[Read]) -> Html | None:
    if visit.settings.read_only:
        return None
    query: dict[str, str | int] = {"participant": found.opened.participant, "number": found.letter.id}
    links = [
        visit.link(f"{verb.capitalize()}…", "/act", verb=verb, class_=f"button {verb}", **query)
        for verb in _VERBS
    ]
    links.append(visit.link("It was done by hand…", "/by-hand", class_="button", **query))
    links.append(visit.link("Edit its event…", "/edit", class_="button", **query))
    return element("div", links, class_="buttons")


def _facts(visit: Visit, shown: Shown, found: Found[Read]) -> Iterator[Html]:
    kept = found.letter
    ago = span(max(shown.now - kept.recorded_at, 0))
    facts: list[tuple[str, Child]] = [
        ("saga", visit.saga(kept.saga_id, kept.saga_type) if kept.saga_id else ""),
        ("saga type", kept.saga_type),
        ("participant", found.opened.participant),
        (kept.task or "task", kept.name),
        ("event", kept.event_type),
        ("event id", kept.event_id),
        ("attempts", str(kept.attempt) if kept.attempt else ""),
        ("since", f"{iso_time(kept.recorded_at)}, {ago} ago"),
        ("record", f"{kept.topic}[{kept.partition}]@{kept.offset}" if kept.topic else ""),
        ("settled", iso_time(kept.closed_at) if kept.closed_at else ""),
        ("because", kept.comment),
        ("settled by", kept.closed_by),
        ("edited", "yes: its handler gets the event as edited" if kept.edited is not None else ""),
    ]
    for name, value in facts:
        if value:
            yield element("div", element("dt", name), element("dd", value))


def _event(visit: Visit, found: Found[Read]) -> Html:
    if visit.query.get("event") != "shown":
        ask = visit.link("Show headers and event", "/letter", **{**visit.query, "event": "shown"})
        return section("Its event", element("p", "Hidden, as it may hold what customers wrote. ", ask))
    try:
        parts = bodies_of(found.letter, visit.settings.schemas)
    except StoreError as error:
        return section("Its event", element("p", error.message, class_="note bad"))
    headers = parts.pop("headers")
    shown: list[Child] = [
        [element("h3", name.replace("_", " ")), element("pre", lines(_written(value)), tabindex=0)]
        for name, value in parts.items()
    ]
    table = rows(("Header", "Value"), [(name, value or "") for name, value in headers], label="Headers")
    return section("Its event", shown, element("h3", "headers"), table)


def _written(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
