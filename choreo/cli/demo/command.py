"""``choreo demo``: runs the sagas of an example, prints their timelines, and checks the business tables."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import click

from choreo.cli import output
from choreo.cli.demo.example import Case, Check, Scenario, scenario_of
from choreo.cli.demo.runner import Runner
from choreo.cli.sources import now
from choreo.kafka import EmbeddedBroker
from choreo.render.text import moments
from choreo.render.wording import headline
from choreo.timeline.timeline import timeline_of

DEADLINE = 30.0
"""Seconds in which the participants must be ready, and in which each saga must end."""


@click.command(short_help="Run an example, all its participants in one process.")
@click.argument("name", default="orders")
@click.pass_context
def demo(context: click.Context, name: str) -> None:
    """Run an example: all its participants in one process, on an embedded broker.

    The demo runs the example's sagas, prints their timelines, and checks that the business tables balance.
    It needs no Kafka and leaves no files behind. The default of NAME is orders.

    \b
    Examples:
      choreo demo
      choreo demo bank
      choreo demo travel
    """
    scenario = scenario_of(name)
    if not _show(scenario):
        context.exit(1)


def _show(scenario: Scenario) -> bool:
    """Run all sagas, then check the balance, and return whether everything is as it should be."""
    with (
        output.quiet("choreo.kafka"),
        output.quiet("choreo.handler"),
        TemporaryDirectory(prefix="choreo-demo-") as folder,
        scenario.world(),
        EmbeddedBroker() as broker,
        Runner(scenario.participants, broker.bootstrap, Path(folder), DEADLINE) as runner,
    ):
        names = ", ".join(each.name for each in scenario.participants)
        output.line(f"{len(scenario.participants)} participants, each with its own database: {names}")
        ended_well = [_run(runner, case) for case in scenario.cases]
        output.line("")
        output.line(output.style("The balance of the business tables", bold=True))
        holds = [_show_check(check) for check in scenario.balance(runner.databases)]
    return all(ended_well) and all(holds)


def _run(runner: Runner, case: Case) -> bool:
    output.line("")
    output.line(output.style(case.title, bold=True))
    saga_id = case.begin()
    state = runner.wait_for_end(saga_id)
    timeline = timeline_of(runner.views(saga_id), now())
    output.write_lines(moments(timeline), "  ")
    right = state == case.ends
    expected = "" if right else f", but should have {case.ends}"
    output.line(f"  {_mark(right)} saga {saga_id} {headline(timeline)}{expected}")
    return right


def _show_check(check: Check) -> bool:
    output.line(f"  {_mark(check.holds)} {check.what}: {check.found}")
    return check.holds


def _mark(holds: bool) -> str:
    return output.style("✓", fg="green") if holds else output.style("✗", fg="red")
