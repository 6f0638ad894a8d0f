"""``SagaCounts``: how many sagas have started, have begun to compensate, and have ended, by the saga log."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Sequence
from typing import Final, NamedTuple

from choreo.chain import PRUNED
from choreo.errors import StoreError
from choreo.outcome import SagaState
from choreo.records import StateChange

_MARGIN_MS: Final = 600_000
"""How far the clocks of those who write a store may be apart."""

COUNTED: Final[tuple[SagaState, ...]] = ("started", "compensating", "completed", "failed")
"""The states whose entering is counted."""


class News(NamedTuple):
    """The changes in the rows of a saga log up to the ``last`` one.

    Another row may become visible in front of that for ``late_seconds``.
    """

    changes: Sequence[StateChange]
    last: int
    late_seconds: float


class SagaCounts:
    """Counts the sagas of some types in one store, each once in each state that it has ever been in.

    What is counted is in the saga log, and a pruned saga leaves one row there. So a restart, or a crash,
    changes no count. Where rows may have been removed before they were counted, as nobody has asked for long,
    all is counted anew. ``read`` returns what is new behind a row. ``on_end`` is told the type, the state and
    the seconds of each saga that ends from now on.
    """

    def __init__(
        self,
        saga_types: Collection[str],
        read: Callable[[int], News],
        on_end: Callable[[str, str, float], None],
    ) -> None:
        self._types = frozenset(saga_types)
        self._read = read
        self._on_end = on_end
        self._since = time.time() * 1000
        self._counts: Counter[tuple[str, str]] = Counter()
        self._read_at: float | None = None
        self._behind = 0
        self._recent: dict[int, None] = {}
        self._marks: deque[tuple[float, int]] = deque()

    def now(self) -> dict[tuple[str, str], int] | None:
        """Return the counts by saga type and state, None where they could never be read."""
        try:
            self._read_on()
        except StoreError:
            if self._read_at is None:
                return None
        return {(each, state): self._counts[each, state] for each in sorted(self._types) for state in COUNTED}

    def _read_on(self) -> None:
        at = time.time() * 1000
        news = self._read(self._behind)
        is_anew = self._read_at is None or self._lacks(news.changes)
        if is_anew and self._read_at is not None:
            news = self._read(0)
            self._counts.clear()
        for change in news.changes:
            is_new = change.row > self._behind and change.row not in self._recent
            if change.saga_type in self._types:
                self._count(change, is_anew=is_anew, is_new=is_new)
            self._recent[change.row] = None
        self._read_at = at
        self._forget(news.last, news.late_seconds)

    def _lacks(self, changes: Sequence[StateChange]) -> bool:
        """Whether sagas were pruned that may have had rows which were never read."""
        assert self._read_at is not None
        since = self._read_at - _MARGIN_MS
        return any(
            each.input == PRUNED and each.at >= since and each.row not in self._recent for each in changes
        )

    def _count(self, change: StateChange, *, is_anew: bool, is_new: bool) -> None:
        if change.input == PRUNED:
            if is_anew:  # else its rows were counted before they were removed
                self._count_pruned(change)
            return
        if is_anew or is_new:
            self._counts[change.saga_type, change.state] += 1
        if is_new and change.state in ("completed", "failed") and change.at >= self._since:
            self._on_end(change.saga_type, change.state, max(change.at - change.began, 0) / 1000)

    def _count_pruned(self, change: StateChange) -> None:
        """Count what a saga has gone through that has ended, and whose rows are gone."""
        passed = ["started", change.state, *(["compensating"] if change.state == "failed" else [])]
        for state in passed:
            self._counts[change.saga_type, state] += 1

    def _forget(self, newest: int, late_seconds: float) -> None:
        """Forget the rows behind which none becomes visible any more."""
        now = time.monotonic()
        if not self._marks or newest > self._marks[-1][1]:
            self._marks.append((now, newest))
        while self._marks and now - self._marks[0][0] >= late_seconds:
            self._behind = self._marks.popleft()[1]
        self._recent = {row: None for row in self._recent if row > self._behind}
