"""The first view: what needs a person, stuck sagas and dead letters, each with its cause."""

from __future__ import annotations

from typing import Final

from choreo.dashboard.element import EMPTY, Child, Html, element, joined
from choreo.dashboard.frame import Body, empty, section
from choreo.dashboard.letters import group_actions, letter_link, title_of
from choreo.dashboard.sagas import listed
from choreo.dashboard.stores import Read, Shown
from choreo.dashboard.visit import Visit
from choreo.operations.letters import NONE, Group, by_cause, letters_in
from choreo.operations.letters import Filter as LetterFilter
from choreo.operations.spans import milliseconds_in
from choreo.render.wording import span
from choreo.timeline.selection import Filter, Page

_THRESHOLD: Final = "10m"
_MOST_SAGAS: Final = 25
_LOOKED_AT: Final = 60


def attention(visit: Visit, shown: Shown) -> Body:
    """Return the view."""
    threshold = visit.query.get("threshold") or _THRESHOLD
    after = max(milliseconds_in(threshold), 1)
    groups = by_cause(letters_in(shown.read, LetterFilter()))
    stuck = shown.timelines.page(Filter(stuck_for=after), _MOST_SAGAS, _LOOKED_AT)
    content = joined(
        element("h1", "Needs a person"),
        _nothing(threshold) if not groups and _is_none(stuck) and not shown.away else EMPTY,
        section("Dead letters, by cause", [_group(visit, shown, each) for each in groups])
        if groups
        else EMPTY,
        _stuck(visit, stuck, threshold),
    )
    return Body("Needs a person", content)


def _nothing(threshold: str) -> Html:
    return empty(
        "Nothing needs you.",
        f"No dead letter is open, and every saga in flight has moved within {threshold}.",
    )


def _group(visit: Visit, shown: Shown, group: Group[Read]) -> Html:
    first = group.first[0]
    letter = first.letter
    who = first.opened.participant
    named = [
        element(
            "li",
            letter_link(visit, each),
            " ",
            visit.saga(each.letter.saga_id, each.letter.saga_type) if each.letter.saga_id else each.what,
            element("span", each.letter.detail, class_="why"),
        )
        for each in group.first
    ]
    query = {
        "participant": who,
        "reason": letter.reason,
        "task": letter.task or NONE,
        "step": letter.name or NONE,
    }
    more = visit.link(f"… and {group.more:,} more", "/letters", **query) if group.more else None
    oldest = span(max(shown.now - group.oldest, 0))
    return element(
        "article",
        element(
            "h3",
            element("span", letter.reason, class_="tone bad"),
            f" {title_of(first)} ",
            element("span", f"{who} · {group.count:,}, oldest {oldest} ago", class_="quiet"),
        ),
        element("ul", named, class_="letters"),
        more,
        group_actions(visit, query, group.count),
        class_="card cause",
    )


def _is_none(stuck: Page) -> bool:
    """Whether no saga is stuck; one of those that were not looked at may be."""
    return not stuck.timelines and not stuck.after


def _stuck(visit: Visit, stuck: Page, threshold: str) -> Html:
    form = element(
        "form",
        element(
            "label",
            "without a transition for ",
            element(
                "input",
                name="threshold",
                value=threshold,
                size=5,
                pattern=r"\s*[0-9]+(ms|s|min|m|h|d)\s*",
                title="such as 90s, 10m, 2h or 7d",
            ),
        ),
        element("button", "Look again", class_="quiet"),
        method="get",
        action=visit.url("/"),
        class_="inline",
    )
    content: list[Child] = []
    if stuck.timelines:
        content.append(listed(visit, stuck.timelines))
    if _is_none(stuck):
        content.append(element("p", "None.", class_="quiet"))
    elif len(stuck.timelines) >= _MOST_SAGAS and stuck.after:
        content.append(element("p", f"The {_MOST_SAGAS} that have waited for longest are shown."))
    elif stuck.after:
        rest = visit.link("see all in flight", "/sagas", state="unended")
        told = f"{stuck.looked_at} sagas were looked at, those first that moved longest ago. For more, "
        content.append(element("p", told, rest, "."))
    return section("Stuck sagas", form, content)
