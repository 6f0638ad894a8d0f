"""A participant's database: saga log, outbox, schedule, positions and dead letters, in one SQLite file.

It may be the file that the service keeps its own tables in, so that a handler's rows and choreo's are
committed together.
"""

from choreo.store.sqlite import SQLiteStore

__all__ = ["SQLiteStore"]
