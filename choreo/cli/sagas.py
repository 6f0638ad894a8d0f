"""``choreo sagas``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from heapq import merge
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

import click

from choreo.cli.accounts import Teller, accounts, telling
from choreo.cli.duration import Duration
from choreo.outcome import SagaState

if TYPE_CHECKING:
    from choreo.timeline.source import LastEntry
    from choreo.timeline.timeline import Timeline

_STATES = get_args(SagaState)
_ENDED = ("completed", "failed")


class Filter(NamedTuple):
    """What sagas must have in common; what is empty or zero matters not. Times are in milliseconds."""

    states: tuple[str, ...]
    saga_type: str
    participant: str
    older_than: int
    stuck_for: int

    @property
    def goes_on(self) -> bool:
        """Say whether only sagas that have not ended are meant."""
        return bool(self.stuck_for) or (bool(self.states) and not set(self.states).intersection(_ENDED))

    def may_admit(self, last: LastEntry, now: int) -> bool:
        """Say, by one store's last row alone, whether that store would admit a saga."""
        return (
            (not self.states or last.state in self.states)
            and self.saga_type in ("", last.saga_type)
            and last.time <= now - self.stuck_for
        )

    def admits(self, timeline: Timeline) -> bool:
        """Say whether a saga is meant."""
        return (
            (not self.states or timeline.state in self.states)
            and self.saga_type in ("", timeline.saga_type)
            and self.participant in ("", *concerned(timeline))
            and timeline.began <= timeline.now - self.older_than
            and (not self.stuck_for or is_stuck(timeline, self.stuck_for))
        )


def is_stuck(timeline: Timeline, after: int) -> bool:
    """Say whether nothing has happened for so many milliseconds, though the saga has not ended."""
    return not timeline.is_ended and timeline.now - timeline.last >= after


def concerned(timeline: Timeline) -> list[str]:
    """Give whom a saga waits for; once it has ended, who took part."""
    return list(timeline.participants) if timeline.is_ended else [wait.who for wait in timeline.waits]


@click.command(short_help="List sagas: where they stand, and what they wait for.")
@accounts
@click.option(
    "--state", "states", multiple=True, type=click.Choice(_STATES), help="Of a state; may be repeated."
)
@click.option("--type", "saga_type", default="", metavar="NAME", help="Of one type of saga.")
@click.option(
    "--participant",
    default="",
    metavar="NAME",
    help="That wait for one participant; of those that have ended, that it took part in.",
)
@click.option("--older-than", type=Duration(), default=0, help="That began so long ago, or longer: 2h.")
@click.option(
    "--stuck", is_flag=True, help="That have not ended, and in which nothing happens; exits with 1."
)
@click.option(
    "--threshold",
    type=Duration(),
    default="10m",
    show_default=True,
    help="How long nothing must have happened in a stuck saga.",
)
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="How many at most.")
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
    """List sagas, those that moved last first: where they stand, what they wait for, and who owes it.

    Of sagas that have not ended (--stuck, --state pending), those that moved longest ago come first. Reads
    participants' stores, whether their workers run or not, or the topics, and changes nothing.

    \b
    Examples:
      choreo sagas
      choreo sagas --stuck --threshold 30m
      choreo sagas --state compensating --participant payments --format json | jq '.[].saga_id'
      choreo sagas --topic --bootstrap kafka:9092 --graph shop
    """
    meant = Filter(states, saga_type, participant, older_than, max(threshold, 1) if stuck else 0)
    with telling(context) as teller:
        timelines = list(islice(_chosen(teller, meant), limit + 1))
    _show(timelines[:limit], threshold, form)
    if len(timelines) > limit and form == "text":
        click.echo(f"… and more: --limit shows more than {limit}", err=True)
    if stuck and timelines:
        context.exit(1)


def _chosen(teller: Teller, meant: Filter) -> Iterator[Timeline]:
    seen: set[str] = set()
    for head in _candidates(teller, meant):
        if head.saga_id not in seen and meant.may_admit(head, teller.now):
            seen.add(head.saga_id)
            yield from (timeline for timeline in teller.timelines(head.saga_id) if meant.admits(timeline))


def _candidates(teller: Teller, meant: Filter) -> Iterable[LastEntry]:
    """Give every store's sagas, merged by time: whoever has read furthest knows best how a saga stands."""
    if meant.goes_on:
        return merge(*(source.unended() for source in teller.sources), key=lambda head: head.time)
    return merge(*(source.latest() for source in teller.sources), key=lambda head: -head.time)


def _show(timelines: Sequence[Timeline], threshold: int, form: str) -> None:
    from choreo.render.json import summary_data

    if form == "json":
        data = [{**summary_data(each), "stuck": is_stuck(each, threshold)} for each in timelines]
        click.echo(json.dumps(data, indent=2, ensure_ascii=False))
        return
    if not timelines:
        click.echo("no such sagas")
        return
    from choreo.render.text import columns, summary_row

    head = ("SAGA", "TYPE", "STATE", "AGE", "LAST", "WAITS FOR")
    for line in columns([head, *(summary_row(each) for each in timelines)]):
        click.echo(line)
