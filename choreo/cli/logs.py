"""Logging of a participant's process: to stderr, with time and level."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

LEVELS = ("debug", "info", "warning", "error")

_FORMAT = "%(asctime)s.%(msecs)03d %(levelname)s %(message)s"


def set_up(level: str) -> None:
    """Log to stderr, unless the participant's own module has set logging up already."""
    logging.basicConfig(level=level.upper(), format=_FORMAT, datefmt="%Y-%m-%dT%H:%M:%S")


@contextmanager
def quiet(name: str) -> Iterator[None]:
    """Silence a logger for a while: what goes wrong meanwhile is raised, and one line is enough."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(before)
