"""``connect``: gives a participant its store, in a process that is not (only) its worker."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from choreo.avro import AvroCodec
from choreo.participant import Participant
from choreo.store import SQLiteStore
from choreo.worker.clock import SystemClock
from choreo.worker.connection import StoreConnection


def connect(participant: Participant, store: str | Path, *, schemas: Sequence[str | Path] = ()) -> None:
    """Give a participant its store, so that ``participant.transaction()`` can open it.

    ``store`` is the path of the SQLite database, the same that its worker is run with; it is made where
    it does not exist. Each thread gets a connection of its own, at its first transaction. Raises
    `StoreError` when the database can't be used, at that transaction.

    >>> import tempfile
    >>> from examples.orders.orders import orders
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     connect(orders, f"{folder}/orders.db")
    """
    codec = AvroCodec(participant.events, [Path(folder) for folder in schemas])
    participant.connect(StoreConnection(participant, lambda: SQLiteStore(store), codec, SystemClock()))
