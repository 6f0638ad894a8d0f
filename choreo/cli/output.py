"""Writes the output of commands: lines on stderr, colour on a terminal only, progress bars, logging."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from choreo.render.text import Line

T = TypeVar("T")

LEVELS = ("debug", "info", "warning", "error")
"""How much a process may log."""

_FORMAT = "%(asctime)s.%(msecs)03d %(levelname)s %(message)s"

_TONES = {"good": "green", "bad": "red", "back": "yellow", "busy": "blue"}
"""The terminal's colours for the tones of a timeline."""


def colour() -> bool | None:
    """Return False where NO_COLOR is set (https://no-color.org), else None: click colours on a terminal."""
    return False if os.environ.get("NO_COLOR") else None


def error(message: str, hint: str = "") -> None:
    """Write an error on stderr, in one line."""
    text = f"{message} (hint: {hint})" if hint else message
    label = click.style("error:", fg="red", bold=True)
    click.echo(f"{label} {' '.join(text.split())}", err=True, color=colour())


def notice(message: str) -> None:
    """Write a line on stderr that is neither an error nor a log line."""
    click.echo(message, err=True, color=colour())


def write_lines(lines: Iterable[Line], indent: str = "") -> None:
    """Write the lines of a timeline, each with its important part in the colour of its tone."""
    for line in lines:
        before, part, after = line.text.partition(line.part) if line.part else (line.text, "", "")
        coloured = click.style(part, fg=_TONES.get(line.tone)) if part else ""
        click.echo(f"{indent}{before}{coloured}{after}")


def counted(number: int, noun: str) -> str:
    """Return a number with its noun.

    >>> counted(1, "saga"), counted(2_000, "saga")
    ('1 saga', '2,000 sagas')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def bar(label: str, length: int) -> AbstractContextManager[Any]:
    """Return click's progress bar on stderr, hidden where that is no terminal."""
    return click.progressbar(length=length, label=label, file=sys.stderr, hidden=not sys.stderr.isatty())


def progress(things: Iterable[T], label: str, length: int | None = None) -> Iterator[T]:
    """Yield things one by one, and show their number on a terminal."""
    with click.progressbar(
        things,
        length=length,
        label=label,
        show_pos=True,
        file=sys.stderr,
        hidden=not sys.stderr.isatty(),
        update_min_steps=100,
    ) as shown:
        yield from shown


def set_up_logging(level: str) -> None:
    """Log to stderr with time and level, unless the participant's own module has set logging up already."""
    logging.basicConfig(level=level.upper(), format=_FORMAT, datefmt="%Y-%m-%dT%H:%M:%S")


@contextmanager
def quiet(name: str) -> Iterator[None]:
    """Silence a logger inside the block, as errors there are raised and reported in one line."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(before)


def tolerate_narrow_encodings() -> None:
    """Replace characters that the terminal's encoding lacks, such as arrows, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
