"""``connect``: gives a participant its store, in a process that is not (only) its worker."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from choreo.avro import AvroCodec
from choreo.participant import Participant
from choreo.store import SQLiteStore
from choreo.worker.clock import SystemClock
from choreo.worker.connection import StoreConnection
from choreo.worker.lock import derive_by


def connect(
    participant: Participant,
    store: str | Path,
    *,
    schemas: Sequence[str | Path] = (),
    lock: str | Path | None = None,
) -> None:
    """Give a participant its store, so that ``participant.transaction()`` can open it.

    ``store`` is the path of the SQLite database, the same that its worker is run with; it is made where
    it does not exist. Each thread gets a connection of its own, at its first transaction. ``lock`` is the
    path of ``choreography.json``, for a participant whose compensations name no event.

    Raises `StoreError` when the database can't be used, at that transaction; `DeclarationError` for a
    compensation that nothing calls, `ManifestError` for a lock that can't be read.

    >>> import tempfile
    >>> from examples.orders.orders import orders
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     connect(orders, f"{folder}/orders.db")
    """
    if lock is not None:
        derive_by(Path(lock), participant)
    codec = AvroCodec(participant.events, [Path(folder) for folder in schemas])
    participant.connect(StoreConnection(participant, lambda: SQLiteStore(store), codec, SystemClock()))
