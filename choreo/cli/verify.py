"""``choreo verify``."""

from __future__ import annotations

import time

import click

from choreo.cli import output
from choreo.cli.choreographies import choreography_named, compare

FORMATS = ("text", "json", "sarif", "junit", "github")


@click.command(short_help="Prove the whole event graph before it is deployed.")
@click.argument("names", metavar="[MODULE|MANIFEST|FOLDER]...", nargs=-1)
@click.option("--format", "form", type=click.Choice(FORMATS), default="text", show_default=True)
@click.option("--strict", is_flag=True, help="Let warnings fail, too.")
@click.pass_context
def verify(context: click.Context, names: tuple[str, ...], form: str, strict: bool) -> None:
    """Prove that every run of every saga ends, and that every rollback is whole and in order.

    It needs the declarations of all participants: modules, which are imported, or their manifests, which are
    only read; without a name, the modules of [tool.choreo]. It needs neither Kafka nor a database.

    Exits with 0 when nothing was found, 1 for errors (with --strict for warnings), 2 for wrong input.

    \b
    Examples:
      choreo verify shop.orders shop.payments shop.stock
      choreo verify shop                       a package: all its modules
      choreo verify manifests                  a folder of manifests: no code is imported
      choreo verify shop.orders other/payments.choreo.json --format sarif > verify.sarif
    """
    from choreo.verify import verify as examine
    from choreo.verify.report import FORMATS as writers
    from choreo.verify.report.text import text

    verdict = examine(choreography_named(names), compare=compare, clock=time.perf_counter)
    if form == "text":
        click.echo(text(verdict, lambda words, colour: click.style(words, fg=colour)), color=output.colour())
    else:
        click.echo(writers[form](verdict))
    if verdict.errors or (strict and verdict.findings):
        context.exit(1)
