"""The port for maintenance of the saga log: `choreo.audit` checks its chains, exports, erases and prunes.

Its rows are written and read in the course of a saga through `choreo.ports.store`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from choreo.chain import Row


class SagaLog(Protocol):
    """The maintenance side of a store's saga log; see `choreo.chain` for what its links prove.

    A saga is *at rest* when it has ended, nothing is on the schedule or in the outbox for it, and no dead
    letter of it is open. Only what is at rest may be erased or pruned, and it stays at rest ever after.
    """

    @property
    def unchained(self) -> int:
        """The id up to which rows may have no link, as choreo wrote them before it linked rows."""
        ...

    def sagas(self, after: str, limit: int) -> Sequence[str]:
        """Return the ids of sagas that come after the id ``after``, in order; begin with an empty one."""
        ...

    def chain(self, saga_id: str) -> Sequence[Row]:
        """Return a saga's rows with their links; those that the turn holds back are not among them."""
        ...

    def ended(self, before: int, after: int) -> tuple[Sequence[str], int | None]:
        """Return some sagas that ended, and had their last row recorded, before that time (milliseconds).

        With them comes the ``after`` of the next call, None where there are no more; begin with 0.
        """
        ...

    def busy(self, saga_ids: Iterable[str]) -> Mapping[str, str]:
        """Return those of these sagas that are not at rest, with the reason."""
        ...

    def erase(self, saga_id: str) -> int:
        """Erase the payloads of a saga's rows and dead letters, inside a turn; return how many.

        It must be at rest. Their digests stay, so the chain holds. The bytes are gone from the disk only
        after `scrub`.
        """
        ...

    def prune(self, saga_id: str, at: int) -> int:
        """Delete a saga's rows, inside a turn; return how many.

        It must be at rest. One row stays for each saga type: it says that the saga has ended, and goes on
        from the last link of the deleted rows. So the saga can neither start again nor be forged.
        """
        ...

    def scrub(self, *, whole: bool = False) -> bool:
        """Remove what was erased or pruned from the disk, outside of a turn; return whether it is gone.

        It is not while another process reads what was there before: then call again. ``whole`` writes the
        whole database anew, so that what other programs deleted is gone, too.
        """
        ...
