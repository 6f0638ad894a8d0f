"""``choreo rule``: prints the page of one rule of ``choreo verify``, or a list of all rules."""

from __future__ import annotations

from difflib import get_close_matches

import click

from choreo.cli import output
from choreo.errors import ConfigurationError
from choreo.verify.rules import RULES


@click.command(short_help="Explain a rule of verify.")
@click.argument("name", metavar="[ID]", default="")
def rule(name: str) -> None:
    """Explain a rule of `choreo verify`: what it finds, why that is bad, how to fix it; without ID, list all.

    \b
    Examples:
      choreo rule
      choreo rule CHO204
    """
    known = {each.id: each for each in RULES}
    if not name:
        for each in RULES:
            output.line(f"{each.id}  {each.name:<28} {each.level:<8} {each.summary}")
        return
    by_name = {each.name: each.id for each in RULES}
    wanted = by_name.get(name.lower(), name.upper())
    if wanted not in known:
        close = get_close_matches(wanted, known, 1) or get_close_matches(name.lower(), by_name, 1)
        raise ConfigurationError(
            f"there is no rule {name}",
            hint=f"did you mean {close[0]}?" if close else "`choreo rule` lists all",
        )
    output.page(f"{wanted} {known[wanted].page}")
