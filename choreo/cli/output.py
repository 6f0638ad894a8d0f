"""Writes the output of commands: lines, JSON and pages, colour on a terminal only, progress bars, logging.

Whatever a command shows goes through here, and is escaped here: text from outside reaches no terminal as it
is. Only colours from `style` pass.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

from choreo.errors import ConfigurationError
from choreo.escape import escaped, escaped_json, escaped_lines

if TYPE_CHECKING:
    from choreo.render.text import Line

T = TypeVar("T")

LEVELS = ("debug", "info", "warning", "error")
"""How much a process may log."""

LOG_FORMATS = ("text", "json")

_FORMAT = "%(asctime)s.%(msecs)03d %(levelname)s %(message)s"

_TONES = {"good": "green", "bad": "red", "back": "yellow", "busy": "blue"}
"""The terminal's colours for the tones of a timeline."""


def colour() -> bool | None:
    """Return False where NO_COLOR is set (https://no-color.org), else None: click colours on a terminal."""
    return False if os.environ.get("NO_COLOR") else None


# What begins a colour while a text is escaped; nobody outside of this process knows it.
_COLOUR = f"colour-{os.urandom(16).hex()}"


def style(text: str, *, fg: str | None = None, bold: bool | None = None) -> str:
    """Return a text in a colour, for `line` and `page`."""
    return click.style(escaped(text), fg=fg, bold=bold).replace("\x1b", _COLOUR)


def line(text: str) -> None:
    """Write a line."""
    click.echo(_coloured(escaped(text)), color=colour())


def page(text: str) -> None:
    """Write lines that were put together elsewhere, from values that were each escaped there."""
    click.echo(_coloured(escaped_lines(text)), color=colour())


def pager(text: str) -> None:
    """Show a text in the terminal's pager, or write it where there is no terminal."""
    click.echo_via_pager(text)


def data(value: Any) -> None:
    """Write a value as JSON."""
    json_text(json.dumps(value, indent=2, ensure_ascii=False))


def json_text(text: str, end: str = "\n") -> None:
    """Write JSON."""
    click.echo(f"{escaped_json(text)}{end}", nl=False)


_stderr: Literal["text", "json"] = "text"


def write_errors_as(form: Literal["text", "json"]) -> None:
    """Write all that goes to stderr as lines of text, or as an object of JSON a line, like the log."""
    global _stderr
    _stderr = form
    if form == "json":
        logging.captureWarnings(True)
        sys.excepthook = lambda *error: _log_defect("ended by a defect", error)
        threading.excepthook = lambda told: _log_defect("a thread ended by a defect", told[:3])


def _log_defect(message: str, error: Any) -> None:
    logging.getLogger("choreo.cli").error(message, exc_info=error)


def error(message: str, hint: str = "") -> None:
    """Write an error on stderr, in one line."""
    text = " ".join((f"{message} (hint: {hint})" if hint else message).split())
    if _stderr == "json":
        _object(logging.ERROR, text)
    else:
        notice(f"{style('error:', fg='red', bold=True)} {text}")


def notice(message: str) -> None:
    """Write a line on stderr that is neither an error nor a log line."""
    if _stderr == "json":
        _object(logging.INFO, message)
    else:
        click.echo(_coloured(escaped(message)), err=True, color=colour())


def _object(level: int, message: str) -> None:
    """Write a line as the log has it; it is not logged, so that no level and no filter hides it."""
    record = logging.LogRecord("choreo.cli", level, "", 0, message, None, None)
    click.echo(_Json().format(record), err=True)


def confirm(question: str) -> bool:
    """Ask a question, and return the answer. Raises `ConfigurationError` where nobody can answer."""
    try:
        return click.confirm(escaped(question), err=True)
    except click.Abort:
        notice("")
        raise ConfigurationError("nobody has answered: nothing was done", hint="give --yes") from None


def _coloured(text: str) -> str:
    return text.replace(_COLOUR, "\x1b")


def write_lines(lines: Iterable[Line], indent: str = "") -> None:
    """Write the lines of a timeline, each with its important part in the colour of its tone."""
    for each in lines:
        before, part, after = each.text.partition(each.part) if each.part else (each.text, "", "")
        line(f"{indent}{before}{style(part, fg=_TONES.get(each.tone)) if part else ''}{after}")


def counted(number: int, noun: str) -> str:
    """Return a number with its noun.

    >>> counted(1, "saga"), counted(2_000, "saga")
    ('1 saga', '2,000 sagas')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def bar(label: str, length: int) -> AbstractContextManager[Any]:
    """Return click's progress bar on stderr, hidden where that is no terminal."""
    return click.progressbar(
        length=length, label=escaped(label), file=sys.stderr, hidden=not sys.stderr.isatty()
    )


def progress(things: Iterable[T], label: str, length: int | None = None) -> Iterator[T]:
    """Yield things one by one, and show their number on a terminal."""
    with click.progressbar(
        things,
        length=length,
        label=escaped(label),
        show_pos=True,
        file=sys.stderr,
        hidden=not sys.stderr.isatty(),
        update_min_steps=100,
    ) as shown:
        yield from shown


def set_up_logging(level: str, form: str = "text") -> None:
    """Log to stderr with time and level, unless the participant's own module has set logging up already.

    ``form`` is one of `LOG_FORMATS`: lines of text, or an object of JSON a line.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_Json() if form == "json" else _Escaped(_FORMAT, "%Y-%m-%dT%H:%M:%S"))
    logging.basicConfig(level=level.upper(), handlers=[handler])


class _Escaped(logging.Formatter):
    """Writes a message in one line, and below it the lines of an exception, if there is one."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        return escaped(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:
        """Return the lines of an exception."""
        return escaped_lines(super().formatException(ei))


class _Json(logging.Formatter):
    """Writes a record as one line of JSON, with what is bound to it, and its exception; times are UTC."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        bound = {name: value for name, value in vars(record).items() if name not in _OF_EVERY_RECORD}
        found = {
            **bound,
            "time": time.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record),
        }
        if record.exc_info:
            found["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            found["stack"] = self.formatStack(record.stack_info)
        return escaped_json(_object_of(found))


def _message(record: logging.LogRecord) -> str:
    """Return a record's message; what doesn't fit its arguments is told without them."""
    try:
        return record.getMessage()
    except Exception:
        return _text(record.msg)


def _object_of(found: Mapping[str, Any]) -> str:
    """Return an object of JSON; a value that JSON has no word for is a text in it."""
    try:
        return _json(found)
    except Exception:
        return _json({name: value if _is_json(value) else _text(value) for name, value in found.items()})


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, default=str)


def _is_json(value: Any) -> bool:
    try:
        _json(value)
    except Exception:
        return False
    return True


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception:
        return f"<{type(value).__name__}>"


_OF_EVERY_RECORD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


def escape_warnings() -> None:
    """Escape what is logged where nobody has set logging up, too."""
    if logging.lastResort:
        logging.lastResort.setFormatter(_Escaped("%(message)s"))


@contextmanager
def quiet(name: str) -> Iterator[None]:
    """Silence a logger inside the block, as errors there are raised and reported in one line."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(before)


def tolerate_narrow_encodings() -> None:
    """Replace characters that the terminal's encoding lacks, such as arrows, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
