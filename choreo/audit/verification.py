"""``Verification``: checks the chains of a saga log, saga by saga."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import NamedTuple

from choreo.audit.heads import Head
from choreo.chain import PRUNED, first_broken_link, links_of
from choreo.ports import SagaLog
from choreo.records import SagaKey

_PAGE = 1_000
"""Saga ids that are asked for at a time."""


class Finding(NamedTuple):
    """What is wrong with a saga; ``row`` is the id of the row where its chain is broken, 0 for none."""

    saga_id: str
    row: int
    why: str

    def __str__(self) -> str:
        where = f", row {self.row}" if self.row else ""
        return f"saga {self.saga_id}{where}: {self.why}"


class Verification:
    """Checks sagas one by one, and counts them.

    ``older`` counts rows that an earlier version of choreo wrote without links, and that no later row
    seals; ``pruned`` the sagas of which only the end is left; ``passed`` the heads that can't be compared,
    as their sagas were pruned.
    """

    def __init__(self, log: SagaLog) -> None:
        self._log = log
        self._unchained = log.unchained
        self.sagas = self.rows = self.older = self.pruned = self.heads = self.passed = 0

    def check(self, saga: SagaKey) -> Finding | None:
        """Return what is wrong with a saga's chain, None where it holds, also after erasing or pruning."""
        rows = self._log.chain(*saga)
        own = [row for row in rows if row.entry.saga_type == saga.saga_type]
        self.sagas += 1
        self.rows += len(own)
        if rows and rows[-1].link is None:
            self.older += len(own)
        if own and own[0].entry.input == PRUNED:
            self.pruned += 1
        broken = first_broken_link(rows, self._unchained)
        return None if broken is None else Finding(saga.saga_id, broken.row.id, broken.why)

    def check_head(self, head: Head) -> Finding | None:
        """Return what is wrong with a saga whose head was kept, None where the head is still in its chain."""
        self.heads += 1
        sagas = [each for each in self._log.with_id(head.saga_id) if head.saga_type in ("", each.saga_type)]
        chains = [self._log.chain(*saga) for saga in sagas]
        if not chains:
            return Finding(head.saga_id, 0, "all its rows were removed")
        if any(head.link in (rows[0].digest, *links_of(rows)) for rows in chains):
            return None
        if any(rows[0].entry.input == PRUNED for rows in chains):
            self.passed += 1
            return None
        return Finding(head.saga_id, 0, "its end was cut, or it was written anew since its head was kept")


def all_sagas(log: SagaLog) -> Iterator[SagaKey]:
    """Yield all sagas in a saga log, in the order of their ids."""
    after = SagaKey("", "")
    while found := log.sagas(after, _PAGE):
        yield from found
        after = found[-1]


def saga_ids(log: SagaLog) -> Iterator[str]:
    """Yield the ids of all sagas in a saga log, each once."""
    return (saga_id for saga_id, _ in groupby(saga.saga_id for saga in all_sagas(log)))
