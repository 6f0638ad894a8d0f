"""``choreo replay resume``: puts back into a store the work and events that a saga's log asks for."""

from __future__ import annotations

from typing import Any

import click

from choreo.cli import options, output
from choreo.cli.replay.subject import as_json, bodies_in_topic, saga_ids, subject_of, target, with_topic
from choreo.cli.sources import now
from choreo.replay.resume import Resumed
from choreo.replay.resume import resume as resume_saga


@click.command(short_help="Put back what a saga's store has lost.")
@target
@saga_ids
@options.store
@with_topic
@click.option(
    "--limit",
    type=click.IntRange(1),
    default=5,
    show_default=True,
    metavar="N",
    help="How many times the same dead letter's work may be requeued.",
)
@as_json
@click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing.")
@click.pass_context
def resume(
    context: click.Context,
    /,
    target: str,
    saga_ids: tuple[str, ...],
    store: str,
    limit: int,
    form: str,
    dry_run: bool,
    **_given: Any,
) -> None:
    """Resume a saga from its last good step: put back the work and events that its store has lost.

    Events that were published and not read back are published again, with the same ids, so that they count
    once; work that had not finished is due again; dead letters are requeued. A step or a compensation that a
    release has declared after the events that call it is due, too; with --topic the bodies that the saga log
    did not keep are read from there. All this is written in one transaction, and the worker does it in its
    next turn, or when it is started. Repeating the command, or running it when nothing was lost, does no
    harm. Exits with 1 if something could not be put back.

    \b
    Examples:
      choreo replay resume shop.orders:orders o-1 --dry-run
      choreo replay resume shop.orders:orders o-1 o-2 --topic --bootstrap kafka:9092
    """
    done: list[tuple[str, Resumed]] = []
    with subject_of(target, store, reading=dry_run) as subject:
        topic = bodies_in_topic(context, subject.participant, saga_ids)
        for saga_id in dict.fromkeys(saga_ids):
            results = resume_saga(
                *(subject.participant, subject.store, saga_id, now()),
                topic=topic,
                bodies=topic,
                limit=limit,
                dry_run=dry_run,
            )
            done += [(saga_id, result) for result in results]
    if form == "json":
        output.data([_report(saga_id, result) for saga_id, result in done])
    else:
        for saga_id, result in done:
            _show(saga_id, result, dry_run)
    context.exit(1 if any(result.left for _, result in done) else 0)


def _report(saga_id: str, result: Resumed) -> dict[str, Any]:
    return {
        "saga_id": saga_id,
        "saga_type": result.saga_type,
        "state": result.state,
        "published": [entry.event_type for entry in result.published],
        "due": [str(work) for work in result.due],
        "requeued": [letter.id for letter in result.requeued],
        "left": result.left,
    }


def _show(saga_id: str, result: Resumed, dry_run: bool) -> None:
    would = "would be " if dry_run else ""
    title = f"saga {saga_id} ({result.saga_type}) is {result.state}"
    if result.is_idle:
        output.line(f"{title}: nothing to resume")
        return
    output.line(f"{title}:")
    for entry in result.published:
        output.line(f"  {entry.event_type} of {entry.step}: {would}published again")
    for work in result.due:
        output.line(f"  {work}: {would}due again")
    for letter in result.requeued:
        output.line(f"  dead letter {letter.id}, {letter.task} {letter.name}: {would}requeued")
    for why in result.left:
        output.notice(f"  left alone: {why}")
    if not dry_run and (result.published or result.due or result.requeued):
        output.line("  the worker does it in its next turn, or when it is started")
