"""The saga log as whoever keeps it needs it: read as chains, checked, thinned out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from choreo.chain import Row


class SagaLog(Protocol):
    """A store's saga log; see `choreo.chain` for what its rows prove.

    A saga is *at rest* when it has ended, nothing is on the schedule or in the outbox for it, and no dead
    letter of it is open. Only what is at rest may be erased or pruned, and it stays at rest ever after.
    """

    @property
    def unchained(self) -> int:
        """The id up to which rows may have no link, as choreo wrote them before it knew chains."""
        ...

    def sagas(self, after: str, limit: int) -> Sequence[str]:
        """Give the ids of sagas that come after that one, in their order; begin with an empty one."""
        ...

    def chain(self, saga_id: str) -> Sequence[Row]:
        """Give a saga's rows as they stand in its chain; what is pending is not among them."""
        ...

    def ended(self, before: int, after: int) -> tuple[Sequence[str], int | None]:
        """Give some sagas that ended, and had their last row recorded, before that time (milliseconds).

        With them comes where to go on, beginning with 0; None where there are no more.
        """
        ...

    def restless(self, saga_ids: Iterable[str]) -> Mapping[str, str]:
        """Say of those that aren't at rest why."""
        ...

    def erase(self, saga_id: str) -> int:
        """Take the payloads out of a saga's rows and dead letters, inside a turn; give how many.

        It must be at rest. Their digests stay, so the chain holds. The bytes are gone from the disk only
        after `scrub`.
        """
        ...

    def prune(self, saga_id: str, at: int) -> int:
        """Take a saga's rows out, inside a turn; give how many.

        It must be at rest. One row stays for each saga type, which says that it has ended, and in whose
        chain the last link of what was taken out goes on: so it can neither start again nor be forged.
        """
        ...

    def scrub(self, *, whole: bool = False) -> bool:
        """Make what was taken out gone from the disk, outside of a turn; say whether it is.

        It is not while somebody else reads what was there before: then ask again. ``whole`` writes the
        whole database anew: then what others than this choreo deleted is gone, too.
        """
        ...
