"""Every command that the manual shows exists, with its options, and every command is in the manual."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import click
import pytest

from choreo.cli import main
from tests.docs.manual import ALL, ROOT

SHOWN = sorted({line for page in ALL for line in page.commands("choreo")})
TARGETS = sorted({line.split()[1] for page in ALL for line in page.commands("make")})


def leaves(command: click.Command, name: str) -> Iterator[str]:
    """Yield the full name of a command, or of each below it."""
    if not isinstance(command, click.Group):
        yield name
        return
    with click.Context(command) as context:
        for each in command.list_commands(context):
            found = command.get_command(context, each)
            assert found
            yield from leaves(found, f"{name} {each}")


def test_commands_are_shown() -> None:
    assert len(SHOWN) > 40


@pytest.mark.parametrize("line", SHOWN)
def test_a_command_that_is_shown_exists(line: str) -> None:
    """Its name, its options, and how many words it takes are known to the command line."""
    command, words = main, shlex.split(line)[1:]
    context = click.Context(command, info_name="choreo")
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(context, words.pop(0))
        assert found, line
        command = found
        context = click.Context(command, parent=context)
    command.make_parser(context).parse_args(words)


@pytest.mark.parametrize("target", TARGETS)
def test_a_make_target_that_is_shown_exists(target: str) -> None:
    """It stands in the Makefile, with a word of explanation."""
    assert re.search(rf"^{target}:.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_every_command_is_in_the_manual() -> None:
    """A command that isn't documented fails the build."""
    words = "\n".join(page.text for page in ALL)
    missing = [name for name in leaves(main, "choreo") if not re.search(rf"{name}\b", words)]
    assert missing == []
