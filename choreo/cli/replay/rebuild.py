"""``choreo replay rebuild``: rebuilds the lost store of a participant from the sagas' topics."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import click

from choreo.avro import AvroCodec
from choreo.cli import options, output
from choreo.cli.replay.releases import releases_in
from choreo.cli.replay.subject import target
from choreo.cli.sources import now
from choreo.cli.store import give_group
from choreo.errors import LogError
from choreo.kafka.topic_reader import TopicReader
from choreo.participant import Participant
from choreo.ports import Store
from choreo.project.lock import derived
from choreo.project.modules import load_participant
from choreo.replay.databases import draft_store
from choreo.replay.observers import observe
from choreo.replay.rebuild import Rebuilt
from choreo.replay.rebuild import rebuild as rebuild_store
from choreo.store.opening import is_address, open_store, shown


@click.command(short_help="Rebuild a lost store from the topics.")
@target
@options.store
@options.cluster
@options.start
@click.option(
    "--backup",
    type=Path,
    metavar="FILE",
    help="A copy of the lost file from an earlier day, or of the service's own tables, to begin with.",
)
@click.option(
    "--releases",
    "given",
    multiple=True,
    metavar="FILE[@TIME]",
    help="What the lost store's workers ran with: the JSON of `choreo releases list`, an export of the saga "
    "log, or manifests, oldest first, each but the first with the local time of its deploy; may be repeated.",
)
@click.option("--observers", is_flag=True, help="Run the observers on all events, into empty tables.")
@options.schemas
@click.option("--dry-run", is_flag=True, help="Do it in a temporary file, and only show the result.")
@click.pass_context
def rebuild(
    context: click.Context,
    /,
    target: str,
    store: str,
    start: options.Start,
    backup: Path | None,
    given: tuple[str, ...],
    observers: bool,
    schemas: str | None,
    dry_run: bool,
    **_cluster: Any,
) -> None:
    """Rebuild the store of a participant that lost its database: its saga log, positions and schedule.

    The topics are folded into a new file. No handler runs: the outcomes that the participant has published
    are taken from the topics and marked as rebuilt; work that has no outcome there is put on the schedule,
    and done once the worker runs. With --releases each record is folded by what was declared then, else all
    by today's declarations; a saga with an outcome that these don't explain is in quarantine, with a dead
    letter. The service's own tables are in no topic: restore them from their own backup, or name one with
    --backup. If the command is interrupted, run it again: it continues. Exits with 1 if the events of a saga
    contradict each other.

    \b
    Examples:
      choreo replay rebuild shop.orders:orders --bootstrap kafka:9092 --store orders.db
      choreo replay rebuild shop.orders:orders --bootstrap kafka:9092 --backup monday.db --dry-run
      choreo replay rebuild shop.orders:orders --bootstrap kafka:9092 --releases orders-releases.json
    """
    participant = derived(load_participant(target))
    cluster = options.chosen_cluster(context)
    releases = releases_in(participant.name, given)
    path = store.replace("{participant}", participant.name)
    is_file = not is_address(path)
    with (
        output.quiet("choreo.kafka"),
        TopicReader(cluster.bootstrap, participant.topics, cluster.kafka) as reader,
        # The topics don't show which events observers have handled: with them the rebuild starts again.
        draft_store(path, backup, anew=observers, dry_run=dry_run) as opened,
    ):
        records = sum(each.high - each.low for each in reader.partitions)
        with output.bar("reading the topics", 2 * records) as bar:
            result = rebuild_store(
                *(participant, opened, reader, now()), start=start, releases=releases, progress=bar.update
            )
        seen = _observe(participant, opened, schemas) if observers and is_file else None
        store_id = opened.store_id
    if observers and not is_file and not dry_run:
        with closing(open_store(path)) as rebuilt:
            seen = _observe(participant, rebuilt, schemas)
    _show(participant, result, seen, shown(path), backup, dry_run, by_releases=bool(releases))
    if not dry_run:
        _claim(participant, store_id, cluster)
    context.exit(1 if result.left else 0)


def _claim(participant: Participant, store_id: str, cluster: options.Cluster) -> None:
    """Let the rebuilt store have the participant's consumer group, or name the command for later."""
    try:
        give_group(participant, store_id, cluster)
    except LogError as error:
        output.notice(f"the consumer group is not yet the rebuilt store's: {error}; then: choreo store claim")


def _observe(participant: Participant, store: Store, schemas: str | None) -> int:
    codec = AvroCodec(participant.events, [Path(schemas or "schemas")])
    with output.bar("running the observers", store.saga_log.last_id) as bar:
        return observe(participant, store, codec, bar.update)


def _show(
    participant: Participant,
    result: Rebuilt,
    seen: int | None,
    path: str,
    backup: Path | None,
    dry_run: bool,
    *,
    by_releases: bool,
) -> None:
    counts = result.counts
    done = "would be rebuilt" if dry_run else "rebuilt"
    output.line(
        f"{participant.name}: {path} {done} from {', '.join(participant.topics)}: {counts['events']} events, "
        f"{counts['own outcomes']} of them its own, taken as decided"
    )
    if counts["unreadable records"]:
        output.line(f"  {counts['unreadable records']} records can't be read: see `choreo dlq list`")
    if counts["foreign outcomes"]:
        hint = "" if by_releases else "; were they of other releases? see --releases"
        output.line(
            f"  {counts['foreign outcomes']} outcomes are explained by nothing: see `choreo dlq list`{hint}"
        )
    if counts["forgotten"]:
        output.line(
            f"  {counts['forgotten']} of its events are of sagas whose beginning the topics have lost"
        )
    for work, count in sorted(result.due.items()):
        output.line(f"  to be done once the worker runs: {work}, {count} sagas")
    if seen is not None:
        output.line(f"  observers: {seen} runs")
    for each in result.left:
        output.notice(f"  does not fit together: {each}")
    if backup is None:
        own = "the service's own tables are in no topic: restore them from a backup before the worker starts"
    else:
        own = (
            f"the service's own tables are those of {backup}: what handlers wrote after it is in no topic; "
            "bring them up to date before the worker starts"
        )
    output.line(own)
