"""Where a saga stands by one source, in few words: enough to choose those that are meant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from choreo.records import Entry
from choreo.timeline.account import Account


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


class Held:
    """Rows of sagas, each saga's in its order, with numbers that grow as they were written.

    ``participant`` is whose they are, empty for the topic's own; ``path`` what to call them in a message.
    """

    def __init__(self, participant: str, path: str, rows: Iterable[tuple[int, Entry]]) -> None:
        self.participant = participant
        self.path = path
        self._rows: dict[str, list[Entry]] = {}
        self._last: dict[str, int] = {}
        for number, entry in rows:
            self._rows.setdefault(entry.saga_id, []).append(entry)
            self._last[entry.saga_id] = max(number, self._last.get(entry.saga_id, number))

    def accounts(self, saga_id: str) -> dict[str, Account]:
        """Give what is held of a saga, by the type of saga."""
        found: dict[str, list[Entry]] = {}
        for entry in self._rows.get(saga_id, ()):
            found.setdefault(entry.saga_type, []).append(entry)
        return {name: Account(self.participant, rows, source=self.path) for name, rows in found.items()}

    def latest(self) -> Iterator[Head]:
        """Give the sagas in the order in which they moved last, the newest first."""
        return map(self._head, sorted(self._last, key=self._last.__getitem__, reverse=True))

    def going_on(self) -> Iterator[Head]:
        """Give the sagas that have not ended, those that moved longest ago first."""
        heads = map(self._head, sorted(self._last, key=self._last.__getitem__))
        return (head for head in heads if head.state not in ("completed", "failed"))

    def near(self, saga_id: str, limit: int) -> Sequence[str]:
        """Give ids that share the beginning of an unknown one, and the latest."""
        alike = [each for each in self._rows if each[:3] == saga_id[:3]]
        return [*alike[:limit], *list(self._rows)[-limit:]]

    def _head(self, saga_id: str) -> Head:
        last = self._rows[saga_id][-1]
        return Head(self._last[saga_id], saga_id, last.saga_type, last.saga_state, last.recorded_at)
