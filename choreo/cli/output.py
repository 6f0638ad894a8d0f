"""How the command line writes: one line for an error, colour on a terminal only."""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper

import click


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


def tolerate_narrow_encodings() -> None:
    """Let a terminal that knows no arrows show something else, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
