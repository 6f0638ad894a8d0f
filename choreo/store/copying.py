"""Copies a whole store into a new one, also of the other database: all but the service's own tables."""

from __future__ import annotations

from typing import NamedTuple

from choreo.errors import StoreMismatch
from choreo.store.tables import TableStore

_PAGE = 1_000


class Copied(NamedTuple):
    """How much was copied."""

    rows: int
    unpublished: int
    scheduled: int
    letters: int


def copy_store(source: TableStore, target: TableStore) -> Copied:
    """Copy a store, which keeps its id, into an empty one, in one transaction; then open that again.

    Nobody writes to the source meanwhile. Its worker, if one runs, is fenced from then on. Raises
    `StoreMismatch` where the target was used before.
    """
    refuse_used(target)
    with source.turn():
        while source.take_up(_PAGE):
            pass
        with target.turn():
            done = _copy(source, target)
        if source.serves_one:
            source.claim()
    return done


def refuse_used(store: TableStore) -> None:
    """Raise `StoreMismatch` where a store is not empty."""
    if store.owner or store.saga_log.last_id or store.positions():
        raise StoreMismatch(
            f"{store.name} is the store of {store.owner or 'somebody'} already",
            hint="name a new one; in PostgreSQL, `choreo store migrate` makes its tables",
        )


def _copy(source: TableStore, target: TableStore) -> Copied:
    log = source.saga_log
    target.saga_log.adopt(
        *(source.store_id, source.owner, log.unchained, log.keyed_by_id, source.releases(), source.cluster)
    )
    rows = last = 0
    while page := log.page(last, _PAGE):
        target.saga_log.restore(page)
        rows, last = rows + len(page), page[-1].id
    unpublished = last = 0
    while waiting := source.unpublished(last, _PAGE):
        target.enqueue(waiting)
        unpublished, last = unpublished + len(waiting), waiting[-1].seq
    scheduled = source.all_scheduled()
    target.schedule(scheduled)
    joined = source.joined()
    for place, position in source.positions().items():
        target.join(place, position, *joined[place])
    target.identify({topic: identity for topic, identity in source.topics().items() if identity})
    letters = source.dead_letters()
    target.restore_letters(letters)
    return Copied(rows, unpublished, len(scheduled), len(letters))
