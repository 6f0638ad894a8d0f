"""Draws a timeline as one HTML page, to be opened, printed or mailed; it has no script and fetches nothing.

The page's Content Security Policy (level 3) allows only its style sheet, so no text of an event can make the
browser do anything.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Iterator
from hashlib import sha256

from choreo.escape import markup
from choreo.render.layout import Layout, layout
from choreo.render.style import style
from choreo.render.svg import picture
from choreo.render.wording import (
    STATE_TONES,
    TONES,
    Tone,
    headline,
    iso_time,
    published_and_reason,
    short_step,
    span,
    wait_reason,
)
from choreo.timeline.events import event_names
from choreo.timeline.moments import Moment
from choreo.timeline.timeline import Timeline
from choreo.version import __version__

_CAPTION = (
    "Down the page is the order of the saga’s topic: no clock is trusted for it. The times are each "
    "participant’s own. Solid lines lead on, dashed ones back; a box leads to its line below."
)


def page(timeline: Timeline) -> str:
    """Return the page."""
    title = f"{timeline.saga_type} {timeline.saga_id}: {headline(timeline)}"
    drawn = layout(timeline)
    look = style(drawn.width, len(timeline.moments))
    digest = b64encode(sha256(look.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="referrer" content="no-referrer">',
        f"<title>{markup(title)}</title>",
        f"<style>{look}</style></head><body><main>",
        *heading(timeline),
        *waits(timeline),
        *_happened(drawn, title),
        *remains(timeline),
        *lines(timeline),
        *remarks(timeline),
        f"<footer>Told by choreo {markup(__version__)}, {iso_time(timeline.now)}.</footer>",
        "</main></body></html>",
    ]
    return "\n".join(parts) + "\n"


def happened(timeline: Timeline) -> Iterator[str]:
    """Yield the picture of what happened."""
    yield from _happened(layout(timeline), f"{timeline.saga_type} {timeline.saga_id}")


def _happened(drawn: Layout, title: str) -> Iterator[str]:
    yield '<h2>What happened</h2><figure class="card" id="picture">'
    yield picture(drawn, title)
    yield f'<figcaption>{_CAPTION} <a href="#picture">Full size</a></figcaption></figure>'


def heading(timeline: Timeline) -> Iterator[str]:
    """Yield the saga's id, its state, and its figures."""
    summary = headline(timeline).removeprefix(timeline.state).strip()
    tone = STATE_TONES[timeline.state]
    yield f'<header><p class="type">{markup(timeline.saga_type)}</p><h1>{markup(timeline.saga_id)}</h1>'
    badge = f'<span class="badge {tone}">{markup(timeline.state)}</span>'
    yield f'<p class="summary">{badge}{markup(summary)}</p></header>'
    yield '<dl class="facts">'
    for name, value in _facts(timeline):
        yield f"<div><dt>{markup(name)}</dt><dd>{markup(value)}</dd></div>"
    names = ", ".join(timeline.participants)
    label = _many("participant", len(timeline.participants))
    yield f'<div class="names"><dt>{label}</dt><dd>{markup(names)}</dd></div></dl>'


def _facts(timeline: Timeline) -> Iterator[tuple[str, str]]:
    def count(*what: str) -> int:
        return sum(moment.what in what for moment in timeline.moments)

    yield "began (UTC)", iso_time(timeline.began).replace("T", " ").rstrip("Z")
    yield "from first to last", span(timeline.last - timeline.began)
    yield _many("event", len(timeline.events)), str(len(timeline.events))
    for name, number in (
        (_many("step undone", count("compensated"), "steps undone"), count("compensated")),
        ("refused", count("refused")),
        (_many("retry", count("retrying"), "retries"), count("retrying")),
        (_many("dead letter", count("dead letter")), count("dead letter")),
        ("void", sum(bool(message.void) for message in timeline.events)),
    ):
        if number:
            yield name, str(number)


def _many(one: str, number: int, several: str = "") -> str:
    return one if number == 1 else several or f"{one}s"


def waits(timeline: Timeline) -> Iterator[str]:
    """Yield what the saga waits for, nothing where that is nothing."""
    if timeline.waits:
        rows = (
            [
                _cell("who", wait.who or "nobody whose store was looked at"),
                _cell("", short_step(wait.what, wait.who) or "…"),
                _toned("bad" if wait.why == "dead letter" else "busy", wait.why),
                _cell("", wait_reason(wait, timeline.now)),
            ]
            for wait in timeline.waits
        )
        yield from _table("What it waits for", ("owed by", "what", "why", ""), rows)


def remains(timeline: Timeline) -> Iterator[str]:
    """Yield what may still happen, nothing where that is nothing or isn't known."""
    if timeline.remaining:
        rows = (
            [
                _cell("who", each.participant),
                _cell("", short_step(each.step, each.participant)),
                _cell("", each.task),
                _cell("", event_names(each.answers)),
                _cell("", f"after {event_names(each.needs, ' and ')}" if each.needs else "owed now"),
            ]
            for each in timeline.remaining
        )
        yield from _table("What remains", ("participant", "step", "", "answers with", "when"), rows)


def lines(timeline: Timeline) -> Iterator[str]:
    """Yield what happened, line by line."""
    rows = (_line(timeline, moment) for moment in timeline.moments)
    head = ("#", "since start", "since cause", "participant", "step", "state", "event, and why")
    yield from _table("Line by line", head, rows, numbered=True)


def _line(timeline: Timeline, moment: Moment) -> list[str]:
    move = f"{moment.old_state} → {moment.new_state}"
    return [
        _cell("number", f"+{span(moment.time - timeline.began)}"),
        _cell("number", "" if moment.took is None else span(moment.took)),
        _cell("who", moment.participant),
        _cell("step", short_step(moment.step, moment.participant)),
        _toned(TONES[moment.what], moment.what, f'<br><span class="quiet">{markup(move)}</span>'),
        f"<td>{markup(published_and_reason(moment))}{_detail(moment)}</td>",
    ]


def _detail(moment: Moment) -> str:
    """Return the time, the event's place, and how long after its record each participant has read it."""
    parts = (
        [iso_time(moment.time)] if moment.in_store else [f"{iso_time(moment.time)}, told by the log alone"]
    )
    event = moment.event
    if event and event.place:
        place = event.place
        parts.append(f"{place.topic}[{place.partition}]@{place.offset}")
        read = [f"{who} {span(time - event.time)}" for who, time in sorted(event.read.items())]
        parts += [f"read by {', '.join(read)}"] if read else []
    identity = f' <span class="id">· {markup(event.id)}</span>' if event else ""
    return f'<br><span class="quiet">{markup(" · ".join(parts))}{identity}</span>'


def remarks(timeline: Timeline) -> Iterator[str]:
    """Yield what the stores leave uncertain."""
    if timeline.remarks:
        yield "<h2>To be known</h2>"
        yield f'<ul class="remarks">{"".join(f"<li>{markup(each)}</li>" for each in timeline.remarks)}</ul>'


def _table(
    title: str, head: Iterable[str], rows: Iterable[list[str]], *, numbered: bool = False
) -> Iterator[str]:
    head = tuple(head)
    yield f'<h2>{markup(title)}</h2><div class="card"><table class="lines"><thead><tr>'
    yield "".join(f"<th>{markup(name)}</th>" for name in head)
    yield "</tr></thead><tbody>"
    for number, row in enumerate(rows, 1):
        start = f'<tr id="m{number}">{_cell("number", str(number))}' if numbered else "<tr>"
        named = zip(head[numbered:], row, strict=True)
        yield f"{start}{''.join(_named(name, cell) for name, cell in named)}</tr>"
    yield "</tbody></table></div>"


def _named(name: str, cell: str) -> str:
    """Return a cell that says which column it is of, for where there is no room for columns."""
    return cell.replace("<td", f'<td data-label="{markup(name)}"', 1)


def _cell(kind: str, text: str) -> str:
    return f'<td class="{kind}">{markup(text)}</td>' if kind else f"<td>{markup(text)}</td>"


def _toned(tone: Tone, text: str, below: str = "") -> str:
    return f'<td class="move"><span class="tone {tone}">{markup(text)}</span>{below}</td>'
