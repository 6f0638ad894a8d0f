"""``choreo verify``: verifies the choreography of modules and manifests, and prints the report."""

from __future__ import annotations

import time
from pathlib import Path

import click

from choreo.cli import output
from choreo.graph import choreography_of, lock_of
from choreo.project.choreography import choreography_named
from choreo.project.documents import write_document
from choreo.project.levels import levels_set
from choreo.project.lock import load_lock, lock_file, save_lock
from choreo.project.manifests import compare, manifest_from
from choreo.project.older import older
from choreo.project.versions import with_versions
from choreo.verify import Budget, Verdict
from choreo.verify import verify as examine
from choreo.verify.engine.run_file import write_run
from choreo.verify.report import FORMATS as writers
from choreo.verify.report.text import text
from choreo.version import __version__

FORMATS = ("text", "json", "sarif", "junit", "github")


@click.command(short_help="Verify a choreography before it is deployed.")
@click.argument("names", metavar="[MODULE|MANIFEST|FOLDER]...", nargs=-1)
@click.option("--format", "form", type=click.Choice(FORMATS), default="text", show_default=True)
@click.option("--strict", is_flag=True, help="Exit with 1 for warnings, too.")
@click.option(
    "--deep", is_flag=True, help="Let two failures, timeouts or cancellations happen in one run, not one."
)
@click.option(
    "--states",
    type=click.IntRange(min=1),
    default=200_000,
    show_default=True,
    metavar="N",
    help="The largest number of states to visit for each saga.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=300.0,
    show_default=True,
    metavar="S",
    help="The longest time to take, for all sagas together, in seconds of the processor: only a bound.",
)
@click.option(
    "--traces",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="The folder to write the run of each finding to, for `choreo simulate`.",
)
@click.option(
    "--against",
    metavar="REV|FOLDER",
    default="",
    help="Also verify the release: against a git revision, or the manifests, of what is deployed now.",
)
@click.option(
    "--lock",
    is_flag=True,
    help="Write choreography.json, with the events that call compensations that name none.",
)
@click.pass_context
def verify(
    context: click.Context,
    names: tuple[str, ...],
    form: str,
    strict: bool,
    deep: bool,
    states: int,
    seconds: float,
    traces: Path | None,
    against: str,
    lock: bool,
) -> None:
    """Prove that every run of every saga ends, and that every rollback is whole and in order.

    Name the declarations of all participants: modules, which are imported, or manifests, which are only
    read. Without a name, the modules of [tool.choreo] are verified. Neither Kafka nor a database is needed.

    A compensation need not name the events that call it: they follow from the declarations of the other
    steps. --lock writes them to choreography.json, which each repository commits; from then on, verify
    reports when that file is out of date.

    --against runs the sagas of an older choreography on, while each participant is upgraded at any moment, in
    any order; it prints the run that breaks, or the order of deployment that is right. What readers can't
    read of the older schemas is found, too.

    `choreo rule ID` explains a finding. The levels of rules are set in [tool.choreo.rules]; the comment
    `# choreo: ignore[CHO301] reason` at a handler suppresses a finding.

    Exits with 0 when nothing was found, 1 for errors (with --strict also for warnings), 2 for wrong input, 3
    when a limit was reached before all states were visited.

    \b
    Examples:
      choreo verify shop.orders shop.payments shop.stock
      choreo verify shop                       a package: all its modules
      choreo verify manifests                  a folder of manifests: no code is imported
      choreo verify --against v1.4             can sagas in flight go on while this is deployed?
      choreo verify new --against deployed     the same, by two folders of manifests
      choreo verify manifests --lock           write what derived triggers come to
      choreo verify shop.orders other/payments.choreo.json --format sarif > verify.sarif
    """
    choreography, path = choreography_named(names, manifest_from), lock_file()
    deployed = older(against, names, choreography) if against else None
    if deployed:
        choreography = choreography_of(with_versions(choreography.manifests, deployed.versions))
        if deployed.reason:
            output.notice(f"only schemas are compared: {deployed.reason} (hint: {deployed.hint})")
    known = None if lock else load_lock(path)
    budget = Budget(2 if deep else 1, states, seconds)
    verdict = examine(
        choreography,
        compare=compare,
        lock=known,
        levels=levels_set(),
        budget=budget,
        clock=time.process_time,
        older=deployed.choreography if deployed else None,
        unread=deployed.reason if deployed else "",
    )
    _write(verdict, form)
    if traces:
        _write_traces(verdict, traces)
    code = exit_code(verdict, strict=strict)
    if code:
        context.exit(code)
    if lock:
        save_lock(path, lock_of(choreography, __version__))
        output.notice(f"wrote {path}")


def _write_traces(verdict: Verdict, folder: Path) -> None:
    found = (finding.run_file for finding in verdict.findings if finding.run_file)
    for number, trace in enumerate(found, 1):
        path = folder / f"{number}-{trace.rule}.json"
        write_document(path, write_run(trace))
        output.notice(f"wrote {path}")


def exit_code(verdict: Verdict, *, strict: bool) -> int:
    """Return 1 where something was found, 3 where nothing was and the search is unfinished, else 0."""
    if verdict.errors:
        return 1
    if verdict.scope.unfinished:
        return 3
    return 1 if strict and verdict.findings else 0


def _write(verdict: Verdict, form: str) -> None:
    if form == "text":
        output.page(text(verdict, lambda words, colour: output.style(words, fg=colour)))
    elif form in ("json", "sarif"):
        output.json_text(writers[form](verdict))
    else:
        output.page(writers[form](verdict))
