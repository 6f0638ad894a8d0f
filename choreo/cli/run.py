"""``choreo run``: runs the worker of one participant in this process."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import click

from choreo.cli import options, output, tracing
from choreo.cli.check import check_release
from choreo.cli.signals import stopping_on_signals
from choreo.cli.supervisor import Supervisor, instance_of, number_of_this, stop_with_supervisor
from choreo.errors import ConfigurationError, StoreMismatch
from choreo.kafka import EmbeddedBroker, KafkaLog
from choreo.participant import Participant
from choreo.project.lock import derived
from choreo.project.modules import load_participant
from choreo.store.opening import is_address, shown
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
    "--replicas",
    type=click.IntRange(1, 1_000),
    default=1,
    metavar="N",
    envvar="CHOREO_REPLICAS",
    show_envvar=True,
    help="Run N processes of the participant, which divide the partitions of its topics between them; one "
    "that ends is started again. Needs a store in PostgreSQL; with --admin, each has the port after the "
    "last one's. Default: 1.",
)
@click.option(
    "--instance",
    default="",
    metavar="NAME",
    envvar="CHOREO_INSTANCE",
    show_envvar=True,
    help="A name that no other replica has, and that this one has again after its next start: then its "
    "partitions wait for it, at most for session.timeout.ms. Without one, the others have them at once after "
    "a stop. For a store in PostgreSQL.",
)
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
@options.log_format
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
    replicas: int,
    instance: str,
    redact: bool,
    no_starts: bool,
    retire: tuple[str, ...],
    check: bool,
    log_level: str,
    log_format: Literal["text", "json"],
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
      choreo run shop.orders:orders --store postgresql://db/orders --replicas 4
      choreo run shop.payments:payments --kafka security.protocol=SSL --from 2026-01-31T12:00:00Z
    """
    output.write_errors_as(log_format)
    participant = load_participant(target)
    path = store.replace("{participant}", participant.name)
    folder = _schema_folder(schemas)
    if check:
        derived(participant, lock)
        check_release(participant, path, folder, retire)
        return
    chosen = options.chosen_cluster(context)
    number = number_of_this()
    if not is_address(path):
        _refuse_replicas(path, replicas, instance)
    output.set_up_logging(log_level, log_format)
    derived(participant, lock)
    if replicas > 1 and not number:
        _refuse_embedded(chosen)
        open_store(participant.name, path).close()
        output.line(f"{participant.name}: {replicas} replicas on {shown(path)}")
        code = Supervisor(participant.name, replicas).run()
        output.line(f"{participant.name}: stopped")
        sys.exit(code)
    watch = _watch(participant, _admin_of(admin, number))
    exports = tracing.set_up(participant.name, *(watch.readers if watch else ()))
    with exports, _address(chosen) as address, _explained(chosen, shown(path)):
        settings = Options(
            start=start, calls=calls, drain_seconds=drain, redact=redact, starts=not no_starts, retire=retire
        )
        cluster = chosen._replace(bootstrap=address)
        _work(participant, path, cluster, folder, settings, Member(instance, number), watch)


def _admin_of(given: tuple[str, int] | None, number: int) -> tuple[str, int] | None:
    """Return the address of a worker's pages; each replica of a supervisor's has a port of its own."""
    if given is None or number == 0 or given[1] == 0:
        return given
    return given[0], given[1] + number - 1


def _watch(participant: Participant, address: tuple[str, int] | None) -> Watch | None:
    """Return how a worker is watched, None where nobody asks for pages or metrics."""
    if address is None and not tracing.exporter_names("metrics"):
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
            hint=f"an embedded broker forgets all when it ends: give another --store than {path}",
        ) from None


class Member(NamedTuple):
    """How a worker is called in its group: by an ``instance``, and as which replica of a supervisor's."""

    instance: str
    number: int

    def name(self, participant: str, path: str) -> str:
        """Return the name of a static member, empty for one that has none.

        An SQLite store serves one worker at a time, so its id is that worker's name: after a crash the
        cluster gives the same partitions back at once. It is created where there is none.
        """
        with closing(open_store(participant, path)) as store:
            if self.instance:
                return f"{self.instance}-{self.number}" if self.number else self.instance
            if self.number:
                return instance_of(participant, store.store_id, self.number)
            return f"{participant}-{store.store_id}" if store.serves_one else ""


def _refuse_replicas(path: str, replicas: int, instance: str) -> None:
    """Raise `ConfigurationError` where what is for replicas is asked for on SQLite."""
    asked = f"--replicas {replicas}" if replicas > 1 else f"--instance {instance}" if instance else ""
    if asked:
        raise ConfigurationError(
            f"{asked}: the SQLite store {path} serves one worker",
            hint="replicas need one in PostgreSQL: --store postgresql://…; see `choreo docs stores`",
        )


def _refuse_embedded(cluster: options.Cluster) -> None:
    if not cluster.bootstrap:
        raise ConfigurationError(
            "--replicas: an embedded broker is inside of one process",
            hint="give --bootstrap, that of an embedded broker of another process with --embedded",
        )


def _work(
    participant: Participant,
    path: str,
    cluster: options.Cluster,
    schemas: Path,
    settings: Options,
    member: Member,
    watch: Watch | None,
) -> None:
    name = participant.name
    with output.quiet("choreo.kafka"):
        records = KafkaLog(
            cluster.bootstrap,
            name,
            instance=member.name(name, path),
            leaves=is_address(path),
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
        if member.number:
            stop_with_supervisor(worker.stop)
        with watch.over(worker, path) if watch else nullcontext(), stopping_on_signals(worker.stop):
            worker.run()
    if not member.number:
        output.line(f"{name}: stopped")
