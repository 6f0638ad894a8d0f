"""The options that select the dead letters that a command works on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from choreo.cli.options import Duration

F = TypeVar("F", bound=Callable[..., Any])


def filtered(function: F) -> F:
    """Declare the options of a `Filter`."""
    texts = [
        ("--saga", "ID", "Only those of one saga."),
        ("--type", "NAME", "Only those of sagas of one type."),
        ("--step", "NAME", "Only those of one step, deadline or observer."),
        ("--participant", "NAME", "Only those of one participant."),
        ("--reason", "WHY", "Only those with one reason, such as gave-up."),
        ("--event", "NAME", "Only those of one event type, with or without its namespace."),
    ]
    ages = [
        ("--older-than", "Only those that became dead letters at least so long ago, such as 2h."),
        ("--newer-than", "Only those that became dead letters less than so long ago."),
    ]
    options = [
        click.option(name, *_FIELD.get(name, ()), default="", metavar=metavar, help=text)
        for name, metavar, text in texts
    ] + [click.option(name, type=Duration(), metavar="SPAN", help=text) for name, text in ages]
    for option in reversed(options):
        function = option(function)
    return function


_FIELD = {"--type": ("saga_type",)}


participant = click.option(
    "--participant",
    default="",
    metavar="NAME",
    help="The participant whose dead letter it is, where several have that number.",
)
"""The option that chooses between letters of the same number."""
