"""Asking the worker to settle letters, one by one."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Literal

import click

from choreo.cli import output
from choreo.cli.dlq.selection import Found

Objection = Callable[[Found], str]


def ask_for_all(
    letters: Sequence[Found],
    how: Literal["requeued", "discarded"],
    comment: str,
    dry_run: bool,
    objection: Objection = lambda found: "",
) -> int:
    """Settle letters; say of each what became of it, and give how many were left alone."""
    left = 0
    for found in letters:
        why = objection(found) or ("" if dry_run else _settle(found, how, comment))
        left += bool(why)
        if why:
            output.notice(f"{found.title}: left alone: {why}")
        else:
            click.echo(f"{found.title}: {'would be ' if dry_run else ''}{how}: {_what(found)}")
    if not letters:
        click.echo("no dead letters")
    return left


def _settle(found: Found, how: Literal["requeued", "discarded"], comment: str) -> str:
    from choreo.worker.dead_letters import settle

    done = settle(found.opened.store, found.letter, how, comment, time.time_ns() // 1_000_000)
    return "" if done else "somebody else was faster"


def _what(found: Found) -> str:
    letter = found.letter
    if not letter.saga_id:
        return f"the record at {letter.topic}[{letter.partition}]@{letter.offset}"
    return f"{letter.task} {letter.name} of saga {letter.saga_id}"
