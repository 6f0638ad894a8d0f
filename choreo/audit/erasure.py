"""Taking out of a saga log what must not, or need not, be kept: a few sagas in each transaction."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from choreo.ports import Store

_AT_ONCE = 100
"""How many sagas are thinned out in one transaction, so that the worker and the service get in."""


class Thinned(NamedTuple):
    """What became of one saga: how many payloads or rows were ``taken`` out, or why it was ``left``."""

    saga_id: str
    taken: int
    left: str = ""


def erase(store: Store, saga_ids: Iterable[str], *, dry_run: bool = False) -> Iterator[Thinned]:
    """Erase the payloads of sagas that are at rest.

    Call `SagaLog.scrub` afterwards: only then the bytes are gone from the disk.
    """
    would = (lambda saga_id: _payloads(store, saga_id)) if dry_run else None
    return _thin(store, saga_ids, store.saga_log.erase, would)


def prune(store: Store, before: int, now: int, *, dry_run: bool = False) -> Iterator[Thinned]:
    """Prune the sagas at rest whose last row was recorded before that time; in milliseconds, as ``now``."""
    would = (lambda saga_id: len(store.saga_log.chain(saga_id))) if dry_run else None
    found = _ended(store, before)
    return _thin(store, found, lambda saga_id: store.saga_log.prune(saga_id, now), would)


def _ended(store: Store, before: int) -> Iterator[str]:
    after: int | None = 0
    while after is not None:
        found, after = store.saga_log.ended(before, after)
        yield from found


def _thin(
    store: Store,
    saga_ids: Iterable[str],
    change: Callable[[str], int],
    would: Callable[[str], int] | None,
) -> Iterator[Thinned]:
    rest = iter(saga_ids)
    while some := list(islice(rest, _AT_ONCE)):
        if would is not None:
            yield from _one_by_one(store, some, would)
            continue
        began = time.monotonic()
        with store.turn():
            done = list(_one_by_one(store, some, change))
        yield from done
        # As long as we held the lock, others may have it: SQLite doesn't queue those who wait.
        time.sleep(time.monotonic() - began)


def _one_by_one(store: Store, saga_ids: Sequence[str], change: Callable[[str], int]) -> Iterator[Thinned]:
    restless = store.saga_log.restless(saga_ids)
    for saga_id in saga_ids:
        why = restless.get(saga_id, "")
        yield Thinned(saga_id, 0 if why else change(saga_id), why)


def _payloads(store: Store, saga_id: str) -> int:
    letters = [each for each in store.dead_letters() if each.saga_id == saga_id]
    rows = store.saga_log.chain(saga_id)
    return sum(row.entry.payload is not None for row in rows) + sum(
        each.value is not None or each.edited is not None for each in letters
    )
