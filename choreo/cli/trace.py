"""``choreo trace``: prints the timeline of one saga, merged from the stores of its participants."""

from __future__ import annotations

from typing import Any

import click

from choreo.cli import output
from choreo.cli.options import SagaId
from choreo.cli.sources import open_timelines, sources
from choreo.render.json import timeline_data
from choreo.render.text import lines


@click.command(short_help="Show a saga's timeline, across participants.")
@click.argument("saga_id", type=SagaId())
@sources
@click.option("--type", "saga_type", default="", metavar="NAME", help="Its type, where several have the id.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "mermaid", "html"]),
    default="text",
    show_default=True,
    help="Lines of text, JSON, a sequence diagram for Markdown, or an HTML page.",
)
@click.pass_context
def trace(context: click.Context, /, saga_id: str, saga_type: str, form: str, **_sources: Any) -> None:
    """Show the timeline of a saga across all participants, in the order of its topic.

    It shows what happened; what was refused, void, retried or compensated, and why; what the saga waits for,
    and which participant must act. The command reads participants' stores, whether their workers run or not,
    or the topic. It changes nothing.

    \b
    Examples:
      choreo trace order-4711
      choreo trace order-4711 --store /var/lib/orders.db --store /var/lib/payments.db
      choreo trace order-4711 --graph shop --format html > order-4711.html
      choreo trace order-4711 --topic --bootstrap kafka:9092 --graph shop
    """
    with open_timelines(context) as timelines:
        timeline = timelines.one(saga_id, saga_type)
    if form == "text":
        output.write_lines(lines(timeline))
    elif form == "json":
        output.data(timeline_data(timeline))
    elif form == "mermaid":
        # Text must come at once: what draws a diagram or a page is imported where one is asked for.
        from choreo.render.mermaid import sequence_diagram

        output.page(sequence_diagram(timeline))
    else:
        from choreo.render.html import page

        output.page(page(timeline).rstrip("\n"))
