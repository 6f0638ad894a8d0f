"""Which trips there are, and reading what their stores say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from choreo.graph import SagaGraph, choreography_of
from choreo.manifest import manifest_of
from choreo.records import Entry
from choreo.store.sqlite.reader import StoreReader
from choreo.timeline.participant_view import ParticipantView
from choreo.timeline.timeline import Timeline, timeline_of
from tests.scenarios.trips import PARTICIPANTS, Plan
from tests.worker.rig import NOON

PLANS = {
    "booked": Plan(),
    "full": Plan(hotel="full"),
    "not paid": Plan(traveller="bob"),
    "late": Plan(car="late"),
    "hangs": Plan(flight="hangs"),
    "mute": Plan(flight="mute"),
    "cancelled": Plan(car="slow", cancelled="midway"),
    "cancelled at once": Plan(cancelled="at once"),
}
LATER = NOON + 3_600_000


def views_in(folder: Path, saga_id: str) -> list[ParticipantView]:
    """Return what all stores of a folder say of a saga."""
    found = []
    for path in sorted(folder.glob("*.db")):
        with StoreReader(path) as reader:
            found += reader.views(saga_id).values()
    return found


def timeline_named(folder: Path, name: str, graph: SagaGraph | None = None) -> Timeline:
    """Return the timeline of one of the trips."""
    return timeline_of(views_in(folder, PLANS[name].trip_id), LATER, graph)


def graph_of_trips() -> SagaGraph:
    """Return the graph of the travel example."""
    (graph,) = choreography_of(manifest_of(each, {}) for each in PARTICIPANTS).sagas
    return graph


def shortened(views: Sequence[ParticipantView], keep: Callable[[Entry], bool]) -> list[ParticipantView]:
    """Cut every view off before the first row that isn't kept, as if nothing had been written since."""
    cut = []
    for view in views:
        rows = list(view.entries)
        end = next((number for number, row in enumerate(rows) if not keep(row)), len(rows))
        cut.append(view._replace(entries=rows[:end]))
    return cut
