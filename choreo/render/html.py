"""A story as one HTML page that can be opened, printed and mailed: no script, and nothing to fetch.

The page's own policy (Content Security Policy, level 3) forbids the browser everything but this very
style sheet, so that no text of an event could make it do anything, either.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Iterator
from hashlib import sha256
from html import escape

from choreo.render.layout import layout
from choreo.render.style import style
from choreo.render.svg import picture
from choreo.render.wording import (
    STATE_TONES,
    TONES,
    Tone,
    events,
    headline,
    moment_of,
    owes,
    own_name,
    says,
    span,
)
from choreo.timeline import Moment, Story
from choreo.version import __version__

_CAPTION = (
    "Down the page is the order of the saga’s topic: no clock is trusted for it. The times are each "
    "participant’s own. Solid lines lead on, dashed ones back; a box leads to its line below."
)


def page(story: Story) -> str:
    """Write the page."""
    title = f"{story.saga_type} {story.saga_id}: {headline(story)}"
    drawn = layout(story)
    look = style(drawn.width, len(story.moments))
    digest = b64encode(sha256(look.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="referrer" content="no-referrer">',
        f"<title>{escape(title)}</title>",
        f"<style>{look}</style></head><body><main>",
        *_head(story),
        *_waits(story),
        '<h2>What happened</h2><figure class="card">',
        picture(drawn, title),
        f"<figcaption>{_CAPTION}</figcaption>",
        "</figure>",
        *_remains(story),
        *_lines(story),
        *_remarks(story),
        f"<footer>Told by choreo {escape(__version__)}, {moment_of(story.now)}.</footer>",
        "</main></body></html>",
    ]
    return "\n".join(parts) + "\n"


def _head(story: Story) -> Iterator[str]:
    told = headline(story).removeprefix(story.state).strip()
    tone = STATE_TONES[story.state]
    yield f'<header><p class="type">{escape(story.saga_type)}</p><h1>{escape(story.saga_id)}</h1>'
    badge = f'<span class="badge {tone}">{escape(story.state)}</span>'
    yield f'<p class="summary">{badge}{escape(told)}</p></header>'
    yield '<dl class="facts">'
    for name, value in _facts(story):
        yield f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"
    yield "</dl>"


def _facts(story: Story) -> Iterator[tuple[str, str]]:
    def count(*what: str) -> int:
        return sum(moment.what in what for moment in story.moments)

    yield "began (UTC)", moment_of(story.began).replace("T", " ").rstrip("Z")
    yield "from first to last", span(story.last - story.began)
    yield _many("participant", len(story.participants)), str(len(story.participants))
    yield _many("event", len(story.messages)), str(len(story.messages))
    for name, number in (
        (_many("step undone", count("compensated"), "steps undone"), count("compensated")),
        ("refused", count("refused")),
        (_many("retry", count("retrying"), "retries"), count("retrying")),
        (_many("dead letter", count("dead letter")), count("dead letter")),
        ("void", sum(bool(message.void) for message in story.messages)),
    ):
        if number:
            yield name, str(number)


def _many(one: str, number: int, several: str = "") -> str:
    return one if number == 1 else several or f"{one}s"


def _waits(story: Story) -> Iterator[str]:
    if story.owed:
        rows = (
            [
                _cell("who", debt.who or "nobody whose store was looked at"),
                _cell("", own_name(debt.what, debt.who) or "…"),
                _toned("bad" if debt.why == "dead letter" else "busy", debt.why),
                _cell("", owes(debt, story.now)),
            ]
            for debt in story.owed
        )
        yield from _table("What it waits for", ("owed by", "what", "why", ""), rows)


def _remains(story: Story) -> Iterator[str]:
    if story.ahead:
        rows = (
            [
                _cell("who", each.participant),
                _cell("", own_name(each.step, each.participant)),
                _cell("", each.task),
                _cell("", events(each.gives)),
                _cell("", f"after {events(each.needs, ' and ')}" if each.needs else "owed now"),
            ]
            for each in story.ahead
        )
        yield from _table("What remains", ("participant", "step", "", "answers with", "when"), rows)


def _lines(story: Story) -> Iterator[str]:
    rows = (_line(story, moment) for moment in story.moments)
    head = ("#", "since start", "since cause", "participant", "step", "state", "event, and why")
    yield from _table("Line by line", head, rows, numbered=True)


def _line(story: Story, moment: Moment) -> list[str]:
    move = f"{moment.old_state} → {moment.new_state}"
    return [
        _cell("number", f"+{span(moment.time - story.began)}"),
        _cell("number", "" if moment.took is None else span(moment.took)),
        _cell("who", moment.participant),
        _cell("step", own_name(moment.step, moment.participant)),
        _toned(TONES[moment.what], moment.what, f'<br><span class="quiet">{escape(move)}</span>'),
        f"<td>{escape(says(moment))}{_detail(moment)}</td>",
    ]


def _detail(moment: Moment) -> str:
    """Say by which clock, and who has read the event how long after its record's time."""
    parts = [moment_of(moment.time)] if moment.seen else [f"{moment_of(moment.time)}, told by the log alone"]
    message = moment.message
    if message and message.place:
        place = message.place
        parts.append(f"{place.topic}[{place.partition}]@{place.offset}")
        read = [f"{who} {span(time - message.time)}" for who, time in sorted(message.read.items())]
        parts += [f"read by {', '.join(read)}"] if read else []
    identity = f' <span class="id">· {escape(message.id)}</span>' if message else ""
    return f'<br><span class="quiet">{escape(" · ".join(parts))}{identity}</span>'


def _remarks(story: Story) -> Iterator[str]:
    if story.remarks:
        yield "<h2>To be known</h2>"
        yield f'<ul class="remarks">{"".join(f"<li>{escape(each)}</li>" for each in story.remarks)}</ul>'


def _table(
    title: str, head: Iterable[str], rows: Iterable[list[str]], *, numbered: bool = False
) -> Iterator[str]:
    yield f'<h2>{escape(title)}</h2><div class="card"><table><thead><tr>'
    yield "".join(f"<th>{escape(name)}</th>" for name in head)
    yield "</tr></thead><tbody>"
    for number, row in enumerate(rows, 1):
        start = f'<tr id="m{number}">{_cell("number", str(number))}' if numbered else "<tr>"
        yield f"{start}{''.join(row)}</tr>"
    yield "</tbody></table></div>"


def _cell(kind: str, text: str) -> str:
    return f'<td class="{kind}">{escape(text)}</td>' if kind else f"<td>{escape(text)}</td>"


def _toned(tone: Tone, text: str, below: str = "") -> str:
    return f'<td class="move"><span class="tone {tone}">{escape(text)}</span>{below}</td>'
