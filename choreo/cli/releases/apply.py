"""``choreo releases apply``: has what is newly declared done for sagas that are past what calls it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from itertools import islice

import click

from choreo.cli import options, output
from choreo.cli.log.erase import yes_option
from choreo.cli.output import counted
from choreo.cli.stores import stores
from choreo.cli.topic_source import bodies_of
from choreo.errors import ConfigurationError
from choreo.manifest import Manifest
from choreo.operations.stores import Opened, open_stores
from choreo.records import Entry, SagaKey
from choreo.release import declared_in
from choreo.replay.newly_declared import Missed, identity_in, missed_in, missing_bodies, take_up
from choreo.store.opening import open_reader

_AT_ONCE = 100
"""The sagas of one turn of the store."""

_COMMENT = "choreo releases apply"

_WHAT = {
    "run": "would run it",
    "refused": "would have it refused, as the saga is aborted",
    "undo": "would be compensated",
    "armed": "would arm it, from the time of the event",
    "observe": "would show it an event",
}


@click.command(short_help="Have done what is newly declared.")
@click.argument("name", metavar="STEP")
@stores
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]),
    metavar="TIME",
    help="Only sagas that began since then (local time).",
)
@options.cluster
@yes_option
@click.option("--dry-run", is_flag=True, help="Show what would be done, and change nothing.")
@click.pass_context
def apply(
    context: click.Context,
    /,
    name: str,
    stores: Sequence[str],
    since: datetime | None,
    yes: bool,
    dry_run: bool,
    **_cluster: object,
) -> None:
    """Have a newly declared STEP, observer or deadline done in the sagas in flight that are past its trigger.

    A worker must have begun with the release that declares it. For each of the sagas a dead letter is
    requeued: the worker decides by the protocol when it takes it, against the state of the saga at that time.
    A step of an aborted saga is refused, and its failure published; a compensation that is called by now is
    run; a deadline counts from the event that arms it, and an observer is shown each event once. Bodies that
    the saga log did not keep are read from the topic: then name the cluster. The command says how many sagas
    there are, and asks. Doing it again changes nothing. Exits with 1 if a saga was left alone.

    \b
    Examples:
      choreo releases apply payments.check --store payments.db --dry-run
      choreo releases apply payments.check --since 2026-01-31 --bootstrap kafka:9092 --yes
    """
    with open_stores(stores, reading=dry_run) as opened:
        store, manifest, known_as = _declaring(opened, name)
        keys = list(_in_flight(store, since))
        found = [each for key in keys for each in missed_in(store.store, manifest, known_as, key)]
        if not found:
            output.line(f"{name}: no saga in flight of {counted(len(keys), 'saga')} is past what calls it")
            return
        bodies = _bodies(context, found)
        possible = [each for each in found if not missing_bodies(each, bodies)]
        _show(name, found, bodies)
        asked = f"have {name} done in {_sagas(possible)} of {store.path}"
        if possible and not dry_run and (yes or output.confirm(f"{asked}?")):
            done = _take_up(store, manifest, known_as, possible, bodies)
            output.line(f"{name}: {_sagas(done)}: the worker does it in its next turn, or when it is started")
        elif possible and not dry_run:
            output.notice("nothing was changed")
            context.exit(1)
    context.exit(1 if len(possible) < len(found) else 0)


def _declaring(opened: Sequence[Opened], name: str) -> tuple[Opened, Manifest, str]:
    """Return the store whose newest release declares a name, and the name by which the protocol knows it."""
    for each in opened:
        newest = each.store.newest_release()
        manifest = declared_in(newest) if newest else None
        known_as = identity_in(manifest, name) if manifest else ""
        if manifest and known_as:
            return each, manifest, known_as
    raise ConfigurationError(
        f"the newest release of {', '.join(each.path for each in opened)} declares no {name}",
        hint="start the worker of the new release first; see `choreo releases list`",
    )


def _in_flight(opened: Opened, since: datetime | None) -> Iterator[SagaKey]:
    with closing(open_reader(opened.place)) as reader:
        for last in reader.unended():
            key = SagaKey(last.saga_id, last.saga_type)
            if since is None or _began(opened, key) >= since:
                yield key


def _began(opened: Opened, key: SagaKey) -> datetime:
    return datetime.fromtimestamp(opened.store.history(*key)[0].recorded_at / 1000)


def _bodies(context: click.Context, found: Iterable[Missed]) -> Mapping[str, bytes]:
    """Return the bodies that the saga log did not keep, from the topics."""
    unread: dict[str, Entry] = {row.event_id: row for each in found for row in each.unread}
    return bodies_of(options.chosen_cluster(context), list(unread.values())) if unread else {}


def _take_up(
    opened: Opened, manifest: Manifest, name: str, found: Sequence[Missed], bodies: Mapping[str, bytes]
) -> list[Missed]:
    """Take up what is still missed, some sagas in a turn."""
    keys = iter(dict.fromkeys(each.key for each in found))
    topics = {saga.name: saga.topic for saga in manifest.sagas}
    done: list[Missed] = []
    while some := list(islice(keys, _AT_ONCE)):
        with opened.store.turn():
            for key in some:
                for each in missed_in(opened.store, manifest, name, key):
                    if not missing_bodies(each, bodies):
                        topic, now = topics[key.saga_type], round(time.time() * 1000)
                        take_up(opened.store, topic, each, bodies, _COMMENT, now)
                        done.append(each)
    return done


def _show(name: str, found: Sequence[Missed], bodies: Mapping[str, bytes]) -> None:
    left = [(each, why) for each in found if (why := missing_bodies(each, bodies))]
    counts = Counter(each.what for each in found if not missing_bodies(each, bodies))
    output.line(
        f"{name}: {_sagas(found)} in flight {'is' if _count(found) == 1 else 'are'} past what calls it"
    )
    for what, count in sorted(counts.items()):
        output.line(f"  {counted(count, 'saga' if what != 'observe' else 'event')}: {_WHAT[what]}")
    for each, why in left:
        output.notice(f"  left alone: saga {each.key.saga_id}: {why}")


def _count(found: Iterable[Missed]) -> int:
    return len({each.key for each in found})


def _sagas(found: Iterable[Missed]) -> str:
    return counted(_count(found), "saga")
