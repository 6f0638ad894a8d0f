"""``choreo docs``: prints the manual, whose topics are the Markdown files in ``choreo/docs``."""

from __future__ import annotations

import re
from difflib import get_close_matches
from pathlib import Path

import click

from choreo.cli import output
from choreo.errors import ConfigurationError

FOLDER = Path(__file__).parents[1] / "docs"
"""Where the manual lies, in a checkout as in an installed wheel."""

_CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_TITLE = re.compile(r"^# +(.+?) *$", re.MULTILINE)
_PARAGRAPH = re.compile(r"^(?![#`|>\-*]).+(?:\n(?![#`|>\-*]).+)*", re.MULTILINE)
_SENTENCE = re.compile(r".+?[.!?](?=\s|$)")


@click.command(short_help="Read the manual.")
@click.argument("topic", default="")
def docs(topic: str) -> None:
    """Read the manual: list its topics, or show one.

    On a terminal a topic is shown in the pager that PAGER names, otherwise as plain Markdown.

    \b
    Examples:
      choreo docs
      choreo docs steps
      choreo docs operations > operations.md
    """
    files = {path.stem: path for path in sorted(FOLDER.glob("*.md"))}
    if not files:
        raise ConfigurationError("the manual is not installed", hint="install choreo from its wheel")
    if not topic:
        _list(files)
    elif topic in files:
        output.pager(files[topic].read_text(encoding="utf-8").rstrip("\n"))
    else:
        close = get_close_matches(topic.lower(), files, 1)
        hint = f"did you mean {close[0]}?" if close else "`choreo docs` lists them"
        raise ConfigurationError(f"the manual has no topic {topic!r}", hint=hint)


def _list(files: dict[str, Path]) -> None:
    width = max(map(len, files), default=0)
    for name, path in files.items():
        title, summary = outline(path.read_text(encoding="utf-8"))
        # Most titles only repeat the name of the topic.
        says = summary if title.lower() == name.replace("-", " ") else f"{title}: {summary}"
        output.line(f"{name:{width}}  {says}")


def outline(text: str) -> tuple[str, str]:
    """Return the title of a page, and the first sentence of its first paragraph.

    >>> outline("# Steps\\n\\nA step is an action\\nwith its compensation. There is more.\\n")
    ('Steps', 'A step is an action with its compensation.')
    """
    prose = _CODE.sub("", text)
    title, paragraph = _TITLE.search(prose), _PARAGRAPH.search(prose)
    words = " ".join(paragraph[0].split()) if paragraph else ""
    sentence = _SENTENCE.match(words)
    return title[1] if title else "", sentence[0] if sentence else words
