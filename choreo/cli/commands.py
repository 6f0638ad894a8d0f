"""``COMMANDS``: the table of commands by name, each imported only when it is called."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, Final, NamedTuple

import click


class Place(NamedTuple):
    """Where a command is defined, as ``module:attribute``, and its line in the help of its group."""

    target: str
    short_help: str


COMMANDS: Final = {
    "dashboard": Place(
        "choreo.cli.dashboard:dashboard", "Serve a page with all sagas, and what needs a person."
    ),
    "deadlines": Place("choreo.cli.deadlines:deadlines", "List, extend and revoke the deadlines of a saga."),
    "deadlines extend": Place("choreo.cli.deadlines.change:extend", "Give a deadline of a saga more time."),
    "deadlines list": Place(
        "choreo.cli.deadlines.list:list_deadlines", "List the deadlines of a saga that run."
    ),
    "deadlines revoke": Place("choreo.cli.deadlines.change:revoke", "Take a deadline of a saga away."),
    "demo": Place("choreo.cli.demo.command:demo", "Run an example, all its participants in one process."),
    "dlq": Place("choreo.cli.dlq:dlq", "List and settle dead letters."),
    "dlq discard": Place("choreo.cli.dlq.settle:discard", "Settle dead letters by hand."),
    "dlq edit": Place("choreo.cli.dlq.settle:edit", "Replace the event of a dead letter's handler."),
    "dlq list": Place("choreo.cli.dlq.list:list_letters", "List dead letters, by cause."),
    "dlq prune": Place("choreo.cli.dlq.prune:prune", "Remove dead letters settled long ago."),
    "dlq requeue": Place("choreo.cli.dlq.settle:requeue", "Try dead letters again."),
    "dlq resolve": Place(
        "choreo.cli.dlq.resolve:resolve", "Say that the work of a dead letter was done by hand."
    ),
    "dlq show": Place("choreo.cli.dlq.show:show", "Show one dead letter with its event."),
    "doctor": Place(
        "choreo.cli.doctor:doctor", "Check a deployment: cluster, topics, rights, clocks, stores."
    ),
    "docs": Place("choreo.cli.docs:docs", "Read the manual."),
    "graph": Place("choreo.cli.graph:graph", "Draw the event graph of sagas."),
    "log": Place("choreo.cli.log:log", "Check, export, erase and prune the saga log."),
    "log erase": Place("choreo.cli.log.erase:erase", "Erase the payloads of some sagas."),
    "log export": Place("choreo.cli.log.export:export", "Write sagas, with their payloads, to a file."),
    "log heads": Place("choreo.cli.log.verify:heads", "Write the last link of every saga."),
    "log import": Place("choreo.cli.log.export:import_log", "Make a store from an export."),
    "log prune": Place("choreo.cli.log.erase:prune", "Remove sagas that ended long ago."),
    "log verify": Place("choreo.cli.log.verify:verify", "Check that the log was not changed."),
    "manifest": Place("choreo.cli.manifest:manifest", "Write the manifests of participants as JSON."),
    "monitor": Place("choreo.cli.monitor:monitor", "Write alert rules and a dashboard for a choreography."),
    "monitor alerts": Place("choreo.cli.monitor:alerts", "Write alert rules for Prometheus."),
    "monitor dashboard": Place("choreo.cli.monitor:dashboard", "Write a dashboard for Grafana."),
    "releases": Place("choreo.cli.releases:releases", "List releases, and have done what is new in one."),
    "releases apply": Place("choreo.cli.releases.apply:apply", "Have done what is newly declared."),
    "releases list": Place("choreo.cli.releases.list:list_releases", "List what a store's workers ran with."),
    "replay": Place("choreo.cli.replay:replay", "Replay sagas from a participant's log."),
    "replay fold": Place("choreo.cli.replay.fold:fold", "Compare a saga's log with its store."),
    "replay rebuild": Place("choreo.cli.replay.rebuild:rebuild", "Rebuild a lost store from the topics."),
    "replay resume": Place("choreo.cli.replay.resume:resume", "Put back what a saga's store has lost."),
    "replay what-if": Place("choreo.cli.replay.what_if:what_if", "Run today's handlers on recorded events."),
    "rule": Place("choreo.cli.rule:rule", "Explain a rule of verify."),
    "run": Place("choreo.cli.run:run", "Run a participant."),
    "sagas": Place("choreo.cli.sagas:sagas", "List sagas, their states, and what they wait for."),
    "schemas": Place("choreo.cli.schemas:schemas", "Write and check the Avro schemas of events."),
    "simulate": Place("choreo.cli.simulate:simulate", "Run a trace of choreo verify with the real handlers."),
    "store": Place("choreo.cli.store:store", "Make, check and replace the store of a participant."),
    "store check": Place("choreo.cli.store:check", "Check that stores can be used."),
    "store claim": Place("choreo.cli.store:claim", "Give a participant's consumer group to a store."),
    "store copy": Place("choreo.cli.store:copy", "Copy a store into a new one."),
    "store ddl": Place("choreo.cli.store:ddl", "Print the statements that make the tables in PostgreSQL."),
    "store migrate": Place("choreo.cli.store:migrate", "Make a store's tables, or bring them up to date."),
    "topics": Place("choreo.cli.topics:topics", "Create and check the topics of sagas."),
    "trace": Place("choreo.cli.trace:trace", "Show a saga's timeline, across participants."),
    "verify": Place("choreo.cli.verify:verify", "Verify a choreography before it is deployed."),
}
"""Every command by its name; that of a group's command begins with the group's."""


class Group(click.Group):
    """A group whose commands are those of `COMMANDS` below ``prefix``; its help imports none of them."""

    def __init__(self, *args: Any, prefix: str = "", **extra: Any) -> None:
        below = {
            name.removeprefix(prefix): place for name, place in COMMANDS.items() if name.startswith(prefix)
        }
        self._places = {name: place for name, place in below.items() if " " not in name}
        super().__init__(*args, **extra)
        self.commands = _Imported(self._places)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the names and short helps of the commands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self._places[name].short_help) for name in sorted(self._places)])


class _Imported(UserDict[str, click.Command]):
    """Commands by name, each imported when it is looked up."""

    def __init__(self, places: Mapping[str, Place]) -> None:
        super().__init__()
        self._places = places

    def __missing__(self, name: str) -> click.Command:
        module, _, attribute = self._places[name].target.partition(":")
        self.data[name] = getattr(import_module(module), attribute)
        return self.data[name]

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)
