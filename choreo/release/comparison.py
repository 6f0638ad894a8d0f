"""``compare``: what a release changes, what sagas in flight still need of the one before, and what is new."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from choreo.manifest import HandlerEntry, Manifest
from choreo.protocol import serves
from choreo.records import InFlight, Release, Seen, Work
from choreo.release.changes import changes, new_handlers, recalled, renames
from choreo.release.declarations import readable
from choreo.release.needs import Handlers, Missing, Need, needs_of, steps_at_risk


class Store(Protocol):
    """What a comparison reads of a store."""

    def newest_release(self) -> Release | None:
        """Return the newest release, None where there is none."""
        ...

    def in_flight(
        self,
        lacks: Callable[[str, str, str, str], bool],
        steps: Collection[str] | None,
        types: Collection[str],
    ) -> InFlight:
        """Return what sagas in flight need of some handlers, counted, and which events they have seen."""
        ...


class Works(Protocol):
    """What is read of a store of which something is given up."""

    def work(
        self, lacks: Callable[[str, str, str, str], bool], steps: Collection[str] | None
    ) -> Iterable[Work]:
        """Return each work of those that are counted."""
        ...


class New(NamedTuple):
    """A handler that is new, and the number of sagas in flight that are past what calls it.

    ``is_recalled``: it was there before, and other events call it now.
    """

    name: str
    task: str
    sagas: int
    is_recalled: bool = False


@dataclass(frozen=True)
class Comparison:
    """A release compared with the one before, and with the sagas in flight.

    ``before`` is None where nothing is known of it. ``needs`` is the work that has no handler today, and
    that no earlier release has given up, counted; ``gone`` are the names of before that nothing has today;
    ``renamed`` the new names of what seems to be renamed. ``still_retired`` are the names that an earlier
    release has given up, as far as they are not declared again.
    """

    today: Manifest
    before: Manifest | None = None
    changes: Sequence[str] = ()
    needs: Sequence[Need] = ()
    gone: frozenset[str] = frozenset()
    new: Sequence[New] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)
    still_retired: frozenset[str] = frozenset()

    @property
    def lacking(self) -> set[str]:
        """The names that may be retired: those that are needed, and those that are gone."""
        return {*self.gone, *self.still_retired, *(each.name for each in self.needs)}


def compare(store: Store, newest: Release | None, today: Manifest) -> Comparison:
    """Compare declarations with the newest release of a store, and with its sagas in flight."""
    handlers = Handlers(today)
    before = readable(newest) if newest else None
    added: list[_Added] = []
    if before:
        added += [(each, None) for each in new_handlers(before, today)]
        added += recalled(before, today)
    types = {name for each, of_before in added for name in _types_of(each, of_before or (), today)}
    found = store.in_flight(handlers.may_lack, steps_at_risk(before, handlers), types)
    retired = frozenset(newest.retired if newest else ())
    missing = Missing(handlers, retired, knows_before=before is not None)
    open_names = {each.work.name for each in found.work if missing.is_given_up(each.work)}
    names = {each.known_as for each in before.handlers if each.task != "compensation"} if before else ()
    return Comparison(
        today,
        before,
        changes(before, today) if before else (),
        needs_of(each for each in found.work if missing.includes(each.work)),
        frozenset(name for name in names if not handlers.have(name)),
        _news(added, today, found.seen),
        renames(before, today) if before else {},
        frozenset(name for name in retired if name in open_names or not handlers.have(name)),
    )


def needed(store: Works, newest: Release | None, today: Manifest) -> list[Work]:
    """Return each work that has no handler today, and that no earlier release has given up."""
    handlers = Handlers(today)
    before = readable(newest) if newest else None
    missing = Missing(handlers, newest.retired if newest else (), knows_before=before is not None)
    return list(filter(missing.includes, store.work(handlers.may_lack, steps_at_risk(before, handlers))))


_Added = tuple[HandlerEntry, Sequence[HandlerEntry] | None]
"""A handler, and what it was in the release before where other events called it then."""


def _types_of(entry: HandlerEntry, before: Sequence[HandlerEntry], today: Manifest) -> Iterable[str]:
    called = (each.trigger.types for each in before)
    outcomes = _outcomes_of(entry) if before else ()
    return {*entry.trigger.types, *_results_of(entry, today), *outcomes}.union(*called)


def _outcomes_of(entry: HandlerEntry) -> Iterable[str]:
    return (*entry.emits.successes, *entry.emits.failures)


def _results_of(entry: HandlerEntry, today: Manifest) -> Iterable[str]:
    """Return the success events that a compensation undoes; none for other handlers."""
    if entry.task != "compensation":
        return ()
    action = next(
        (each for each in today.handlers if each.task == "action" and each.step == entry.step), None
    )
    return [name for name in (action.emits.successes if action else ()) if serves(entry, name)]


def _news(added: Sequence[_Added], today: Manifest, seen: Sequence[Seen]) -> list[New]:
    counts: dict[tuple[str, str, bool], int] = {}
    for entry, before in added:
        name = entry.step if entry.task == "compensation" else entry.name
        past = (
            each.sagas
            for each in seen
            if _is_past(entry, today, each) and not _was_called(entry, before or (), each)
        )
        key = name, entry.task, before is not None
        counts[key] = counts.get(key, 0) + sum(past)
    return [New(name, task, sagas, is_recalled) for (name, task, is_recalled), sagas in counts.items()]


def _was_called(entry: HandlerEntry, before: Sequence[HandlerEntry], seen: Seen) -> bool:
    """Whether what called a handler in the release before has come, or what it returned."""
    if entry.task == "observer":  # each event calls it
        new = entry.trigger.types.difference(*(each.trigger.types for each in before))
        return bool(before) and seen.types.isdisjoint(new)
    of_version = (each for each in before if each.versions.includes(max(seen.saga_version, 1)))
    is_called = any(each.trigger.satisfied(seen.types) for each in of_version)
    return is_called or (bool(before) and not seen.types.isdisjoint(_outcomes_of(entry)))


def _is_past(entry: HandlerEntry, today: Manifest, seen: Seen) -> bool:
    """Whether what calls a handler has come already; a leaf's compensation is called by the first failure."""
    if seen.saga_type != entry.saga or not entry.versions.includes(max(seen.saga_version, 1)):
        return False
    if entry.task == "observer":
        return not seen.types.isdisjoint(entry.trigger.types)
    if entry.task != "compensation":
        return entry.trigger.satisfied(seen.types)
    is_called = entry.trigger.satisfied(seen.types) if entry.trigger else seen.saga_state == "compensating"
    return is_called and not seen.types.isdisjoint(_results_of(entry, today))
