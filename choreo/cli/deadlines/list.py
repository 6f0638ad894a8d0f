"""``choreo deadlines list``: prints what time limits of a saga run, and when they pass."""

from __future__ import annotations

from collections.abc import Sequence

import click

from choreo.cli import output
from choreo.cli.deadlines.change import of_saga
from choreo.cli.sources import now
from choreo.operations.deadlines import Listed, deadlines_of_saga
from choreo.operations.stores import open_tables
from choreo.render.text import columns
from choreo.render.wording import iso_time, span


@click.command("list", short_help="List the deadlines of a saga that run.")
@of_saga
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def list_deadlines(saga_id: str, stores: Sequence[str], participant: str, saga_type: str, form: str) -> None:
    """List the deadlines of a saga that run, the first due first, and the step that each is of.

    A step's own timeout is listed while the step is called, or waits to be; its handler alone moves it.

    \b
    Examples:
      choreo deadlines list order-42
      choreo deadlines list order-42 --format json | jq '.[].due'
    """
    with open_tables(stores) as readers:
        found = deadlines_of_saga(readers, saga_id, participant, saga_type)
    if form == "json":
        output.data([each.as_json() for each in found])
    elif not found:
        output.line("no deadlines")
    else:
        head = ("PARTICIPANT", "DEADLINE", "OF", "DUE", "")
        for line in columns([head, *(_row(each) for each in found)]):
            output.line(line)


def _row(found: Listed) -> tuple[str, ...]:
    deadline = found.deadline
    left = deadline.due - now()
    when = f"in {span(left)}" if left > 0 else f"due for {span(-left)}"
    name = "its own timeout" if deadline.is_own else deadline.name
    return found.participant, name, deadline.step, iso_time(deadline.due), when
