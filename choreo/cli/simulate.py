"""``choreo simulate``."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from choreo.cli import output
from choreo.errors import ConfigurationError
from choreo.events import short_name
from choreo.project.choreography import choreography_named, declared
from choreo.project.documents import document_read
from choreo.project.pyproject import nearest_project

if TYPE_CHECKING:
    from choreo.participant import Participant
    from choreo.testing.counterexample import ReplayResult
    from choreo.verify.engine.run_file import RunFile


@click.command(short_help="Run a trace of choreo verify with the real handlers.")
@click.argument("trace", metavar="TRACE.json", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("names", metavar="[MODULE|MANIFEST|FOLDER]...", nargs=-1)
@click.pass_context
def simulate(context: click.Context, trace: Path, names: tuple[str, ...]) -> None:
    """Run a trace again, in memory and on virtual time: the real worker, store, Avro and handlers.

    A handler fails where the trace says that it fails, and is called where it succeeds. What it does
    otherwise by itself is told, and an event of the type that the trace has, with made-up values, takes its
    place. Without a name, the modules of [tool.choreo] take part. Of manifests no code is run: then their
    handlers return what they declare.

    Exits with 0 when the run took the trace's course, 1 when it took another, 2 for wrong input.

    \b
    Examples:
      choreo verify shop --traces traces
      choreo simulate traces/1-CHO204.json shop
      choreo simulate traces/1-CHO204.json manifests       a folder of manifests: no code is imported
    """
    from choreo.testing.counterexample import CounterexampleReplay
    from choreo.verify.engine.run_file import read_run

    told = read_run(document_read(trace), str(trace))
    participants = _participants(names)
    with _quiet():
        rerun = CounterexampleReplay(participants, told)
        try:
            course = rerun.follow()
        finally:
            rerun.close()
    _say(told, course)
    if course.different:
        context.exit(1)


def _participants(names: Sequence[str]) -> Sequence[Participant]:
    from choreo.testing.fakes import fake_participants

    wanted = tuple(names) or tuple(nearest_project().get("modules") or ())
    if not wanted:
        raise ConfigurationError(
            "nobody takes part", hint="name modules or manifests, or modules = [...] in [tool.choreo]"
        )
    are_files = [Path(name).exists() for name in wanted]
    if all(are_files):
        return fake_participants(choreography_named(wanted).manifests)
    if any(are_files):
        raise ConfigurationError(
            "manifests and modules can't run together: a manifest has no payloads",
            hint="name the one or the other",
        )
    return [participant for name in wanted for participant in declared(name)]


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the workers' log out of the answer: a handler that waits for its time raises."""
    log = logging.getLogger("choreo")
    level = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        log.setLevel(level)


def _say(trace: RunFile, course: ReplayResult) -> None:
    click.echo(f"{trace.rule} in saga {trace.saga}: {trace.scenario}")
    width = max((len(event.step) for event in trace.events), default=0)
    for number, came in enumerate(course.events, 1):
        told = trace.events[number - 1] if number <= len(trace.events) else None
        step = told.step if told else ""
        click.echo(f"  {number} {step:{width}}  {short_name(came)}{'' if told else '  (after the trace)'}")
    for forced in course.replaced:
        click.echo(f"note: {forced}", color=output.colour())
    same = f"the same course: {len(course.events)} events, and {_ENDS[course.end]}"
    verdict = f"another course: {course.different}" if course.different else same
    click.echo(click.style(verdict, fg="red" if course.different else "green"), color=output.colour())


_ENDS = {"completed": "the saga completed", "failed": "the saga failed", "": "the saga never ended"}
