"""How far a long piece of work is: on a terminal, on stderr; nothing where nobody looks."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

import click

T = TypeVar("T")


def progress(things: Iterable[T], label: str, length: int | None = None) -> Iterator[T]:
    """Give things back one by one, and show how many there were."""
    with click.progressbar(
        things,
        length=length,
        label=label,
        show_pos=True,
        file=sys.stderr,
        hidden=not sys.stderr.isatty(),
        update_min_steps=100,
    ) as bar:
        yield from bar
