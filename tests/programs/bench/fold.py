"""Folding saga logs again: how many rows a second, compared one by one, and with their reading."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from choreo.participant import Participant
from choreo.protocol.recorded_inputs import rebuild
from choreo.records import Entry
from choreo.replay.fold import Replay
from choreo.store.sqlite.store import SQLiteStore
from choreo.testing.broker import MemoryBroker
from tests.broker.any_broker import InMemoryBroker
from tests.scenarios.shop import PARTICIPANTS, Shop, scenarios

Recorded = list[tuple[Participant, list[list[Entry]]]]


def measure(folder: Path, sagas: int, repeats: int) -> dict[str, Any]:
    """Record orders of all kinds at five participants, and fold what was recorded; the median of repeats.

    ``rows_per_s`` is `Replay`, which compares each row; ``rebuilt_per_s`` is `rebuild`, as the worker folds
    what it does not remember; ``read_per_s`` is `Replay` with the reading from the participants' stores.
    Seconds are those of the processor, so that a busy machine counts for little: it is one thread.
    """
    memory = InMemoryBroker()
    memory.broker = MemoryBroker()
    shop = Shop(memory, folder)
    ids = [shop.place(each.order) for number in range(sagas // 5) for each in scenarios(f"o{number}")]
    shop.until_quiet(ids, 300)
    stores = shop.stores
    recorded = [
        (each, [list(stores[each.name].history(saga_id)) for saga_id in ids]) for each in PARTICIPANTS
    ]
    rows = sum(len(entries) for _, histories in recorded for entries in histories)
    runs: dict[str, Callable[[], None]] = {
        "rows_per_s": lambda: _replay(recorded),
        "rebuilt_per_s": lambda: _rebuild(recorded),
        "read_per_s": lambda: _read(stores, ids),
    }
    figures = {
        name: round(median(rows / _seconds(run) for _ in range(repeats))) for name, run in runs.items()
    }
    shop.close()
    return {"bench": "fold", **figures, "rows": rows, "sagas": len(ids)}


def _seconds(run: Callable[[], None]) -> float:
    begun = time.process_time()
    run()
    return time.process_time() - begun


def _replay(recorded: Recorded) -> None:
    for participant, histories in recorded:
        (role,) = participant.roles().values()
        for entries in histories:
            replay = Replay(role)
            for entry in entries:
                replay.fold(entry)
            assert not replay.close()


def _rebuild(recorded: Recorded) -> None:
    for participant, histories in recorded:
        (role,) = participant.roles().values()
        for entries in histories:
            rebuild(role, entries)


def _read(stores: dict[str, SQLiteStore], ids: list[str]) -> None:
    _replay(_recorded(stores, ids))


def _recorded(stores: dict[str, SQLiteStore], ids: list[str]) -> Recorded:
    return [(each, [list(stores[each.name].history(name)) for name in ids]) for each in PARTICIPANTS]
