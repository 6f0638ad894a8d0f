"""The options that select the dead letters that a command works on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def filtered(function: F) -> F:
    """Declare the options of a `Filter`."""
    options = [
        click.option("--saga", default="", metavar="ID", help="Only those of one saga."),
        click.option(
            "--step", default="", metavar="NAME", help="Only those of one step, deadline or observer."
        ),
        click.option("--participant", default="", metavar="NAME", help="Only those of one participant."),
        click.option(
            "--reason", default="", metavar="WHY", help="Only those with one reason, such as gave-up."
        ),
    ]
    for option in reversed(options):
        function = option(function)
    return function


participant = click.option(
    "--participant",
    default="",
    metavar="NAME",
    help="The participant whose dead letter it is, where several have that number.",
)
"""The option that chooses between letters of the same number."""
