"""Erases the payloads of sagas and prunes old sagas, a few of them in each transaction."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from choreo.ports import Store

_AT_ONCE = 100
"""The sagas of one transaction; the worker and the service get in between."""


class Removal(NamedTuple):
    """The result for one saga: how many payloads or rows were ``removed``, or why the saga was ``kept``."""

    saga_id: str
    removed: int
    kept: str = ""


def erase(store: Store, saga_ids: Iterable[str], *, dry_run: bool = False) -> Iterator[Removal]:
    """Erase the payloads of sagas that are at rest.

    Their bytes are gone from the disk only after `SagaLog.scrub`.
    """
    count = (lambda saga_id: _payloads(store, saga_id)) if dry_run else None
    return _remove(store, saga_ids, store.saga_log.erase, count)


def prune(store: Store, before: int, now: int, *, dry_run: bool = False) -> Iterator[Removal]:
    """Prune the sagas at rest whose last row was recorded before a time; times are in milliseconds."""
    count = (lambda saga_id: len(store.saga_log.chain(saga_id))) if dry_run else None
    found = _ended(store, before)
    return _remove(store, found, lambda saga_id: store.saga_log.prune(saga_id, now), count)


def _ended(store: Store, before: int) -> Iterator[str]:
    after: int | None = 0
    while after is not None:
        found, after = store.saga_log.ended(before, after)
        yield from found


def _remove(
    store: Store,
    saga_ids: Iterable[str],
    remove: Callable[[str], int],
    count: Callable[[str], int] | None,
) -> Iterator[Removal]:
    """Yield what ``remove`` removes or, where ``count`` is passed, what it would remove."""
    rest = iter(saga_ids)
    while some := list(islice(rest, _AT_ONCE)):
        if count is not None:
            yield from _one_by_one(store, some, count)
            continue
        began = time.monotonic()
        with store.turn():
            done = list(_one_by_one(store, some, remove))
        yield from done
        # As long as we held the lock, others may have it: SQLite doesn't queue those who wait.
        time.sleep(time.monotonic() - began)


def _one_by_one(store: Store, saga_ids: Sequence[str], remove: Callable[[str], int]) -> Iterator[Removal]:
    busy = store.saga_log.busy(saga_ids)
    for saga_id in saga_ids:
        why = busy.get(saga_id, "")
        yield Removal(saga_id, 0 if why else remove(saga_id), why)


def _payloads(store: Store, saga_id: str) -> int:
    letters = [each for each in store.dead_letters() if each.saga_id == saga_id]
    rows = store.saga_log.chain(saga_id)
    return sum(row.entry.payload is not None for row in rows) + sum(
        each.value is not None or each.edited is not None for each in letters
    )
