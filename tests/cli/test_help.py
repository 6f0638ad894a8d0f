"""Help that teaches, at once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

import choreo
from choreo.cli import main
from choreo.cli.commands import COMMANDS
from tests.cli.command import invoke

HEAVY = ("confluent_kafka", "fastavro", "sqlite_utils", "sqlite3", "opentelemetry", "asyncio")


def commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, (*path, name))


@pytest.mark.parametrize("path", list(commands(main)), ids=" ".join)
def test_every_command_shows_an_example_of_itself(path: tuple[str, ...]) -> None:
    result = invoke(*path, "--help")
    assert result.exit_code == 0
    assert " ".join(("  choreo", *path)) in result.stdout.partition("Example")[2]


@pytest.mark.parametrize("path", COMMANDS)
def test_the_table_says_of_a_command_what_the_command_says_of_itself(path: str) -> None:
    """`choreo --help` reads the short help from the table, and imports no command for it."""
    command: click.Command = main
    for name in path.split():
        assert isinstance(command, click.Group)
        command = command.commands[name]
    assert command.short_help == COMMANDS[path].short_help


def test_every_name_below_a_group_of_the_table_stands_in_the_table() -> None:
    own = {" ".join(path) for path in commands(main) if path}
    assert set(COMMANDS) == own - {"topics check", "topics create", "schemas write", "schemas check"}


@pytest.mark.parametrize("group", [(), ("dlq",), ("log",), ("replay",)], ids=" ".join)
def test_the_help_of_a_group_imports_none_of_its_commands(group: tuple[str, ...]) -> None:
    script = (
        "import sys\nfrom choreo.cli import main\n"
        f"try:\n    main([*{group}, '--help'])\nexcept SystemExit:\n    pass\n"
        "print(*sorted(each for each in sys.modules if each.startswith('choreo.cli.')), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    own = {f"choreo.cli.{name}" for name in ("commands", "output", "root", *group)}
    assert set(done.stderr.split()) == own


def test_without_a_command_the_help_comes() -> None:
    result = invoke()
    assert result.exit_code == 0
    assert result.stdout == invoke("--help").stdout


@pytest.mark.parametrize("group", ["topics", "schemas"])
def test_a_group_without_a_command_shows_its_help(group: str) -> None:
    result = invoke(group)
    assert "Commands:" in result.output
    assert "Traceback" not in result.output


def test_the_version_is_shown() -> None:
    assert invoke("--version").stdout == f"choreo, version {choreo.__version__}\n"


def test_help_imports_nothing_heavy() -> None:
    """`choreo --help` must come at once: a quarter of a second at most."""
    script = (
        "import sys\nfrom choreo.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        f"print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"


def test_no_colour_where_it_is_not_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    from choreo.cli import output

    monkeypatch.setenv("NO_COLOR", "1")
    assert output.colour() is False
    monkeypatch.delenv("NO_COLOR")
    assert output.colour() is None


def test_showing_a_timeline_loads_no_more_than_it_needs() -> None:
    """`choreo trace` must come at once, too: without a graph it needs nothing that graphs are made of."""
    script = (
        "import sys\nfrom choreo.render import text\nfrom choreo.store.sqlite import reader\n"
        "from choreo.cli import trace\n"
        f"print([name for name in {(*HEAVY[:3], 'choreo.participant', 'choreo.graph')} "
        "if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
