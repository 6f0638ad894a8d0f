"""``choreo run``: runs the worker of one participant in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from choreo.cli import options, output, tracing
from choreo.cli.check import check_release
from choreo.cli.signals import stopping_on_signals
from choreo.errors import ConfigurationError, StoreMismatch
from choreo.kafka import EmbeddedBroker, KafkaLog
from choreo.participant import Participant
from choreo.project.lock import derived
from choreo.project.modules import load_participant
from choreo.store.opening import shown
from choreo.worker import Options
from choreo.worker.composition import open_store, open_worker

if TYPE_CHECKING:
    from choreo.cli.admin import Watch


@click.command(short_help="Run a participant.")
@click.argument("target", metavar="MODULE:PARTICIPANT")
@options.store
@options.cluster
@options.embedded
@options.start
@options.schemas
@click.option(
    "--lock",
    type=click.Path(path_type=Path),
    metavar="FILE",
    envvar="CHOREO_LOCK",
    show_envvar=True,
    help="The lock that says what calls a compensation that names no event. Default: lock in [tool.choreo], "
    "or choreography.json beside pyproject.toml; where there is none, the project's modules say it.",
)
@options.calls
@options.drain
@options.admin
@click.option(
    "--redact",
    is_flag=True,
    envvar="CHOREO_REDACT",
    show_envvar=True,
    help="Keep what exceptions said out of the store: only their classes and places. The text of Permanent, "
    "which is published, stays.",
)
@click.option(
    "--no-starts",
    is_flag=True,
    envvar="CHOREO_NO_STARTS",
    show_envvar=True,
    help="Take part in the sagas that are in flight, and start none: what starts one, from another process "
    "or an import, waits in the outbox until a worker without this option publishes it.",
)
@click.option(
    "--retire",
    multiple=True,
    metavar="STEP",
    help="Give up a step, an observer or a deadline that is not declared any more, although sagas in flight "
    "need it: what they need becomes dead letters with the reason retired. May be repeated.",
)
@click.option(
    "--check",
    is_flag=True,
    help="Don't run: say what differs from the release that ran last, and what sagas in flight need that is "
    "gone. Exits with 0 where the participant would start, with 2 where it would be refused. Needs no "
    "cluster, writes nothing, and may be asked beside a running worker.",
)
@options.log_level
@click.pass_context
def run(
    context: click.Context,
    /,
    target: str,
    store: str,
    start: options.Start,
    schemas: str | None,
    lock: Path | None,
    calls: int,
    drain: float,
    admin: tuple[str, int] | None,
    redact: bool,
    no_starts: bool,
    retire: tuple[str, ...],
    check: bool,
    log_level: str,
    **_cluster: Any,
) -> None:
    """Run a participant: fold its sagas' topics, call its handlers, publish what they return.

    SIGINT or SIGTERM ends the worker after its current turn, once the calls under way have ended (--drain);
    a second signal ends it at once. Nothing is lost either way: the worker continues from its store when it
    is started again.

    The store keeps what each release declares. A start is refused, with exit code 2, where sagas in flight
    need a step that this one does not have any more: put it back, name it with formerly=, or --retire it.

    \b
    Examples:
      choreo run shop.orders:orders --bootstrap localhost:9092 --store /var/lib/orders.db
      choreo run shop.orders:orders --embedded
      choreo run shop.orders:orders --store /var/lib/orders.db --check
      choreo run shop.payments:payments --kafka security.protocol=SSL --from 2026-01-31T12:00:00Z
    """
    participant = load_participant(target)
    path = store.replace("{participant}", participant.name)
    folder = _schema_folder(schemas)
    if check:
        derived(participant, lock)
        check_release(participant, path, folder, retire)
        return
    chosen = options.chosen_cluster(context)
    output.set_up_logging(log_level)
    derived(participant, lock)
    watch = _watch(participant, admin)
    tracing.set_up(participant.name, *(watch.readers if watch else ()))
    with _address(chosen) as address, _explained(chosen, shown(path)):
        settings = Options(
            start=start, calls=calls, drain_seconds=drain, redact=redact, starts=not no_starts, retire=retire
        )
        _work(participant, path, chosen._replace(bootstrap=address), folder, settings, watch)


def _watch(participant: Participant, address: tuple[str, int] | None) -> Watch | None:
    """Return how a worker is watched, None where nobody asks for pages or metrics."""
    if address is None and not tracing.exporter_name("metrics"):
        return None
    from choreo.cli.admin import Watch  # a server and its libraries, which most workers don't need

    return Watch(participant, address)


def _schema_folder(named: str | None) -> Path:
    """Return the folder of schemas; the default one may appear later, with another deployment."""
    folder = Path(named or "schemas")
    if named and not folder.is_dir():
        raise ConfigurationError(
            f"there is no folder {folder}",
            hint="write it with `choreo schemas write`, or leave --schemas out",
        )
    return folder


@contextmanager
def _address(cluster: options.Cluster) -> Iterator[str]:
    """Yield the cluster's address, or that of an embedded broker that ends with the block."""
    if cluster.bootstrap:
        yield cluster.bootstrap
        return
    with output.quiet("choreo.kafka"):
        broker = EmbeddedBroker()
    with broker:
        output.line(f"embedded broker: join it with --embedded --bootstrap {broker.bootstrap}")
        yield broker.bootstrap


@contextmanager
def _explained(cluster: options.Cluster, path: str) -> Iterator[None]:
    """Add a hint to a `StoreMismatch`: a store can't outlive the embedded broker that it was used with."""
    try:
        yield
    except StoreMismatch as error:
        if not cluster.embedded:
            raise
        raise StoreMismatch(
            error.message,
            hint=f"an embedded broker forgets all when it ends: delete {path}, or give another --store",
        ) from None


def _store_id(participant: str, path: str) -> str:
    """Return the id of the store, which is created if there is none.

    A store serves one worker at a time, so its id can name the worker's instance: after a crash the
    cluster gives the same partitions back at once.
    """
    store = open_store(participant, path)
    try:
        return store.store_id
    finally:
        store.close()


def _work(
    participant: Participant,
    path: str,
    cluster: options.Cluster,
    schemas: Path,
    settings: Options,
    watch: Watch | None,
) -> None:
    name = participant.name
    instance = f"{name}-{_store_id(name, path)}"
    with output.quiet("choreo.kafka"):
        records = KafkaLog(
            cluster.bootstrap,
            name,
            instance=instance,
            settings=cluster.kafka,
            embedded=cluster.embedded,
        )
    with open_worker(participant, path, records, schemas=[schemas], options=settings) as worker:
        with output.quiet("choreo.kafka"):
            identity = records.cluster_id()
        topics = ", ".join(participant.topics)
        output.line(
            f"{name}: store {shown(path)}, cluster {identity} at {cluster.bootstrap}, topics {topics}"
        )
        if not settings.starts:
            output.line(f"{name}: starts no sagas (--no-starts)")
        with watch.over(worker, path) if watch else nullcontext(), stopping_on_signals(worker.stop):
            worker.run()
    output.line(f"{name}: stopped")
