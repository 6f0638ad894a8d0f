"""The account of a failed test: the timeline of each saga, what was done to it, and the last moves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from choreo.errors import ChoreoError
from choreo.graph import SagaGraph, choreography_of
from choreo.manifest import manifest_of
from choreo.render.text import lines
from choreo.testing.simulation import Violation
from choreo.timeline.participant_view import ParticipantView
from choreo.timeline.timeline import timeline_of

if TYPE_CHECKING:
    from choreo.testing.harness import Harness
    from choreo.testing.process import Process

_MOST_SAGAS = 3
_MOST_MOVES = 30
_MOST_ROWS = 1_000


@contextmanager
def telling(harness: Harness) -> Iterator[None]:
    """Add the account of all sagas to whatever is raised inside and has none."""
    try:
        yield
    except Violation as violation:
        if violation.account:
            raise
        raise Violation(violation.complaint, account_of(harness)) from violation.__cause__
    except Exception as error:
        if harness.sagas():
            error.add_note(account_of(harness))
        raise


def account_of(harness: Harness, blamed: tuple[str, str] | None = None) -> str:
    """Return the timeline of the blamed saga, a type and an id, or of the first ones, and how it came."""
    sagas = [blamed] if blamed else harness.sagas()
    told = [_timeline(harness, *each) for each in sagas[:_MOST_SAGAS]]
    if len(sagas) > _MOST_SAGAS:
        told.append(f"and {len(sagas) - _MOST_SAGAS} more sagas")
    return "\n" + "\n\n".join([*told, "\n".join(_circumstances(harness))])


def _timeline(harness: Harness, saga_type: str, saga_id: str) -> str:
    """Return the timeline of a saga as `choreo trace` prints it, or why there is none."""
    try:
        views = [_view(each, saga_type, saga_id) for each in harness.processes.values()]
        timeline = timeline_of(views, harness.clock.now(), _graph(harness, saga_type))
    except ChoreoError as error:  # what the test found must be told nonetheless
        return f"{saga_type} {saga_id} has no timeline: {error}"
    return "\n".join(line.text for line in lines(timeline))


def _view(process: Process, saga_type: str, saga_id: str) -> ParticipantView:
    store = process.store
    waiting = store.unpublished(0, _MOST_ROWS)
    return ParticipantView(
        process.name,
        store.history(saga_id, saga_type),
        store.scheduled(saga_id, saga_type),
        [each for each in store.dead_letters() if (each.saga_type, each.saga_id) == (saga_type, saga_id)],
        frozenset(each.event_id for each in waiting if each.saga_id == saga_id),
    )


def _graph(harness: Harness, saga_type: str) -> SagaGraph | None:
    manifests = [manifest_of(each.participant, {}) for each in harness.processes.values()]
    return next((each for each in choreography_of(manifests).sagas if each.name == saga_type), None)


def _circumstances(harness: Harness) -> Iterable[str]:
    """Yield the faults that struck, the schedule, and the last moves."""
    yield from (f"the fault: {fault}" for fault in harness.faults if fault.has_struck)
    yield from (f"released: {each}" for each in harness.released)
    yield from (f"refused: {each}" for each in harness.refused)
    schedule = harness.choices.schedule
    if schedule.differs:
        yield f'schedule="{schedule}"'
    yield f"the last of {len(harness.moves)} moves:"
    yield from (f"  {line}" for line in harness.moves[-_MOST_MOVES:])
