"""``choreo sagas``: lists sagas with their states and what each of them waits for."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any, get_args

import click

from choreo.cli import output
from choreo.cli.options import Duration
from choreo.cli.sources import open_timelines, sources
from choreo.outcome import SagaState
from choreo.render.json import summary_data
from choreo.render.text import columns, summary_row
from choreo.timeline.selection import Filter, is_stuck
from choreo.timeline.timeline import Timeline

_STATES = get_args(SagaState)


@click.command(short_help="List sagas, their states, and what they wait for.")
@sources
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(_STATES),
    help="Only sagas in this state; may be repeated.",
)
@click.option("--type", "saga_type", default="", metavar="NAME", help="Only sagas of one type.")
@click.option(
    "--participant",
    default="",
    metavar="NAME",
    help="Only sagas that wait for one participant or, if they have ended, that it took part in.",
)
@click.option(
    "--older-than", type=Duration(), default=0, help="Only sagas that began at least so long ago, such as 2h."
)
@click.option(
    "--stuck",
    is_flag=True,
    help="Only sagas that have not ended and in which nothing happens; exits with 1 if there are any.",
)
@click.option(
    "--threshold",
    type=Duration(),
    default="10m",
    show_default=True,
    help="The time without any event after which a saga counts as stuck.",
)
@click.option(
    "--limit",
    type=click.IntRange(1),
    default=50,
    show_default=True,
    help="The largest number of sagas to list.",
)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.pass_context
def sagas(
    context: click.Context,
    /,
    states: tuple[str, ...],
    saga_type: str,
    participant: str,
    older_than: int,
    stuck: bool,
    threshold: int,
    limit: int,
    form: str,
    **_sources: Any,
) -> None:
    """List sagas, the latest first: the state of each, what it waits for, and which participant must act.

    With --stuck, or a --state that is not an end, the sagas without news for the longest time come first.
    The command reads participants' stores, whether their workers run or not, or the topics. It changes
    nothing.

    \b
    Examples:
      choreo sagas
      choreo sagas --stuck --threshold 30m
      choreo sagas --state compensating --participant payments --format json | jq '.[].saga_id'
      choreo sagas --topic --bootstrap kafka:9092 --graph shop
    """
    wanted = Filter(states, saga_type, participant, older_than, max(threshold, 1) if stuck else 0)
    with open_timelines(context) as timelines:
        found = list(islice(timelines.chosen(wanted), limit + 1))
    _show(found[:limit], threshold, form)
    if len(found) > limit and form == "text":
        output.notice(f"… and more: --limit shows more than {limit}")
    if stuck and found:
        context.exit(1)


def _show(timelines: Sequence[Timeline], threshold: int, form: str) -> None:
    if form == "json":
        data = [{**summary_data(each), "stuck": is_stuck(each, threshold)} for each in timelines]
        output.data(data)
        return
    if not timelines:
        output.line("no such sagas")
        return
    head = ("SAGA", "TYPE", "STATE", "AGE", "LAST", "WAITS FOR")
    for line in columns([head, *(summary_row(each) for each in timelines)]):
        output.line(line)
