"""The sessions of the ORM that ``Participant(…, session=…)`` declares, on the connection of a store."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from choreo.errors import ConfigurationError
from choreo.participant import Sessions


def sessions_of(
    declared: Any, url: str, driver: Callable[[], Any], cursor: type[Any] | None = None
) -> Sessions:
    """Return the sessions that handlers have: of SQLAlchemy, or of Django where an alias is declared.

    ``url`` says what kind of database it is, ``driver`` returns the store's connection that is open now, and
    ``cursor`` is the class of its cursors where these guard it. Raises `ConfigurationError` where the ORM
    can't be used.
    """
    orm = "django" if isinstance(declared, str) else "sqlalchemy"
    try:
        module = import_module(f"choreo.store.{orm}")
    except ImportError as error:
        raise ConfigurationError(
            f"session= needs {orm}, which can't be used here: {error}", hint=f"pip install {orm}"
        ) from None
    sessions: Sessions = module.sessions_of(declared, url, driver, cursor)
    return sessions
