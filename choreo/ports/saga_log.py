"""The port for maintenance of the saga log: `choreo.audit` checks its chains, exports, erases and prunes.

Its rows are written and read in the course of a saga through `choreo.ports.store`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from choreo.chain import Row
from choreo.records import Release, SagaKey


class SagaLog(Protocol):
    """The maintenance side of a store's saga log; see `choreo.chain` for what its links prove.

    A saga is *at rest* when it has ended, nothing is on the schedule or in the outbox for it, and no dead
    letter of it is open. Only what is at rest may be erased or pruned, and it stays at rest ever after.
    """

    @property
    def unchained(self) -> int:
        """The id up to which rows may have no link, as choreo wrote them before it linked rows."""
        ...

    @property
    def keyed_by_id(self) -> int:
        """The id up to which the rows of all sagas with an id form one chain, whatever their types."""
        ...

    @property
    def last_id(self) -> int:
        """The id of the last row; 0 where there is none."""
        ...

    def sagas(self, after: SagaKey, limit: int) -> Sequence[SagaKey]:
        """Return the sagas that come after ``after``, in the order of their ids; begin with empty texts."""
        ...

    def with_id(self, saga_id: str) -> Sequence[SagaKey]:
        """Return the sagas with an id, one for each type."""
        ...

    def chain(self, saga_id: str, saga_type: str) -> Sequence[Row]:
        """Return the rows of a saga's chain; those that the turn holds back are not among them.

        Where the saga has rows up to `keyed_by_id`, the others with its id up to there are of its chain, too.
        """
        ...

    def rows(self, saga_id: str) -> Sequence[Row]:
        """Return the rows of all sagas with an id, in the order in which they were written."""
        ...

    def page(self, after: int, limit: int) -> Sequence[Row]:
        """Return rows of all sagas with their salts and links, those after an id, oldest first."""
        ...

    def sharing(self, saga: SagaKey) -> Sequence[SagaKey]:
        """Return the sagas that share rows of their chains with a saga, itself among them."""
        ...

    def ended(self, before: int, after: int) -> tuple[Sequence[SagaKey], int | None]:
        """Return some sagas that ended, and had their last row recorded, before that time (milliseconds).

        With them comes the ``after`` of the next call, None where there are no more; begin with 0.
        """
        ...

    def busy(self, sagas: Iterable[SagaKey]) -> Mapping[SagaKey, str]:
        """Return those of these sagas that are not at rest, with the reason."""
        ...

    def erase(self, saga: SagaKey) -> int:
        """Erase the payloads of a saga's rows and dead letters, inside a turn; return how many.

        It must be at rest. Letters of records that could not be read, with the saga's id as their key, are
        among them; without a type, only these. Digests stay, so the chain holds. The bytes are gone from the
        disk only after `scrub`.
        """
        ...

    def payloads(self, saga: SagaKey) -> int:
        """Return how many payloads `erase` would erase."""
        ...

    def old_letters(self, before: int, after: int, limit: int) -> Sequence[int]:
        """Return the ids of dead letters, after the id ``after``, that were settled before that time.

        Those of sagas that are not at rest are needed, and not among them.
        """
        ...

    def delete_letters(self, identities: Iterable[int]) -> None:
        """Delete dead letters, inside a turn."""
        ...

    def prune(self, saga: SagaKey, at: int) -> int:
        """Delete a saga's rows, inside a turn; return how many.

        It must be at rest. One row stays: it says that the saga has ended, and goes on from the last link of
        the deleted rows. So the saga can neither start again nor be forged. The sagas with which it shares
        a part of its chain are pruned with it, so they must be at rest, too.
        """
        ...

    def adopt(
        self,
        store_id: str,
        participant: str,
        unchained: int,
        keyed_by_id: int | None,
        releases: Iterable[Release],
        cluster_id: str = ...,
    ) -> None:
        """Make a new store, inside a turn, the copy of another one, whose rows `restore` then writes.

        Without a cluster, no worker may use it. Open the store again afterwards: its id is another one.
        """
        ...

    def restore(self, rows: Sequence[Row]) -> None:
        """Write rows of the other store, inside a turn, with their ids and links. Raises `StoreError`."""
        ...

    def scrub(self, *, whole: bool = False) -> bool:
        """Remove what was erased or pruned from the disk, outside of a turn; return whether it is gone.

        It is not while another process reads what was there before: then call again. ``whole`` writes the
        whole database anew, so that what other programs deleted is gone, too.
        """
        ...
