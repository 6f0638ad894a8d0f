"""``framed``: the frame of every page: its head, where it leads to, and the stores that can't be read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from choreo.dashboard.element import EMPTY, Child, Html, element, joined
from choreo.dashboard.stores import Away
from choreo.dashboard.visit import Visit
from choreo.errors import ChoreoError
from choreo.render.wording import iso_time
from choreo.version import __version__

VIEWS: Final = (
    ("/", "Needs a person"),
    ("/sagas", "Sagas"),
    ("/choreography", "Choreography"),
    ("/participants", "Participants"),
)

_UNDER: Final = {
    "/saga": "/sagas",
    "/letters": "/",
    "/letter": "/",
    "/act": "/",
    "/edit": "/",
    "/by-hand": "/",
    "/deadline": "/sagas",
    "/what-if": "/sagas",
}
"""The views that pages without a place of their own belong to."""


class Body(NamedTuple):
    """What stands in a page: its title, its content, and the status of the answer."""

    title: str
    content: Html
    status: int = 200


def framed(visit: Visit, body: Body, away: Sequence[Away] = (), now: int = 0, mark: str = "") -> str:
    """Return a whole page; ``mark`` is that of `choreo.dashboard.changes` for what it shows."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"{body.title} · choreo"),
        element("link", rel="icon", type="image/svg+xml", href=visit.url("/dashboard.svg")),
        element("link", rel="stylesheet", href=visit.url("/dashboard.css")),
        _script(visit, mark) if body.status != 401 else None,
    )
    top = element(
        "header",
        element("a", "To the content", href="#content", class_="skip"),
        visit.link("choreo", "/", class_="brand"),
        element("nav", [_tab(visit, path, name) for path, name in VIEWS], aria_label="Views"),
        element("span", "read-only", class_="pill") if visit.settings.read_only else None,
        class_="top",
    )
    told = f"choreo {__version__}" + (f", as of {iso_time(now)}" if now else "")
    live = element("div", warnings(away), body.content, element("footer", told), id="live")
    main = element("main", live, id="content", tabindex=-1)
    page = element("html", head, element("body", top, main), lang="en")
    return f"<!doctype html>\n{page}\n"


def _script(visit: Visit, mark: str) -> Html:
    changes = visit.url("/changes", since=mark)
    return element("script", src=visit.url("/dashboard.js"), defer=True, data_changes=changes)


def _tab(visit: Visit, path: str, name: str) -> Html:
    is_here = _UNDER.get(visit.path, visit.path) == path
    return element("a", name, href=visit.url(path), aria_current="page" if is_here else None)


def warnings(away: Iterable[Away]) -> Html:
    """Return what is said of the stores that can't be read."""
    return joined(
        element(
            "p",
            element("strong", f"{each.path} can’t be read."),
            f" {sentence(each.error.message)} What its participant did is missing here.",
            element("span", f" {sentence(each.error.hint)}") if each.error.hint else None,
            class_="note bad",
            role="alert",
        )
        for each in away
    )


def trouble(title: str, error: ChoreoError, status: int) -> Body:
    """Return the page of an error: what it is, and what to do."""
    return Body(
        title,
        joined(
            element("h1", title),
            element("p", sentence(error.message), class_="note bad", role="alert"),
            element("p", f"What to do: {error.hint}") if error.hint else EMPTY,
        ),
        status,
    )


def sentence(text: str) -> str:
    """Return a message as a sentence; the name of a step, a topic or a file stays as it is.

    >>> sentence("say how much longer"), sentence("clerk.hotel_is_late has passed")
    ('Say how much longer.', 'clerk.hotel_is_late has passed.')
    """
    first = text.partition(" ")[0]
    return f"{text[:1].upper() if first.isalpha() else text[:1]}{text[1:]}." if text else ""


def empty(what: str, then: Child = None) -> Html:
    """Return what stands where there is nothing to show: that, and what to do."""
    return element(
        "div", element("p", element("strong", what)), element("p", then) if then else None, class_="empty"
    )


def section(title: Child, *content: Child, id_: str | None = None) -> Html:
    """Return a section with its heading."""
    return element("section", element("h2", title), *content, id_=id_)


def badge(text: str, tone: str) -> Html:
    """Return a word in the colour of its tone."""
    return element("span", text, class_=f"badge {tone}")


def rows(head: Sequence[str], lines: Iterable[Sequence[Child]], *, label: str) -> Html:
    """Return a table, whose lines are cards where there is little room."""
    names = element("tr", [element("th", name, scope="col") for name in head])
    body = [
        element("tr", [element("td", cell, data_label=name) for name, cell in zip(head, line, strict=True)])
        for line in lines
    ]
    table = element("table", element("thead", names), element("tbody", body), class_="rows")
    return element("div", table, class_="card", role="region", aria_label=label, tabindex=0)
