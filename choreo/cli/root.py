"""``choreo``: the group of all commands, and how an error ends the process."""

from __future__ import annotations

import errno
import os
import sys
from typing import Any, NoReturn

import click

from choreo.cli import output
from choreo.cli.commands import Group
from choreo.errors import ChoreoError, ConfigurationError, StoreError
from choreo.version import __version__

INTERRUPTED = 130
UNREAD = 141
"""The exit code of a process that SIGPIPE ends, by the shells' count."""

_OF_A_PATH = frozenset((errno.EACCES, errno.ELOOP, errno.ENAMETOOLONG, errno.EPERM))
"""What the system says of a path that a user has given, and that can't be looked at."""


class Root(Group):
    """The group of all commands, which turns an error into one line on stderr and an exit code.

    Any other exception than `ChoreoError` and click's own is a defect and keeps its traceback.
    """

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; one whose output nobody reads any more (``| head``) ends without a word."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
            return result
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(UNREAD)

    def main(self, *args: Any, **extra: Any) -> NoReturn:
        """Run a command and exit."""
        extra["standalone_mode"] = False
        output.tolerate_narrow_encodings()
        output.escape_warnings()
        try:
            code = super().main(*args, **extra)
        except ChoreoError as error:
            output.error(error.message, error.hint)
            sys.exit(error.exit_code)
        except click.ClickException as error:
            output.error(error.format_message(), _hint_of(error))
            sys.exit(error.exit_code)
        except click.Abort:
            output.error("interrupted")
            sys.exit(INTERRUPTED)
        except OSError as error:
            if error.errno not in _OF_A_PATH or not error.filename:
                raise
            output.error(f"{error.filename}: {error.strerror}", "check the path, and whose it is")
            sys.exit(ConfigurationError.exit_code)
        except Exception as error:
            # Not imported for its name alone: most commands need no database.
            if type(error).__module__ != "sqlite3":
                raise
            output.error(f"a database failed: {error}", "is it damaged? restore it from a backup")
            sys.exit(StoreError.exit_code)
        sys.exit(code if isinstance(code, int) else 0)


def _hint_of(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    return f"see `{context.command_path} --help`" if context else "see `choreo --help`"


@click.group(
    cls=Root,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="choreo")
@click.pass_context
def choreo(context: click.Context) -> None:
    """Run sagas by choreography: one saga, one topic, one order.

    An option that is not given on the command line is read from the environment (CHOREO_STORE for --store),
    then from [tool.choreo] in the nearest pyproject.toml.

    \b
    Examples:
      choreo demo                                          five services, five sagas, in one process
      choreo run shop.orders:orders --embedded             a participant with a broker in its process
      choreo run shop.orders:orders --bootstrap kafka:9092
    """
    context.color = output.colour()
    if context.invoked_subcommand is None:
        output.page(context.get_help())
