"""Who works on a store: whoever claimed it last. Others that claimed it before may not write any more.

A fencing token (Kleppmann, "How to do distributed locking", 2016), kept where it fences: the positions'
compare-and-set finds a replaced worker only once it folds a record, and one that was paused may have the
result of a call in hand, or find something due, before it reads anything.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from choreo.errors import Fenced

_TAKE = "UPDATE choreo_store SET claimed_by = ?"
_HELD = "SELECT claimed_by FROM choreo_store"


class Claim:
    """One connection's claim on its store; one that never claimed it is never refused."""

    def __init__(self, connection: sqlite3.Connection, chance: Callable[[int], bytes]) -> None:
        self._connection = connection
        self._chance = chance
        self._token = ""

    def take(self) -> None:
        """Claim the store, in the open transaction: were that undone, we would be refused, too."""
        self._token = self._chance(16).hex()
        self._connection.execute(_TAKE, (self._token,))

    def check(self) -> None:
        """Raise `Fenced` where another worker has claimed the store after us."""
        if self._token and self._connection.execute(_HELD).fetchone()[0] != self._token:
            raise Fenced(
                "another worker has taken this store over", hint="a store serves one worker: stop one of them"
            )
