"""The examples' matrices with their stores in PostgreSQL: ``STORE=postgresql pytest tests/examples``."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from choreo.store.opening import open_store
from choreo.testing import simulation
from choreo.testing.process import Process
from tests.postgresql.databases import empty
from tests.stores import address_of, in_postgresql, pooled, spell


@pytest.fixture(scope="session", autouse=in_postgresql())
def simulated_in_postgresql(stores_server: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Give each process of a simulation a database that no other one has open, and that is empty."""
    folder = tmp_path_factory.mktemp("simulated")
    free: list[str] = []
    made = iter(range(1_000_000))
    spell()

    def opened(_: Path | None, name: str) -> Any:
        address = free.pop() if free else address_of(folder / f"s{next(made)}.db")
        store = open_store(pooled(empty(address)), chance=random.Random(name).randbytes)
        close = store.close

        def closed() -> None:
            close()
            free.append(address)

        store.close = closed  # type: ignore[method-assign]
        return store

    ready = Process.is_ready.fget  # type: ignore[attr-defined]

    def is_ready(process: Process) -> bool:
        """Whether a turn would do anything; others may have asked for something meanwhile."""
        if process.store.changed():
            process.faulty_store.was_touched = True
        return bool(ready(process) or process.store.has_requests)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(simulation, "open_store", opened)
        patched.setattr(Process, "is_ready", property(is_ready))
        yield
