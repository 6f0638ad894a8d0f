"""``choreo demo``: runs the sagas of an example, prints their timelines, and checks the business tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from choreo.cli import output
from choreo.cli.demo.example import Case, Check, Scenario, scenario_of
from choreo.cli.demo.runner import Runner
from choreo.cli.sources import now
from choreo.errors import ConfigurationError
from choreo.kafka import EmbeddedBroker
from choreo.render.text import moments
from choreo.render.wording import headline
from choreo.store import opening
from choreo.timeline.timeline import timeline_of

DEADLINE = 30.0
"""Seconds in which the participants must be ready, and in which each saga must end."""


@click.command(short_help="Run an example, all its participants in one process.")
@click.argument("name", default="orders")
@click.option(
    "--store",
    default="",
    metavar="ADDRESS",
    help="A PostgreSQL server (postgresql://…), on which each participant gets a database for as long as the "
    "demo lasts; without it, they are in files.",
)
@click.pass_context
def demo(context: click.Context, name: str, store: str) -> None:
    """Run an example: all its participants in one process, on an embedded broker.

    The demo runs the example's sagas, prints their timelines, and checks that the business tables balance.
    It needs no Kafka and leaves no files behind. The default of NAME is orders.

    \b
    Examples:
      choreo demo
      choreo demo bank
      choreo demo travel
      choreo demo orders --store postgresql://localhost/postgres
    """
    scenario = scenario_of(name)
    if store and not opening.is_address(store):
        raise ConfigurationError(
            f"--store {store} is no address of a PostgreSQL server",
            hint="postgresql://USER@HOST/DATABASE; without it, the demo makes files and deletes them",
        )
    if store and not scenario.takes_any_store:
        raise ConfigurationError(
            f"the participants of {name} write the SQL of SQLite", hint=f"choreo demo orders --store {store}"
        )
    if not _show(scenario, store):
        context.exit(1)


@contextmanager
def _places(scenario: Scenario, store: str) -> Iterator[Mapping[str, str | Path]]:
    """Yield where each participant has its store, as long as the demo lasts."""
    with ExitStack() as stack:
        if store:
            yield {
                each.name: stack.enter_context(opening.scratch(store, each.name))
                for each in scenario.participants
            }
        else:
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="choreo-demo-")))
            yield {each.name: folder / f"{each.name}.db" for each in scenario.participants}


def _show(scenario: Scenario, store: str = "") -> bool:
    """Run all sagas, then check the balance, and return whether everything is as it should be."""
    with (
        output.quiet("choreo.kafka"),
        output.quiet("choreo.handler"),
        _places(scenario, store) as places,
        scenario.world(),
        EmbeddedBroker() as broker,
        Runner(scenario.participants, broker.bootstrap, places, DEADLINE) as runner,
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
