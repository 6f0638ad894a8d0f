"""``choreo doctor``: checks the deployment of participants, their stores and their cluster."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from choreo.cli import options, output
from choreo.doctor import Patient, examine
from choreo.ports.findings import Finding
from choreo.project.lock import derived
from choreo.project.modules import load_participant


@click.command(short_help="Check a deployment: cluster, topics, rights, clocks, stores.")
@click.argument("targets", metavar="MODULE:PARTICIPANT...", nargs=-1, required=True)
@options.store
@options.schemas
@options.cluster
@click.option("--no-cluster", is_flag=True, help="Look at the stores alone.")
@click.option(
    "--seconds",
    type=click.FloatRange(0.1, 3_600),
    default=10.0,
    show_default=True,
    help="How long to look at whether one store is whole.",
)
@click.option("--strict", is_flag=True, help="Exit with 1 for warnings, too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
@click.pass_context
def doctor(
    context: click.Context,
    /,
    targets: tuple[str, ...],
    store: str,
    schemas: str | None,
    no_cluster: bool,
    seconds: float,
    strict: bool,
    as_json: bool,
    **_cluster: Any,
) -> None:
    """Check the deployment of participants, with the settings that `choreo run` would have here.

    The cluster: whether it answers, the topics' settings, partitions and offsets, what this client may do,
    the claim on the consumer group, clocks. The stores: whether each is whole and up to date, keeps what it
    confirms, has room, and may be written. The release: whether a start would be refused. Nothing is changed.
    With an error a worker does not start, or something is lost, and the exit code is 1.

    \b
    Examples:
      choreo doctor shop.orders:orders --bootstrap kafka:9092 --store /var/lib/orders.db
      choreo doctor shop.orders:orders shop.stock:stock --store '/var/lib/{participant}.db' --strict
      choreo doctor shop.orders:orders --no-cluster --json | jq '.findings[].text'
    """
    participants = [load_participant(target) for target in targets]
    cluster = options.Cluster("", False, {}) if no_cluster else options.chosen_cluster(context)
    output.set_up_logging("error")
    found: list[Finding] = []
    with output.quiet("choreo.kafka"):
        for participant in participants:
            derived(participant, None)
            path = store.replace("{participant}", participant.name)
            folder = Path(schemas or "schemas")
            patient = Patient(participant, path, folder, cluster.bootstrap, cluster.kafka)
            found += (each for each in examine(patient, seconds) if each not in found)
    _print(found, as_json)
    if any(each.level == "error" or strict for each in found):
        context.exit(1)


def _print(found: Sequence[Finding], as_json: bool) -> None:
    if as_json:
        output.data({"findings": [each._asdict() for each in found]})
        return
    for each in found:
        level = output.style(each.level, fg="red" if each.level == "error" else "yellow", bold=True)
        hint = f" (hint: {each.hint})" if each.hint else ""
        output.line(f"{level}: {each.subject}: {each.text}{hint}")
    if not found:
        output.line("nothing is wrong")
