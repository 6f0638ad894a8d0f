"""``SagaCounts``: how many sagas have started, have begun to compensate, and have ended, by the saga log."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from typing import Final, Protocol

from choreo.chain import PRUNED
from choreo.errors import StoreError
from choreo.outcome import SagaState
from choreo.records import StateChange, StateNews
from choreo.timeline.timeline import ENDED

_MARGIN_MS: Final = 600_000
"""How far the clocks of those who write a store may be apart."""

COUNTED: Final[tuple[SagaState, ...]] = ("started", "compensating", "completed", "failed")
"""The states whose entering is counted."""


class History(Protocol):
    """A saga log that is read for its sagas' states."""

    def all_states(self, since: int) -> StateNews:
        """Return which states all sagas have been in: counted, up to a row from before ``since``."""
        ...

    def state_changes(self, after: int) -> StateNews:
        """Return which sagas first enter which states, but pending, behind a row."""
        ...


class SagaCounts:
    """Counts the sagas of some types in one store, each once in each state that it has ever been in.

    What is counted is in the saga log, and a pruned saga leaves one row there. So a restart, or a crash,
    changes no count. Where rows may have been removed before they were counted, as nobody has asked for long,
    all is counted anew. ``on_end`` is told the type, the state and the seconds of each saga that ends from
    now on.
    """

    def __init__(
        self,
        saga_types: Collection[str],
        opened: Callable[[], AbstractContextManager[History]],
        on_end: Callable[[str, str, float], None],
    ) -> None:
        self._types = frozenset(saga_types)
        self._opened = opened
        self._on_end = on_end
        self._since = time.time() * 1000
        self._counts: Counter[tuple[str, str]] = Counter()
        self._read_at: float | None = None
        self._behind = 0
        self._recent: set[int] = set()
        self._marks: deque[tuple[float, int]] = deque()

    def now(self) -> dict[tuple[str, str], int] | None:
        """Return the counts by saga type and state, None where they could never be read."""
        try:
            if self._types:
                self._read_on()
        except StoreError:
            if self._read_at is None:
                return None
        return {(each, state): self._counts[each, state] for each in sorted(self._types) for state in COUNTED}

    def _read_on(self) -> None:
        at = time.time() * 1000
        with self._opened() as history:
            news = None if self._read_at is None else history.state_changes(self._behind)
            is_anew = news is None or self._lacks(news.changes)
            if news is None or is_anew:
                news = history.all_states(round((self._read_at or self._since) - _MARGIN_MS))
        if is_anew:
            self._counts.clear()
            for count in news.counts:
                self._enter(count.saga_type, count.state, is_pruned=count.is_pruned, sagas=count.sagas)
            self._behind = max(self._behind, news.counted_to)
        for change in news.changes:
            if change.saga_type in self._types:
                self._count(change, is_anew=is_anew)
            self._recent.add(change.row)
        self._read_at = at
        self._forget(news.last, news.late_seconds)

    def _lacks(self, changes: Sequence[StateChange]) -> bool:
        """Whether sagas were pruned that may have had rows which were never read."""
        assert self._read_at is not None
        since = self._read_at - _MARGIN_MS
        return any(
            each.input == PRUNED and each.at >= since and each.row not in self._recent for each in changes
        )

    def _count(self, change: StateChange, *, is_anew: bool) -> None:
        is_new = change.row > self._behind and change.row not in self._recent
        is_pruned = change.input == PRUNED
        if is_anew or (is_new and not is_pruned):  # else its rows were counted before they were removed
            self._enter(change.saga_type, change.state, is_pruned=is_pruned)
        if is_new and not is_pruned and change.state in ENDED and change.at >= self._since:
            self._on_end(change.saga_type, change.state, max(change.at - change.began, 0) / 1000)

    def _enter(self, saga_type: str, state: str, *, is_pruned: bool, sagas: int = 1) -> None:
        """Count sagas in a state; those of which the rows are gone in what they have gone through, too."""
        before = ("started", *(["compensating"] if state == "failed" else [])) if is_pruned else ()
        for each in (*before, state):
            self._counts[saga_type, each] += sagas

    def _forget(self, newest: int, late_seconds: float) -> None:
        """Forget the rows behind which none becomes visible any more."""
        now = time.monotonic()
        if not self._marks or newest > self._marks[-1][1]:
            self._marks.append((now, newest))
        while self._marks and now - self._marks[0][0] >= late_seconds:
            self._behind = max(self._behind, self._marks.popleft()[1])
        self._recent = {row for row in self._recent if row > self._behind}
