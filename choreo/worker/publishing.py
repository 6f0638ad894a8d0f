"""``Publishing``: publishes what is in the outbox, in its order, as far as the log has room for it."""

from __future__ import annotations

from collections.abc import Sequence

from choreo.ports import Log, Store, Taken
from choreo.records import Unpublished
from choreo.worker.options import Options
from choreo.worker.outbox import publications
from choreo.worker.starts import WaitingStarts


class Publishing:
    """Publishes the outbox of one worker; ``in_flight`` are the rows that the log has not answered yet.

    A row's number says nothing about when it was committed by another worker. So what is unpublished is read
    from the beginning after each handover; in between, all rows are this worker's own.
    """

    def __init__(self, participant: str, store: Store, records: Log, options: Options) -> None:
        self.in_flight: set[int] = set()
        self._store = store
        self._log = records
        self._options = options
        self._starts = None if options.starts else WaitingStarts(participant, store)
        self._participant = participant
        self._read = 0

    def note(self, taken: Taken) -> None:
        """Note what was taken from the log: its answers, and records of sagas whose start waits."""
        if self._starts is not None:
            self._starts.note(taken.records)
        self.in_flight.difference_update(taken.acknowledged)
        if taken.refused:
            self.in_flight.difference_update(each.seq for each in taken.refused)

    def publish(self, *, is_behind: bool) -> None:
        """Publish what other processes have asked for, and the outbox.

        ``is_behind`` is whether records wait to be processed.
        """
        if self._store.has_requests:
            with self._store.turn():
                self._store.take_up(self._options.turn_items)
        if self._starts is not None and not is_behind:
            self._send(self._starts.let_go())
        while (room := self._options.in_flight - len(self.in_flight)) > 0:
            limit = min(room, self._options.turn_items)
            rows = self._store.unpublished(self._read, limit)
            if rows:
                self._read = rows[-1].seq
                self._send(rows if self._starts is None else self._starts.sift(rows))
            if len(rows) < limit or self._starts is not None:
                break

    def flush(self, seconds: float) -> Sequence[int]:
        """Wait a while for what is in flight, and return the rows that were acknowledged."""
        acknowledged = self._log.flush(seconds)
        self.in_flight.difference_update(acknowledged)
        return acknowledged

    def begin_anew(self) -> None:
        """Begin again, after a handover, with what is unpublished in the worker's partitions."""
        if not self._store.serves_one:
            self._read = 0
            if self._starts is not None:
                self._starts = WaitingStarts(self._participant, self._store)

    def say(self) -> None:
        """Log how many starts wait, where their number has changed."""
        if self._starts is not None:
            self._starts.say()

    def _send(self, rows: Sequence[Unpublished]) -> None:
        new = [row for row in rows if row.seq not in self.in_flight] if self.in_flight else rows
        self._log.publish(publications(new))
        self.in_flight.update([row.seq for row in new])
