"""``Timelines``: the timelines of one saga by its id, or of all sagas that a filter admits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from heapq import merge
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from choreo.errors import ConfigurationError
from choreo.outcome import COMPENSATABLE, COMPENSATED, START, SUCCEEDED
from choreo.records import version_of
from choreo.timeline.participant_view import ParticipantView
from choreo.timeline.source import LastEntry, Source
from choreo.timeline.timeline import ENDED, Timeline, timeline_of

if TYPE_CHECKING:
    from choreo.graph import SagaGraph

_UNDONE = (START, COMPENSATABLE)
"""The kinds of steps that a compensation undoes."""

_NEAR = 50
"""How many ids of each source an unknown one is compared with."""


class Filter(NamedTuple):
    """Which sagas are selected; an empty field admits all. Times are in milliseconds."""

    states: tuple[str, ...] = ()
    saga_type: str = ""
    participant: str = ""
    older_than: int = 0
    stuck_for: int = 0
    version: int = 0
    is_unended: bool = False
    needing: str = ""

    @property
    def is_open(self) -> bool:
        """Whether only sagas that have not ended are admitted."""
        if self.is_unended or self.stuck_for or self.needing:
            return True
        return bool(self.states) and not set(self.states).intersection(ENDED)

    @property
    def is_of_last_rows(self) -> bool:
        """Whether nothing but the last rows of a saga that has not ended says if it is admitted."""
        return self.is_open and not (self.participant or self.older_than or self.stuck_for or self.needing)

    def may_admit(self, last: LastEntry, now: int) -> bool:
        """Whether a saga may be admitted, judged by its last row in one source alone."""
        return (
            (not self.states or last.state in self.states)
            and self.saga_type in ("", last.saga_type)
            and self.version in (0, last.version)
            and last.time <= now - self.stuck_for
        )

    def admits(self, timeline: Timeline) -> bool:
        """Whether a saga is admitted."""
        return (
            (not self.states or timeline.state in self.states)
            and self.saga_type in ("", timeline.saga_type)
            and self.version in (0, timeline.version)
            and (not self.is_unended or is_in_flight(timeline))
            and self.needing in ("", *needed(timeline))
            and self.participant in ("", *concerned(timeline))
            and timeline.began <= timeline.now - self.older_than
            and (not self.stuck_for or is_stuck(timeline, self.stuck_for))
        )


def is_in_flight(timeline: Timeline) -> bool:
    """Whether a saga has not ended; one that was cancelled before its start is not: nobody has to act."""
    return not timeline.is_ended and not timeline.is_only_cancelled


def is_stuck(timeline: Timeline, after: int) -> bool:
    """Whether nothing has happened for ``after`` milliseconds in a saga that is in flight."""
    return is_in_flight(timeline) and timeline.now - timeline.last >= after


def concerned(timeline: Timeline) -> list[str]:
    """Return the participants that a saga waits for or, if it has ended, those that took part."""
    return list(timeline.participants) if timeline.is_ended else [wait.who for wait in timeline.waits]


def needed(timeline: Timeline) -> set[str]:
    """Return the participants that a saga may still call; none once it has ended.

    It waits for them, its graph leads to them, or they have done what may have to be undone.
    """
    if not is_in_flight(timeline):
        return set()
    undone = {each.step for each in timeline.events if each.outcome == COMPENSATED}
    done = [each for each in timeline.events if each.outcome == SUCCEEDED and not each.void]
    return {
        *concerned(timeline),
        *(each.participant for each in timeline.remaining),
        *(each.source for each in done if each.kind in _UNDONE and each.step not in undone),
    }


class Timelines:
    """The timelines of sagas, merged from several sources, and completed by their graphs where known.

    ``graphs`` are by saga type, one for all versions that are alike, oldest first; ``now`` is in milliseconds
    since the epoch. Raises `ConfigurationError` where two sources are of one participant.
    """

    def __init__(
        self, sources: Sequence[Source], graphs: Mapping[str, Sequence[SagaGraph]], now: int
    ) -> None:
        _refuse_twice(sources)
        self.now = now
        self._sources = sources
        self._graphs = graphs

    def of(self, saga_id: str) -> list[Timeline]:
        """Return the timelines of the sagas with an id: one for each saga type, and nearly always one."""
        sides: dict[str, list[ParticipantView]] = {}
        for source in self._sources:
            for saga_type, view in source.views(saga_id).items():
                sides.setdefault(saga_type, []).append(view)
        return [timeline_of(each, self.now, self._graph(name, each)) for name, each in sorted(sides.items())]

    def _graph(self, saga_type: str, views: Sequence[ParticipantView]) -> SagaGraph | None:
        """Return the graph of a saga's own version, or of the newest where it is newer or not known."""
        graphs = self._graphs.get(saga_type, ())
        version = max((version_of(view.entries) for view in views), default=0)
        found = (each for each in graphs if each.versions.includes(version))
        return next(found, graphs[-1] if graphs else None)

    def one(self, saga_id: str, saga_type: str) -> Timeline:
        """Return the timeline of one saga. Raises `ConfigurationError` where there is none, or several."""
        found = [each for each in self.of(saga_id) if saga_type in ("", each.saga_type)]
        if not found:
            raise self._unknown(saga_id, saga_type)
        if len(found) > 1:
            types = ", ".join(each.saga_type for each in found)
            raise ConfigurationError(
                f"sagas of several types have the id {saga_id!r}: {types}", hint="say which with --type"
            )
        return found[0]

    def chosen(self, wanted: Filter) -> Iterator[Timeline]:
        """Yield the timelines that a filter admits: open ones the oldest first, others the newest first."""
        seen: set[tuple[str, str]] = set()
        for head in self._heads(wanted):
            saga = (head.saga_id, head.saga_type)
            if saga not in seen and wanted.may_admit(head, self.now):
                seen.add(saga)
                yield from (
                    timeline
                    for timeline in self.of(head.saga_id)
                    if timeline.saga_type == head.saga_type and wanted.admits(timeline)
                )

    def count(self, wanted: Filter) -> int:
        """Return how many sagas a filter admits; of most, their last rows alone are read."""
        if not wanted.is_of_last_rows:
            return sum(1 for _ in self.chosen(wanted))
        found: dict[tuple[str, str], list[LastEntry]] = {}
        for head in chain.from_iterable(source.unended() for source in self._sources):
            found.setdefault((head.saga_id, head.saga_type), []).append(head)
        number = 0
        for (saga_id, saga_type), heads in found.items():
            if not any(wanted.may_admit(head, self.now) for head in heads):
                continue
            if self._are_alike(heads):
                number += 1
            else:
                number += any(
                    each.saga_type == saga_type and wanted.admits(each) for each in self.of(saga_id)
                )
        return number

    def _are_alike(self, heads: Sequence[LastEntry]) -> bool:
        """Whether all sources say the same of a saga, and it was not only cancelled."""
        said = {(head.state, head.version) for head in heads}
        return len(heads) == len(self._sources) and len(said) == 1 and heads[0].state != "compensating"

    def _heads(self, wanted: Filter) -> Iterable[LastEntry]:
        """Return the sagas of all sources, merged by time; each by the source that has read furthest."""
        if wanted.is_open:
            return merge(*(source.unended() for source in self._sources), key=lambda head: head.time)
        return merge(*(source.latest() for source in self._sources), key=lambda head: -head.time)

    def _unknown(self, saga_id: str, saga_type: str) -> ConfigurationError:
        where = ", ".join(source.path for source in self._sources)
        known = dict.fromkeys(each for source in self._sources for each in source.similar(saga_id, _NEAR))
        close = get_close_matches(saga_id, list(known), n=1, cutoff=0.6)
        hint = f"did you mean {close[0]}?" if close else "list them with `choreo sagas`, or name other stores"
        of_type = f" of the type {saga_type!r}" if saga_type else ""
        return ConfigurationError(f"no saga {saga_id!r}{of_type} is known in {where}", hint=hint)


def _refuse_twice(sources: Iterable[Source]) -> None:
    """Raise `ConfigurationError` where two sources are of one participant, as either may be the right one."""
    seen: dict[str, Source] = {}
    for source in sources:
        other = seen.setdefault(source.participant, source)
        if other is not source:
            raise ConfigurationError(
                f"{other.path} and {source.path} are both stores of {source.participant}",
                hint="is one a copy? Name those that count: --store PATH",
            )
