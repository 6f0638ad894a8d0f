"""``choreo simulate``: runs a counterexample of ``choreo verify`` with the real worker and handlers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from choreo.cli import output
from choreo.errors import ConfigurationError
from choreo.events import short_name
from choreo.participant import Participant
from choreo.project.choreography import choreography_named, declared, is_file
from choreo.project.documents import read_document
from choreo.project.manifests import manifest_from
from choreo.project.pyproject import nearest_project
from choreo.testing.counterexample import CounterexampleReplay, ReplayResult
from choreo.testing.fakes import fake_participants
from choreo.verify.engine.run_file import RunFile, read_run


@click.command(short_help="Run a trace of choreo verify with the real handlers.")
@click.argument("trace", metavar="TRACE.json", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("names", metavar="[MODULE|MANIFEST|FOLDER]...", nargs=-1)
@click.pass_context
def simulate(context: click.Context, trace: Path, names: tuple[str, ...]) -> None:
    """Run a trace again with the real worker, store, Avro and handlers, in memory and on virtual time.

    A step that succeeds in the trace calls its handler; a step that fails there is made to fail. If a handler
    returns another event than the trace has, a note says so, and an event of the trace's type with made-up
    values is used instead. Without names, the modules of [tool.choreo] take part. No code of manifests is
    run: their handlers return the events that they declare.

    Exits with 0 when the run is that of the trace, 1 when it differs, 2 for wrong input.

    \b
    Examples:
      choreo verify shop --traces traces
      choreo simulate traces/1-CHO204.json shop
      choreo simulate traces/1-CHO204.json manifests       a folder of manifests: no code is imported
    """
    run = read_run(read_document(trace), str(trace))
    participants = _participants(names)
    with output.quiet("choreo"):  # a handler that waits for its time raises
        replay = CounterexampleReplay(participants, run)
        try:
            result = replay.follow()
        finally:
            replay.close()
    _show(run, result)
    if result.different:
        context.exit(1)


def _participants(names: Sequence[str]) -> Sequence[Participant]:
    wanted = tuple(names) or tuple(nearest_project().get("modules") or ())
    if not wanted:
        raise ConfigurationError(
            "no participant is named", hint="name modules or manifests, or modules = [...] in [tool.choreo]"
        )
    are_files = [is_file(name) for name in wanted]
    if all(are_files):
        return fake_participants(choreography_named(wanted, manifest_from).manifests)
    if any(are_files):
        raise ConfigurationError(
            "manifests and modules can't run together: a manifest has no payloads",
            hint="name the one or the other",
        )
    return [participant for name in wanted for participant in declared(name)]


def _show(run: RunFile, result: ReplayResult) -> None:
    output.line(f"{run.rule} in saga {run.saga}: {run.scenario}")
    width = max((len(event.step) for event in run.events), default=0)
    for number, came in enumerate(result.events, 1):
        expected = run.events[number - 1] if number <= len(run.events) else None
        step, note = (expected.step, "") if expected else ("", "  (after the trace)")
        output.line(f"  {number} {step:{width}}  {short_name(came)}{note}")
    for replaced in result.replaced:
        output.line(f"note: {replaced}")
    same = f"the same course: {len(result.events)} events, and {_ENDS[result.end]}"
    verdict = f"another course: {result.different}" if result.different else same
    output.line(output.style(verdict, fg="red" if result.different else "green"))


_ENDS = {"completed": "the saga completed", "failed": "the saga failed", "": "the saga never ended"}
