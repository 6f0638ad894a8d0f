"""``choreo rule``."""

from __future__ import annotations

from difflib import get_close_matches

import click

from choreo.errors import ConfigurationError


@click.command(short_help="Explain a rule of verify.")
@click.argument("name", metavar="[ID]", default="")
def rule(name: str) -> None:
    """Explain a rule of `choreo verify`: what it finds, why that is bad, the mend; without ID, list all.

    \b
    Examples:
      choreo rule
      choreo rule CHO204
    """
    from choreo.verify.rules import RULES, id_of, name_of, page_of

    known = {id_of(each): each for each in RULES}
    if not name:
        for each in sorted(known):
            click.echo(f"{each}  {name_of(known[each])}")
        return
    wanted = name.upper()
    by_name = {name_of(each): key for key, each in known.items()}
    wanted = by_name.get(name.lower(), wanted)
    if wanted not in known:
        close = get_close_matches(wanted, known, 1)
        raise ConfigurationError(
            f"there is no rule {name}",
            hint=f"did you mean {close[0]}?" if close else "`choreo rule` lists all",
        )
    click.echo(f"{wanted} {page_of(known[wanted])}")
