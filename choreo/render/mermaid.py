"""A story as a Mermaid sequence diagram, for Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator

from choreo.render.wording import headline, own_name, says
from choreo.timeline import Message, Moment, Story


def sequence(story: Story) -> str:
    """Write a story; an event's arrow stands where it took effect, dashed where it leads back."""
    lanes = {name: f"p{number}" for number, name in enumerate(story.participants)}
    lines = ["sequenceDiagram", *(f"  participant {lane} as {_text(name)}" for name, lane in lanes.items())]
    drawn: set[tuple[str, str, str]] = set()
    for moment in story.moments:
        lines += (f"  {line}" for line in _moment(story, moment, lanes, drawn))
    first, last = lanes[story.participants[0]], lanes[story.participants[-1]]
    over = first if first == last else f"{first},{last}"
    lines.append(f"  Note over {over}: {_text(headline(story))}")
    return "\n".join(lines)


def _moment(
    story: Story, moment: Moment, lanes: dict[str, str], drawn: set[tuple[str, str, str]]
) -> Iterator[str]:
    lane = lanes[moment.participant]
    cause = story.message(moment.cause)
    key = (moment.participant, moment.step, moment.cause)
    if cause and cause.source in lanes and key not in drawn:
        drawn.add(key)
        yield f"{lanes[cause.source]}{_arrow(cause)}{lane}: {_text(f'{cause.name} {cause.at}')}"
    said = says(moment)
    step = own_name(moment.step, moment.participant)
    yield f"Note over {lane}: {_text(f'{step} {moment.what}')}{f'<br/>{_text(said)}' if said else ''}"


def _arrow(message: Message) -> str:
    if message.void:
        return "--x"
    return "->>" if message.outcome == "succeeded" else "-->>"


def _text(text: str) -> str:
    """Write a text so that Mermaid takes it for nothing else: entity codes for what has a meaning there."""
    return re.sub(r"[#;<>&\"%{}\n\r:]", lambda found: f"#{ord(found[0])};", text)
