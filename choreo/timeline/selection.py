"""``Timelines``: the timelines of one saga by its id, or of all sagas that a filter admits."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from heapq import merge
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from choreo.errors import ConfigurationError
from choreo.outcome import COMPENSATABLE, COMPENSATED, START, SUCCEEDED
from choreo.records import version_of
from choreo.timeline.participant_view import ParticipantView
from choreo.timeline.source import LastEntry, Named, Source
from choreo.timeline.timeline import ENDED, Timeline, timeline_of
from choreo.timeline.transitions import is_still

if TYPE_CHECKING:
    from choreo.graph import SagaGraph

_Saga = tuple[str, str]
"""The id and the type of one."""

_UNDONE = (START, COMPENSATABLE)
"""The kinds of steps that a compensation undoes."""

_HEADS = 20_000
"""How many rows are looked at for a page."""

_NEAR = 50
"""How many ids of each source an unknown one is compared with."""


class Filter(NamedTuple):
    """Which sagas are selected; an empty field admits all. Times are in milliseconds.

    ``why`` is the reason for which they wait, as `choreo.timeline.waits.Wait` has it.
    """

    states: tuple[str, ...] = ()
    saga_type: str = ""
    participant: str = ""
    older_than: int = 0
    stuck_for: int = 0
    version: int = 0
    is_unended: bool = False
    needing: str = ""
    why: str = ""

    @property
    def is_open(self) -> bool:
        """Whether only sagas are admitted that have not ended, as some source has it."""
        return self.refuses_ended or bool(self.why)

    @property
    def refuses_ended(self) -> bool:
        """Whether no saga is admitted that has ended, as any source has it."""
        if self.is_unended or self.stuck_for or self.needing:
            return True
        return bool(self.states) and not set(self.states).intersection(ENDED)

    @property
    def is_of_last_rows(self) -> bool:
        """Whether nothing but the last rows of a saga that has not ended says if it is admitted."""
        narrower = self.participant or self.older_than or self.stuck_for or self.needing or self.why
        return self.is_open and not narrower

    def may_admit(self, last: LastEntry, now: int) -> bool:
        """Whether a saga may be admitted, judged by its last row in one source alone."""
        return (
            (not self.states or last.state in self.states)
            and self.saga_type in ("", last.saga_type)
            and self.version in (0, last.version)
            and (not self.stuck_for or is_still(now - last.time, self.stuck_for))
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
            and self.why in ("", *(wait.why for wait in timeline.waits))
            and (not self.older_than or timeline.now - timeline.began >= self.older_than)
            and (not self.stuck_for or is_stuck(timeline, self.stuck_for))
        )


class Place(NamedTuple):
    """A head in the order of a source: the time and the number of its row."""

    time: int
    row: int


class Page(NamedTuple):
    """Some of the sagas that a filter admits, of so many that were looked at.

    ``after`` is the place from which `Timelines.page` goes on, empty where there are no more.
    """

    timelines: Sequence[Timeline]
    looked_at: int
    after: str = ""


def is_in_flight(timeline: Timeline) -> bool:
    """Whether a saga has not ended; one that was cancelled before its start is not: nobody has to act."""
    return not timeline.is_ended and not timeline.is_only_cancelled


def is_stuck(timeline: Timeline, after: int) -> bool:
    """Whether a saga that is in flight has had no transition for ``after`` milliseconds."""
    return is_in_flight(timeline) and is_still(timeline.idle, after)


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
        refuse_twice(sources)
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
        return self._of_version(saga_type, max((version_of(view.entries) for view in views), default=0))

    def _of_version(self, saga_type: str, version: int) -> SagaGraph | None:
        graphs = self._graphs.get(saga_type, ())
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
        seen: set[_Saga] = set()
        open_heads = self._open_heads(wanted)
        has_ended = self._ended(wanted, open_heads)
        for head in self._heads(wanted, open_heads):
            saga = (head.saga_id, head.saga_type)
            if saga not in seen and wanted.may_admit(head, self.now):
                seen.add(saga)
                if not has_ended(saga):
                    yield from filter(wanted.admits, self._of_type(head))

    def page(self, wanted: Filter, limit: int, most: int, after: str = "") -> Page:
        """Return the next sagas that a filter admits, ``limit`` at most, in the order of `chosen`.

        No more than ``most`` are looked at, and no more than `_HEADS` rows; one that only a source that is
        behind has in flight is none of them. The place ``after`` says how far
        each source was read, so that what is written meanwhile repeats no saga.
        """
        begun = self._places(after)
        places = list(begun)
        found: list[Timeline] = []
        seen: set[_Saga] = set()
        looked_at = 0
        open_heads = self._open_heads(wanted)
        has_ended = self._ended(wanted, open_heads)
        is_open = wanted.is_open
        heads = self._moved_since(open_heads, begun, wanted, seen) if is_open else self._before(begun)
        for read, (number, head) in enumerate(heads):
            if len(found) >= limit or looked_at >= most or read >= _HEADS:
                return Page(found, looked_at, _written(places))
            places[number] = Place(head.time, head.row)
            saga = (head.saga_id, head.saga_type)
            if saga in seen or not wanted.may_admit(head, self.now):
                continue
            seen.add(saga)
            if has_ended(saga):
                continue
            if is_open or not self._was_listed(head, begun, wanted):
                looked_at += 1
                found += (each for each in self._of_type(head) if wanted.admits(each))
        return Page(found, looked_at)

    def _of_type(self, head: LastEntry) -> list[Timeline]:
        return [each for each in self.of(head.saga_id) if each.saga_type == head.saga_type]

    def _places(self, after: str) -> list[Place | None]:
        """Return the last head that was read of each source, by a text that `page` returned."""
        parts = after.split(".")
        if len(parts) != len(self._sources) or not all(map(_is_place, parts)):
            return [None] * len(self._sources)
        return [Place(*map(int, each.split("_"))) if each else None for each in parts]

    def _open_heads(self, wanted: Filter) -> list[list[LastEntry]]:
        """Return the sagas of each source that have not ended there; none where others are admitted, too."""
        return [list(source.unended()) for source in self._sources] if wanted.is_open else []

    def _ended(self, wanted: Filter, open_heads: Sequence[Sequence[LastEntry]]) -> Callable[[_Saga], bool]:
        """Return what tells whether a saga isn't admitted as some source has seen it to end.

        One where it goes on is behind: its worker may have been down, with any number of them.
        """
        if not wanted.refuses_ended:
            return lambda saga: False
        going_on = [{(each.saga_id, each.saga_type) for each in of_one} for of_one in open_heads]

        def has_ended(saga: _Saga) -> bool:
            for source, known in zip(self._sources, going_on, strict=True):
                if saga not in known and (head := source.head(*saga)) and head.state in ENDED:
                    return True
            return False

        return has_ended

    def _moved_since(
        self,
        heads: Sequence[Sequence[LastEntry]],
        begun: Sequence[Place | None],
        wanted: Filter,
        listed: set[_Saga],
    ) -> Iterator[tuple[int, LastEntry]]:
        """Return the sagas that go on behind these places, each with the number of its source.

        Those before them that were looked at for earlier pages are added to ``listed``.
        """
        behind: list[tuple[int, LastEntry]] = []
        for number, (of_one, at) in enumerate(zip(heads, begun, strict=True)):
            for head in of_one:
                if at is not None and (head.time, head.row) <= at:
                    if wanted.may_admit(head, self.now):
                        listed.add((head.saga_id, head.saga_type))
                else:
                    behind.append((number, head))
        return iter(sorted(behind, key=lambda each: (each[1].time, each[0], each[1].row)))

    def _before(self, begun: Sequence[Place | None]) -> Iterator[tuple[int, LastEntry]]:
        """Return the sagas before these places, the newest first, each with the number of its source."""
        numbered = enumerate(zip(self._sources, begun, strict=True))
        heads = (_numbered(number, source.latest(at and at.row)) for number, (source, at) in numbered)
        return merge(*heads, key=lambda each: -each[1].time)

    def _was_listed(self, head: LastEntry, begun: Sequence[Place | None], wanted: Filter) -> bool:
        """Whether a saga stood on an earlier page, as another source had it before."""
        for source, at in zip(self._sources, begun, strict=True):
            last = source.head(head.saga_id, head.saga_type) if at is not None else None
            is_before = last is not None and at is not None and last.row >= at.row
            if last is not None and is_before and wanted.may_admit(last, self.now):
                return True
        return False

    @property
    def types(self) -> Sequence[str]:
        """The saga types whose graphs are known."""
        return sorted(self._graphs)

    def graph_of(self, timeline: Timeline) -> SagaGraph | None:
        """Return the graph of a saga's version, or of the newest; None where its type has none."""
        return self._of_version(timeline.saga_type, timeline.version)

    def like(self, saga_id: str, wanted: Filter, limit: int, most: int, after: str = "") -> Page:
        """Return the next sagas with an id, or whose ids begin so, that a filter admits, in their order.

        About ``limit`` of them, of ids that come after that of ``after``; no more than ``most`` ids are
        looked at. Sources must be of stores.
        """
        known = {each for source in self._sources for each in source.similar(after or saga_id, most + 2)}
        ids = sorted(each for each in known if each.startswith(saga_id) and each > after)
        found: list[Timeline] = []
        for number, each in enumerate(ids[:most]):
            if len(found) >= limit:
                return Page(found, number, ids[number - 1])
            found += filter(wanted.admits, self.of(each))
        return Page(found, min(len(ids), most), ids[most - 1] if len(ids) > most else "")

    def count(self, wanted: Filter) -> int:
        """Return how many sagas a filter admits; of most, their last rows alone are read."""
        if not wanted.is_of_last_rows:
            return sum(1 for _ in self.chosen(wanted))
        found: dict[_Saga, list[LastEntry]] = {}
        open_heads = self._open_heads(wanted)
        has_ended = self._ended(wanted, open_heads)
        for head in chain.from_iterable(open_heads):
            found.setdefault((head.saga_id, head.saga_type), []).append(head)
        number = 0
        for (saga_id, saga_type), heads in found.items():
            if not any(wanted.may_admit(head, self.now) for head in heads):
                continue
            if len(heads) < len(self._sources) and has_ended((saga_id, saga_type)):
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

    def _heads(self, wanted: Filter, open_heads: Sequence[Sequence[LastEntry]]) -> Iterable[LastEntry]:
        """Return the sagas of all sources, merged by time; each by the source that has read furthest."""
        if wanted.is_open:
            return merge(*open_heads, key=lambda head: head.time)
        return merge(*(source.latest() for source in self._sources), key=lambda head: -head.time)

    def _unknown(self, saga_id: str, saga_type: str) -> ConfigurationError:
        where = ", ".join(source.path for source in self._sources)
        known = dict.fromkeys(each for source in self._sources for each in source.similar(saga_id, _NEAR))
        close = get_close_matches(saga_id, list(known), n=1, cutoff=0.6)
        hint = f"did you mean {close[0]}?" if close else "list them with `choreo sagas`, or name other stores"
        of_type = f" of the type {saga_type!r}" if saga_type else ""
        return ConfigurationError(f"no saga {saga_id!r}{of_type} is known in {where}", hint=hint)


_PLACE = re.compile(r"(?a:(-?\d{1,18})_(\d{1,19}))?")


def _is_place(text: str) -> bool:
    """Whether a text is the place of a row, or empty."""
    found = _PLACE.fullmatch(text)
    return found is not None and int(found[2] or 0) < 2**63


def _numbered(number: int, heads: Iterable[LastEntry]) -> Iterator[tuple[int, LastEntry]]:
    for head in heads:
        yield number, head


def _written(places: Iterable[Place | None]) -> str:
    return ".".join("" if place is None else f"{place.time}_{place.row}" for place in places)


def refuse_twice(sources: Iterable[Named]) -> None:
    """Raise `ConfigurationError` where two sources are of one participant, as either may be the right one."""
    seen: dict[str, Named] = {}
    for source in sources:
        other = seen.setdefault(source.participant, source)
        if other is not source:
            raise ConfigurationError(
                f"{other.path} and {source.path} are both stores of {source.participant}",
                hint="is one a copy? Name those that count: --store PATH",
            )
