"""``choreo monitor``: the group of the commands that watch a choreography from outside."""

from __future__ import annotations

import click

from choreo.cli import output
from choreo.cli.commands import Group
from choreo.monitor.alerts import alerts as alerts_about
from choreo.monitor.alerts import rules_file
from choreo.monitor.grafana import dashboard as dashboard_about
from choreo.project.choreography import choreography_named
from choreo.project.manifests import manifest_from


@click.group(cls=Group, prefix="monitor ", short_help="Write alert rules and a dashboard for a choreography.")
def monitor() -> None:
    """Write what watches a choreography from outside, for its own sagas and participants.

    \b
    Example:
      choreo monitor alerts shop > choreo-rules.yml
      choreo monitor dashboard shop > choreo-dashboard.json
    """


@click.command(short_help="Write alert rules for Prometheus.")
@click.argument("names", metavar="[MODULE|MANIFEST|FOLDER]...", nargs=-1)
def alerts(names: tuple[str, ...]) -> None:
    """Write alert rules for Prometheus, about the metrics that `choreo run --admin` serves.

    There are rules for each saga, with thresholds from its own timeouts and deadlines, and for each
    participant. Each has a line that says what to do. Without names, they are about the modules of
    [tool.choreo].

    \b
    Examples:
      choreo monitor alerts shop > choreo-rules.yml
      choreo monitor alerts manifests | promtool check rules /dev/stdin
    """
    output.page(rules_file(alerts_about(choreography_named(names, manifest_from))).rstrip())


@click.command(short_help="Write a dashboard for Grafana.")
@click.argument("names", metavar="[MODULE|MANIFEST|FOLDER]...", nargs=-1)
def dashboard(names: tuple[str, ...]) -> None:
    """Write a dashboard for Grafana, about the metrics that `choreo run --admin` serves.

    It has a row of panels for each saga and one for all participants; import it, and choose the Prometheus
    that scrapes the workers. Without names, it is about the modules of [tool.choreo].

    \b
    Example:
      choreo monitor dashboard shop > choreo-dashboard.json
    """
    output.page(dashboard_about(choreography_named(names, manifest_from)))
