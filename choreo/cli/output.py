"""How the command line writes: one line for an error, colour on a terminal only."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from io import TextIOWrapper
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from choreo.render.text import Line

_TONES = {"good": "green", "bad": "red", "back": "yellow", "busy": "blue"}
"""The terminal's colours for the tones of a story."""


def colour() -> bool | None:
    """Say whether to colour: None leaves it to whether a terminal is there (https://no-color.org)."""
    return False if os.environ.get("NO_COLOR") else None


def error(message: str, hint: str = "") -> None:
    """Write an error on stderr, in one line."""
    text = f"{message} (hint: {hint})" if hint else message
    label = click.style("error:", fg="red", bold=True)
    click.echo(f"{label} {' '.join(text.split())}", err=True, color=colour())


def notice(message: str) -> None:
    """Write a line on stderr that is neither an error nor a log line."""
    click.echo(message, err=True, color=colour())


def tell(lines: Iterable[Line], indent: str = "") -> None:
    """Write the lines of a story, what matters in them in its colour."""
    for line in lines:
        before, part, after = line.text.partition(line.part) if line.part else (line.text, "", "")
        coloured = click.style(part, fg=_TONES.get(line.tone)) if part else ""
        click.echo(f"{indent}{before}{coloured}{after}")


def counted(number: int, noun: str) -> str:
    """Give a number with its noun.

    >>> counted(1, "saga"), counted(2_000, "saga")
    ('1 saga', '2,000 sagas')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def tolerate_narrow_encodings() -> None:
    """Let a terminal that knows no arrows show something else, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
