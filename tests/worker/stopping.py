"""The points at which a turn may stop, and a store and a log that come to them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

from choreo.ports import Publication, Taken

POINTS = (
    "before take",
    "after take",
    "before turn",
    "start of turn",
    "histories",
    "before savepoint",
    "end of savepoint",
    "append",
    "enqueue",
    "advance",
    "acknowledge",
    "end of turn",
    "after turn",
    "unpublished",
    "before publish",
    "after publish",
    "next_due",
)
"""Where a turn may stop: around each call of the store and of the log."""

IN_HANDLER = ("before the handler's statement", "after the handler's statement")


class Stop(Protocol):
    """What stops a worker; once it is over, the group has nothing more to say to it."""

    is_over: bool

    def pass_by(self, name: str) -> None:
        """Come to a point."""
        ...


class Stopping:
    """A store, or a log, that comes to a point with each call."""

    def __init__(self, target: Any, pause: Stop) -> None:
        self._target = target
        self._pause = pause

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        if name in ("db", "saga_log") or not callable(found):
            return found

        def call(*given: Any, **named: Any) -> Any:
            self._pause.pass_by(name)
            return found(*given, **named)

        return call

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Come to four points."""
        yield from self._block("turn", self._target.turn())

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Come to points around a handler."""
        yield from self._block("savepoint", self._target.savepoint())

    def _block(self, name: str, block: AbstractContextManager[None]) -> Iterator[None]:
        self._pause.pass_by(f"before {name}")
        with block:
            self._pause.pass_by(f"start of {name}")
            yield
            self._pause.pass_by(f"end of {name}")
        self._pause.pass_by(f"after {name}")

    def take(self, limit: int, wait: float) -> Taken:
        """Take what comes; once the pause is over, the group has nothing more to say."""
        if self._pause.is_over:
            return Taken((), {}, ())
        self._pause.pass_by("before take")
        taken = self._target.take(limit, wait)
        if taken.records:
            self._pause.pass_by("after take")
        return taken  # type: ignore[no-any-return]

    def publish(self, publications: Iterable[Publication]) -> None:
        """Come to the points around a publication."""
        given = list(publications)
        if given:
            self._pause.pass_by("before publish")
        self._target.publish(given)
        if given:
            self._pause.pass_by("after publish")
