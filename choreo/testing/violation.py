"""``Violation``: something happened that must not."""

from __future__ import annotations


class Violation(AssertionError):
    """Raised when a saga, or choreo itself, breaks a promise in a test."""


def require(holds: object, complaint: str) -> None:
    """Raise `Violation` with ``complaint`` where something does not hold."""
    if not holds:
        raise Violation(complaint)
