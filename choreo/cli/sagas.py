"""``choreo sagas``: lists sagas with their states and what each of them waits for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
    help="Only sagas that have not ended and do not move; exits with 1 if there are any.",
)
@click.option(
    "--threshold",
    type=Duration(),
    default="10m",
    show_default=True,
    help="The time without any transition after which a saga counts as stuck: a further attempt is none. "
    "One that is ahead of the clock by more than a minute counts, too: for how long can't be told.",
)
@click.option(
    "--unended",
    is_flag=True,
    help="Only sagas that have not ended, those first that have not moved for longest.",
)
@click.option(
    "--version", type=click.IntRange(1), default=None, metavar="N", help="Only sagas of one version."
)
@click.option(
    "--needing",
    default="",
    metavar="NAME",
    help="Only sagas that have not ended and may still call a participant: they wait for it, it has done "
    "what may be undone or, where the graph is known, it has a step to come.",
)
@click.option("--count", is_flag=True, help="Tell only how many there are, whatever --limit says.")
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
    unended: bool,
    version: int | None,
    needing: str,
    count: bool,
    limit: int,
    form: str,
    **_sources: Any,
) -> None:
    """List sagas, the latest first: the state of each, what it waits for, and which participant must act.

    With --stuck, --unended, --needing, or a --state that is not an end, those that moved longest ago
    come first. The command reads participants' stores, whether their workers run or not, or the topics. It
    changes nothing.

    \b
    Examples:
      choreo sagas
      choreo sagas --stuck --threshold 30m
      choreo sagas --state compensating --participant payments --format json | jq '.[].saga_id'
      choreo sagas --unended --version 1 --count
      choreo sagas --needing payments --graph shop
      choreo sagas --topic --bootstrap kafka:9092 --graph shop
    """
    stuck_for = max(threshold, 1) if stuck else 0
    wanted = Filter(states, saga_type, participant, older_than, stuck_for, version or 0, unended, needing)
    with open_timelines(context) as timelines:
        if count:
            number = timelines.count(wanted)
            output.line(str(number))
        else:
            number = _list(timelines.chosen(wanted), limit, threshold, form)
    if stuck and number:
        context.exit(1)


def _list(chosen: Iterator[Timeline], limit: int, threshold: int, form: str) -> int:
    """List sagas, and return how many; one more than the limit where there are more."""
    found = list(islice(chosen, limit + 1))
    _show(found[:limit], threshold, form)
    if len(found) > limit and form == "text":
        output.notice(f"… and more: --limit shows more than {limit}, and --count tells how many there are")
    return len(found)


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
