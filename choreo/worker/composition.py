"""``open_worker``: a participant's worker with its adapters, from the path of its store and a log."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from choreo.avro import AvroCodec
from choreo.errors import SchemaError
from choreo.participant import Participant
from choreo.ports import Clock, Log, Store
from choreo.store import opening
from choreo.worker.clock import SystemClock
from choreo.worker.loop import Worker
from choreo.worker.options import Options
from choreo.worker.patience import Patience

_BUSY_SECONDS = 1.0
"""How long a worker waits for another writer before it looks after its group, and waits again."""


def open_store(participant: str, place: str | Path) -> Store:
    """Return the store of a participant's worker; wait while it is locked, full or failing."""
    patience = Patience(participant, SystemClock(), threading.Event())
    return patience.until_done(lambda: opening.open_store(place, busy_timeout=_BUSY_SECONDS))


@contextmanager
def open_worker(
    participant: Participant,
    store: str | Path,
    records: Log,
    *,
    schemas: Sequence[str | Path] = (),
    clock: Clock | None = None,
    options: Options | None = None,
) -> Iterator[Worker]:
    """Yield a participant's worker, not started yet; its store is closed at the end of the block.

    ``store`` is the path of an SQLite database, which is created where it does not exist, or the address of a
    PostgreSQL database (``postgresql://…``), whose tables must be there. ``schemas`` are folders with the
    schemas of other versions of the events. The worker must run in the thread that opens it. `Worker.run`
    closes the log. Raises `StoreError` when the database can't be used, `SchemaError` for an unusable schema,
    `DeclarationError` for an action that lacks its compensation.
    """
    opened = open_store(participant.name, store)
    try:
        codec = AvroCodec(participant.events, [Path(folder) for folder in schemas])
        if codec.ambiguous:
            raise SchemaError(codec.ambiguous[0], hint="choreo schemas check lists what to do")
        yield Worker(participant, opened, records, codec, clock or SystemClock(), options or Options())
    finally:
        opened.close()
