"""A participant's database: saga log, outbox, schedule, positions and dead letters, in one SQLite file.

It may be the file that the service keeps its own tables in, so that a handler's rows and choreo's are
committed together.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from choreo.store.sqlite.store import SQLiteStore

__all__ = ["SQLiteStore"]


def __getattr__(name: str) -> Any:
    # A command that only reads must not load what a worker writes with: it shows in how soon it answers.
    if name == "SQLiteStore":
        from choreo.store.sqlite.store import SQLiteStore

        return SQLiteStore
    raise AttributeError(f"module 'choreo.store.sqlite' has no attribute {name!r}")
