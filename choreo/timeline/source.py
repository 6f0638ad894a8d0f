"""``Source``: where a timeline's sagas are read from, a participant's store or the topics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from choreo.records import Entry
from choreo.timeline.participant_view import ParticipantView
from choreo.timeline.transitions import moved_at


class LastEntry(NamedTuple):
    """The last row of a saga in one source; ``time`` is in milliseconds since the epoch.

    ``row`` is its number in that source; numbers grow as rows are written. Of a saga that has not ended
    ``time`` is that of its last transition (see `choreo.timeline.transitions`), and ``step`` the step that
    had it.
    """

    row: int
    saga_id: str
    saga_type: str
    state: str
    time: int
    version: int
    step: str = ""


class Named(Protocol):
    """What has a name, and may be of a participant."""

    @property
    def path(self) -> str:
        """The name of the source, for messages."""
        ...

    @property
    def participant(self) -> str:
        """The participant whose store it is; empty for the topics."""
        ...


class Source(Named, Protocol):
    """What sagas can be read from: a participant's store, or the topics themselves."""

    def views(self, saga_id: str) -> Mapping[str, ParticipantView]:
        """Return the views of the sagas with that id, by their type."""
        ...

    def latest(self, before: int | None = None) -> Iterator[LastEntry]:
        """Yield the last row of every saga, the newest first; with ``before``, only lower numbers."""
        ...

    def head(self, saga_id: str, saga_type: str) -> LastEntry | None:
        """Return the last row of one saga, None where there is none."""
        ...

    def unended(self) -> Iterator[LastEntry]:
        """Yield the last row of every saga that has not ended, the one that moved last at the end."""
        ...

    def similar(self, saga_id: str, limit: int) -> Sequence[str]:
        """Return ids of sagas, some of them similar to one that is unknown."""
        ...


class MemorySource:
    """A source in memory, made from numbered rows; the rows of one saga are in their order.

    ``participant`` is the one whose rows they are, empty for the rows of the topics.
    """

    def __init__(self, participant: str, path: str, rows: Iterable[tuple[int, Entry]]) -> None:
        self.participant = participant
        self.path = path
        self._rows: dict[str, dict[str, list[Entry]]] = {}
        self._last: dict[tuple[str, str], int] = {}
        for number, entry in rows:
            saga_id, saga_type = entry[:2]
            self._rows.setdefault(saga_id, {}).setdefault(saga_type, []).append(entry)
            self._last[saga_id, saga_type] = max(number, self._last.get((saga_id, saga_type), number))

    def views(self, saga_id: str) -> dict[str, ParticipantView]:
        """Return the views of the sagas with that id, by their type."""
        found = self._rows.get(saga_id, {})
        return {
            name: ParticipantView(self.participant, rows, source=self.path) for name, rows in found.items()
        }

    def latest(self, before: int | None = None) -> Iterator[LastEntry]:
        """Yield the last row of every saga, the newest first; with ``before``, only lower numbers."""
        newest = sorted(self._last, key=self._last.__getitem__, reverse=True)
        return (self._last_entry(saga) for saga in newest if before is None or self._last[saga] < before)

    def head(self, saga_id: str, saga_type: str) -> LastEntry | None:
        """Return the last row of one saga, None where there is none."""
        saga = saga_id, saga_type
        return self._last_entry(saga) if saga in self._last else None

    def unended(self) -> Iterator[LastEntry]:
        """Yield the last row of every saga that has not ended, the one that moved last at the end."""
        last = (
            each for each in map(self._last_entry, self._last) if each.state not in ("completed", "failed")
        )
        return iter(sorted(map(self._moved, last), key=lambda each: (each.time, each.row)))

    def similar(self, saga_id: str, limit: int) -> Sequence[str]:
        """Return ids that begin with the same three characters, and the latest ones."""
        alike = [each for each in self._rows if each[:3] == saga_id[:3]]
        return [*alike[:limit], *list(self._rows)[-limit:]]

    def _last_entry(self, saga: tuple[str, str]) -> LastEntry:
        saga_id, saga_type = saga
        last = self._rows[saga_id][saga_type][-1]
        state, version = last.saga_state, last.saga_version
        return LastEntry(self._last[saga], saga_id, saga_type, state, last.recorded_at, version, last.step)

    def _moved(self, last: LastEntry) -> LastEntry:
        rows = self._rows[last.saga_id][last.saga_type]
        step = next((each.step for each in reversed(rows) if each.is_transition), last.step)
        return last._replace(time=moved_at([ParticipantView(self.participant, rows)]), step=step)
