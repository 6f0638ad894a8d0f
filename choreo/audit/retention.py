"""Erases the payloads of sagas and prunes old sagas, a few of them in each transaction."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import NamedTuple

from choreo.ports import SagaLog, Store
from choreo.records import SagaKey

_AT_ONCE = 100
"""The sagas of one transaction; the worker and the service get in between."""


class Removal(NamedTuple):
    """The result for one saga: how many payloads or rows were ``removed``, or why the saga was ``kept``."""

    saga: SagaKey
    removed: int
    kept: str = ""


def erase(store: Store, saga_ids: Iterable[str], *, dry_run: bool = False) -> Iterator[Removal]:
    """Erase the payloads of the sagas at rest that have one of these ids, each type's by itself.

    Nothing is yielded for an id that the store does not know. Their bytes are gone from the disk only after
    `SagaLog.scrub`.
    """
    log = store.saga_log
    found = (saga for saga_id in saga_ids for saga in _with_id(log, saga_id))
    return _remove(store, found, log.payloads if dry_run else log.erase, dry_run, _alone)


def _with_id(log: SagaLog, saga_id: str) -> Sequence[SagaKey]:
    """Return the sagas with an id; of an unknown one, what stands for letters that have it as their key."""
    stray = SagaKey(saga_id, "")
    return log.with_id(saga_id) or ([stray] if log.payloads(stray) else [])


def prune_letters(store: Store, before: int, *, dry_run: bool = False) -> int:
    """Delete the dead letters that were settled before a time, and return how many."""
    count = after = 0
    while found := store.saga_log.old_letters(before, after, _AT_ONCE):
        began = time.monotonic()
        if not dry_run:
            with store.turn():
                store.saga_log.delete_letters(found)
        count, after = count + len(found), found[-1]
        time.sleep(0 if dry_run else time.monotonic() - began)
    return count


def prune(store: Store, before: int, now: int, *, dry_run: bool = False) -> Iterator[Removal]:
    """Prune the sagas at rest whose last row was recorded before a time; times are in milliseconds."""
    log = store.saga_log
    remove = partial(_rows, store) if dry_run else partial(log.prune, at=now)
    return _remove(store, _ended(store, before), remove, dry_run, log.sharing)


def _ended(store: Store, before: int) -> Iterator[SagaKey]:
    after: int | None = 0
    while after is not None:
        found, after = store.saga_log.ended(before, after)
        yield from found


def _remove(
    store: Store,
    sagas: Iterable[SagaKey],
    remove: Callable[[SagaKey], int],
    dry_run: bool,
    together: Callable[[SagaKey], Sequence[SagaKey]],
) -> Iterator[Removal]:
    """Yield what ``remove`` removes, in turns; with ``dry_run`` it only counts.

    ``together`` returns the sagas that must be at rest with a saga.
    """
    rest = iter(sagas)
    while some := list(islice(rest, _AT_ONCE)):
        if dry_run:
            yield from _one_by_one(store, some, remove, together)
            continue
        began = time.monotonic()
        with store.turn():
            done = list(_one_by_one(store, some, remove, together))
        yield from done
        # As long as we held the lock, others may have it: SQLite doesn't queue those who wait.
        time.sleep(time.monotonic() - began)


def _one_by_one(
    store: Store,
    sagas: Sequence[SagaKey],
    remove: Callable[[SagaKey], int],
    together: Callable[[SagaKey], Sequence[SagaKey]],
) -> Iterator[Removal]:
    groups = {saga: together(saga) for saga in sagas}
    busy = store.saga_log.busy({each for group in groups.values() for each in group if each.saga_type})
    for saga, group in groups.items():
        why = next((busy[each] for each in group if each in busy), "")
        yield Removal(saga, 0 if why else remove(saga), why)


def _alone(saga: SagaKey) -> Sequence[SagaKey]:
    return (saga,)


def _rows(store: Store, saga: SagaKey) -> int:
    return sum(row.entry.saga_type == saga.saga_type for row in store.saga_log.chain(*saga))
