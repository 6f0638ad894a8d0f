"""The view of the participants: how far each has read, what waits in its store, and which release runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from choreo.dashboard.element import Child, Html, element, joined
from choreo.dashboard.frame import Body, empty, rows
from choreo.dashboard.stores import Read, Shown
from choreo.dashboard.visit import Visit
from choreo.errors import ChoreoError
from choreo.records import Partition
from choreo.render.wording import iso_time, span

_LANES: Final = {
    "turn": "due in a turn",
    "call": "actions to call",
    "undo": "compensations to call",
    "out": "calls under way",
    "doubt": "calls that a process did not survive",
    "record": "records about to be imported",
}


def participants(visit: Visit, shown: Shown) -> Body:
    """Return the view."""
    positions = {each.participant: _positions(each) for each in shown.read}
    furthest: dict[Partition, int] = {}
    for of_one in positions.values():
        for partition, at in of_one.items():
            furthest[partition] = max(at, furthest.get(partition, 0))
    cards = [_card(visit, shown, each, positions[each.participant], furthest) for each in shown.read]
    content = (
        element("div", cards, class_="grid")
        if cards
        else empty("No store can be read.", "See above what to do about each.")
    )
    return Body("Participants", joined(element("h1", "Participants"), content))


def _positions(read: Read) -> Mapping[Partition, int]:
    try:
        # One below zero is of a partition that nobody has begun yet.
        return {place: max(at, 0) for place, at in read.store.positions().items()}
    except ChoreoError:
        return {}  # its card says so


def _card(
    visit: Visit,
    shown: Shown,
    read: Read,
    positions: Mapping[Partition, int],
    furthest: Mapping[Partition, int],
) -> Html:
    problem = ""
    try:
        facts = list(_facts(visit, shown, read))
        release = _release(shown, read)
        takeovers = read.store.takeovers()
    except ChoreoError as error:
        facts, release, takeovers = [], "", {}
        problem = f"{error.message}. {error.hint}"
    return element(
        "section",
        element("h2", read.participant),
        element("p", read.path, class_="quiet path"),
        element(
            "dl",
            [element("div", element("dt", name), element("dd", value)) for name, value in facts],
            class_="facts",
        ),
        element("p", problem, class_="note bad", role="alert")
        if problem
        else _topics(positions, furthest, takeovers),
        element("p", release, class_="quiet") if release else None,
        class_="card participant",
    )


def _facts(visit: Visit, shown: Shown, read: Read) -> Iterator[tuple[str, Child]]:
    depths = read.store.depths()
    letters = sum(depths.letters.values())
    if letters:
        link = visit.link(f"{letters:,}", "/letters", participant=read.participant)
        yield "dead letters open", element("span", link, class_="tone bad")
    else:
        yield "dead letters open", "0"
    oldest = (
        f", oldest {span(max(shown.now - depths.oldest, 0))}" if depths.unpublished and depths.oldest else ""
    )
    yield "events to publish", f"{depths.unpublished:,}{oldest}"
    for lane, (count, due) in depths.lanes.items():
        name = _LANES.get(lane, f"held: {_LANES.get(lane.removeprefix('held-'), lane)}")
        late = shown.now - due
        yield name, f"{count:,}" + (f", late by {span(late)}" if late > 1_000 and lane != "out" else "")


def _topics(
    positions: Mapping[Partition, int], furthest: Mapping[Partition, int], takeovers: Mapping[Partition, int]
) -> Html:
    if not positions:
        return element("p", "It has read from no topic yet. Is its worker running?", class_="quiet")
    head = ("Topic", "Partitions", "Offsets read", "Behind others by")
    cells = [
        (
            topic,
            f"{len(of_topic):,}",
            f"{sum(of_topic.values()):,}",
            _behind(sum(furthest[each] - at for each, at in of_topic.items())),
            *([f"{sum(takeovers.get(each, 0) for each in of_topic):,} times"] if takeovers else ()),
        )
        for topic, of_topic in _by_topic(positions.items())
    ]
    return rows((*head, "Taken over") if takeovers else head, cells, label="Topics")


def _by_topic(positions: Iterable[tuple[Partition, int]]) -> list[tuple[str, dict[Partition, int]]]:
    found: dict[str, dict[Partition, int]] = {}
    for partition, at in sorted(positions):
        found.setdefault(partition.topic, {})[partition] = at
    return list(found.items())


def _behind(offsets: int) -> Child:
    return element("span", f"{offsets:,}", class_="tone back") if offsets else "0"


def _release(shown: Shown, read: Read) -> str:
    release = read.store.newest_release()
    if release is None:
        return "No worker of this choreo has run on it yet."
    ago = span(max(shown.now - release.since, 0))
    return f"Release {release.id}, {release.digest[:12]}, since {iso_time(release.since)}, {ago} ago."
