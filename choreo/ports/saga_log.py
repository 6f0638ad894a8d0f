"""The saga log as whoever keeps it needs it: read as chains, checked, thinned out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from choreo.chain import Row


class SagaLog(Protocol):
    """A store's saga log; see `choreo.chain` for what its rows prove."""

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
