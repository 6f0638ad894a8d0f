"""``choreo replay fold``: folds a saga's log again and prints where the store differs from it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import click

from choreo.cli import options, output
from choreo.cli.replay.subject import as_json, bodies_in_topic, saga_ids, subject_of, target, with_topic
from choreo.records import Entry
from choreo.replay.stored_saga import StoredSaga, stored_sagas

_EXIT = {"clean": 0, "inconclusive": 3, "findings": 1}
"""The verdicts, the better first, and their exit codes."""


@click.command(short_help="Compare a saga's log with its store.")
@target
@saga_ids
@options.store
@with_topic
@as_json
@click.option("--dry-run", is_flag=True, help="Changes nothing here: it never writes.")
@click.pass_context
def fold(
    context: click.Context,
    /,
    target: str,
    saga_ids: tuple[str, ...],
    store: str,
    form: str,
    **_given: Any,
) -> None:
    """Fold a saga's log again, row by row, and compare each row with the result.

    Then the work that the saga asks for is compared with the schedule, the dead letters and the outbox.
    Exits with 1 for any difference, and with 3 if an event was published and has not been read back from
    its topic: --topic shows whether the topic holds it. Nothing is written.

    \b
    Examples:
      choreo replay fold shop.orders:orders o-1
      choreo replay fold shop.orders:orders o-1 o-2 --topic --bootstrap kafka:9092 --format json
    """
    with subject_of(target, store, reading=True) as subject:
        topic = bodies_in_topic(context, subject.participant, saga_ids)
        reports = []
        for saga_id in dict.fromkeys(saga_ids):
            with subject.store.turn():
                found = stored_sagas(subject.participant, subject.store, saga_id)
            reports += [_report(each, topic, asked=context.params["topic"]) for each in found]
    if form == "json":
        output.data(reports)
    else:
        for report in reports:
            _show(report)
    context.exit(_EXIT[max((report["verdict"] for report in reports), key=list(_EXIT).index)])


def _report(saga: StoredSaga, topic: Collection[str], *, asked: bool) -> dict[str, Any]:
    differences = [each._asdict() | {"text": str(each)} for each in saga.differences()]
    lost = [f"{entry.event_type} of {entry.step}" for entry in saga.unpublished(topic)]
    verdict = "findings" if differences or (lost and asked) else "inconclusive" if lost else "clean"
    return {
        "saga_id": saga.saga_id,
        "saga_type": saga.role.contract.saga,
        "participant": saga.role.participant,
        "state": saga.replay.saga.state,
        "rows": [_row(number, entry) for number, entry in enumerate(saga.entries, 1)],
        "differences": differences,
        "lost" if asked else "unconfirmed": lost,
        "verdict": verdict,
    }


def _row(number: int, entry: Entry) -> dict[str, Any]:
    kept = ("input", "step", "old_state", "new_state", "saga_state", "event_type", "outcome", "note")
    return {"row": number} | {name: getattr(entry, name) for name in kept}


def _show(report: dict[str, Any]) -> None:
    """Write one saga, a line for each row, with the differences of a row below it."""
    of_row: dict[int, list[str]] = {}
    for each in report["differences"]:
        of_row.setdefault(each["row"], []).append(each["text"])
    output.line(
        f"{report['participant']}: saga {report['saga_id']} ({report['saga_type']}) is {report['state']}"
    )
    width = max(len(row["step"]) for row in report["rows"])
    for row in report["rows"]:
        states = f"{row['old_state']} → {row['new_state']}"
        line = f"{row['row']:>4}  {row['input'] or '·':<9}  {row['step']:<{width}}  {states:<27}"
        output.line(f"{line}{row['saga_state']}{' (void)' if row['note'] == 'void' else ''}")
        _mark(of_row.pop(row["row"], []))
    _mark([text for texts in of_row.values() for text in texts])
    _mark([f"{what} is neither in the outbox nor in the topic" for what in report.get("lost", ())])
    for what in report.get("unconfirmed", ()):
        output.line(f"      {what} was published, and has not come back: --topic tells whether it is there")
    count = len(report["differences"]) + len(report.get("lost", ()))
    output.line(f"{len(report['rows'])} rows, {count or 'no'} difference{'' if count == 1 else 's'}")


def _mark(texts: list[str]) -> None:
    for text in texts:
        output.line(output.style(f"      ✗ {text}", fg="red"))
