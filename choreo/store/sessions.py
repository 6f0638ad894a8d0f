"""The sessions of the ORM that ``Participant(…, session=…)`` declares, on the connection of a store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from choreo.errors import ConfigurationError
from choreo.participant.context import Sessions


def sessions_of(declared: Any, url: str, driver: Callable[[], Any]) -> Sessions:
    """Return the sessions that handlers have; ``driver`` returns the store's connection that is open now.

    Raises `ConfigurationError` where the ORM can't be used.
    """
    try:
        from choreo.store.sqlalchemy import SQLAlchemySessions
    except ImportError as error:
        raise ConfigurationError(
            f"session= needs SQLAlchemy 2, which can't be used here: {error}", hint="pip install sqlalchemy"
        ) from None
    return SQLAlchemySessions(declared, url, driver)
