"""``choreo graph``: prints the steps of each saga and what triggers them, as a table, a diagram or JSON."""

from __future__ import annotations

import click

from choreo.cli import output
from choreo.project.choreography import choreography_named
from choreo.project.manifests import manifest_from
from choreo.render.graph import as_json, dot, table
from choreo.render.mermaid import flowchart


@click.command(short_help="Draw the event graph of sagas.")
@click.argument("names", metavar="[MODULE|MANIFEST|FOLDER]...", nargs=-1)
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "mermaid", "dot", "json"]),
    default="table",
    show_default=True,
    help="A table of the steps, a flowchart for Markdown, Graphviz, or JSON.",
)
def graph(names: tuple[str, ...], form: str) -> None:
    """Draw the event graph of each saga: its steps, their triggers and their compensations.

    A saga whose versions differ has a graph for each of them.

    \b
    Examples:
      choreo graph shop
      choreo graph manifests --format mermaid
    """
    sagas = choreography_named(names, manifest_from).graphs
    if form == "json":
        output.json_text(as_json(sagas))
        return
    write = {"table": table, "mermaid": flowchart, "dot": dot}[form]
    output.page("\n\n".join(write(each) for each in sagas))
