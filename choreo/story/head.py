"""Where a saga stands by one source, in few words: enough to choose those that are meant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from choreo.story.account import Account


class Head(NamedTuple):
    """A saga's last row in one source; ``time`` is in milliseconds since the epoch, rows grow with it."""

    row: int
    saga_id: str
    saga_type: str
    state: str
    time: int


class Source(Protocol):
    """Where accounts of sagas are read: a participant's store, or the topics themselves."""

    @property
    def path(self) -> str:
        """What to call it in a message."""
        ...

    @property
    def participant(self) -> str:
        """Whose it is; empty for what is nobody's."""
        ...

    def accounts(self, saga_id: str) -> Mapping[str, Account]:
        """Give all that it says of a saga, by the type of saga."""
        ...

    def latest(self) -> Iterator[Head]:
        """Give the sagas in the order in which they moved last, the newest first."""
        ...

    def going_on(self) -> Iterator[Head]:
        """Give the sagas that have not ended, those that moved longest ago first."""
        ...

    def near(self, saga_id: str, limit: int) -> Sequence[str]:
        """Give ids that an unknown one may have been meant for."""
        ...
