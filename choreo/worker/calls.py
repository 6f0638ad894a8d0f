"""Calls: handlers that run outside of any transaction, while turns go on."""

from __future__ import annotations

from choreo.worker.call import Call, Finished, Runner


class Calls:
    """The calls that are out, ``limit`` at most; for the worker's thread. ``runner`` runs them.

    Where it is not ``is_open``, none begins: a test kit decides when.
    """

    def __init__(self, limit: int, runner: Runner) -> None:
        self.is_open = True
        self._limit = limit
        self._runner = runner
        self._out: dict[Call, None] = {}
        self._cut: set[Call] = set()

    @property
    def room(self) -> int:
        """How many more may start; one that was cut takes its place until it has really ended."""
        return self._limit - len(self._out) - len(self._cut) if self.is_open else 0

    @property
    def are_out(self) -> bool:
        """Whether any result is waited for."""
        return bool(self._out)

    @property
    def have_finished(self) -> bool:
        """Whether there are results to take."""
        return bool(self._runner.finished)

    @property
    def next_limit(self) -> int | None:
        """The time at which the first call has lasted too long, in milliseconds since the epoch."""
        limits = (call.limit.until for call in self._out)
        return min((until + 1 for until in limits if until is not None), default=None)

    def start(self, call: Call) -> None:
        """Let a call go."""
        self._out[call] = None
        self._runner.start(call)

    def take(self, most: int) -> list[Finished]:
        """Give results that have come, ``most`` at most; what was cut is forgotten."""
        taken: list[Finished] = []
        while self._runner.finished and len(taken) < most:
            finished = self._runner.finished.popleft()
            if finished.call in self._out:
                del self._out[finished.call]
                taken.append(finished)
            self._cut.discard(finished.call)
        return taken

    def extended(self) -> list[Call]:
        """Give the calls that have asked for more time."""
        return [call for call in self._out if call.limit.asked]

    def overdue(self, now: int) -> list[Call]:
        """Give the calls that have lasted too long."""
        return [call for call in self._out if call.limit.until is not None and now > call.limit.until]

    def cut(self, call: Call) -> None:
        """Wait for a call no longer: a coroutine is cancelled, a thread's result will be ignored."""
        del self._out[call]
        self._cut.add(call)
        call.limit.is_over = True
        self._runner.cancel(call)

    def stop(self, seconds: float) -> None:
        """Cancel what can be, and wait ``seconds`` at most until it has ended; abandon the rest."""
        self._out.clear()
        self._runner.stop(seconds)
