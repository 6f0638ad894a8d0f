"""``Budget``: how much may go wrong by choice."""

from __future__ import annotations

from typing import NamedTuple


class Budget(NamedTuple):
    """How much may go wrong by choice: processes that crash, records that come twice, actions that fail, and
    moments at which time passes although there is work."""

    crashes: int = 0
    repeats: int = 0
    failures: int = 0
    leaps: int = 0

    def without(self, name: str) -> Budget:
        """Give what is left once one of these has happened."""
        return self._replace(**{name: getattr(self, name) - 1})


NOTHING = Budget()
