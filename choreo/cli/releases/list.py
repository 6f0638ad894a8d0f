"""``choreo releases list``: lists the declarations that the workers of stores ran with."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import click

from choreo.cli import output
from choreo.cli.stores import stores
from choreo.operations.stores import Opened, open_stores
from choreo.release import declared_in
from choreo.release.changes import changes
from choreo.release.documents import release_data
from choreo.render.wording import iso_time


@click.command("list", short_help="List what a store's workers ran with.")
@stores
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def list_releases(stores: Sequence[str], form: str) -> None:
    """List the releases that stores have lived through, oldest first: what changed, since when, and where.

    The offsets are those of the first records that the release folded. With --format json, each has its
    whole manifest, as `choreo replay rebuild --releases` takes it.

    \b
    Examples:
      choreo releases list --store orders.db
      choreo releases list --store orders.db --format json > orders-releases.json
    """
    with open_stores(stores, reading=True) as opened:
        reports = [report for each in opened for report in _reports(each)]
    if form == "json":
        output.data(reports)
        return
    for report in reports:
        _show(report)
    if not reports:
        output.line("no release is known: a worker of this choreo has not run on the store yet")


def _reports(opened: Opened) -> list[dict[str, Any]]:
    stored = opened.store.releases()
    manifests = [declared_in(each) for each in stored]
    changed = [[], *(changes(before, today) for before, today in pairwise(manifests))]
    return [
        {
            "participant": opened.participant,
            "store": opened.path,
            "release": number,
            "since": iso_time(release.since),
            "in_force": number == len(stored),
            "changes": changed[number - 1],
            "retired": list(release.retired),
            **release_data(release),
        }
        for number, release in enumerate(stored, 1)
    ]


def _show(report: dict[str, Any]) -> None:
    """Write a release: a line with its time and offsets, and a line for each change."""
    now = ", in force" if report["in_force"] else ""
    offsets = ", ".join(f"{topic}[{number}]@{offset}" for topic, number, offset in report["positions"])
    head = f"{report['participant']} release {report['release']} since {report['since']}{now}"
    output.line(f"{head}: from {offsets or 'the beginning'}")
    first = ["the first one known"] if report["release"] == 1 else []
    for change in (*first, *report["changes"], *(f"{each} was retired" for each in report["retired"])):
        output.line(f"  {change}")
