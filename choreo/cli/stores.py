"""``--store``: the option that names the stores that a command works on, one or more."""

from __future__ import annotations

from collections.abc import Callable
from glob import glob
from pathlib import Path
from typing import Any, TypeVar

import click

from choreo.cli.options import Listed, lines_in
from choreo.operations.stores import ANY
from choreo.project.pyproject import nearest_project
from choreo.store.opening import is_address

F = TypeVar("F", bound=Callable[..., Any])


def _default() -> list[str]:
    return [nearest_project().get("store") or f"{ANY}.db"]


def _stores_in(text: str) -> list[str]:
    """Return the paths in a variable: one a line, or the one path that it is, or several with spaces."""
    several = lines_in(text) or text.split()
    is_one = len(several) < 2 or _is_there(text) or not all(map(_is_there, several))
    return [text] if is_one and not lines_in(text) else several


def _is_there(path: str) -> bool:
    return is_address(path) or Path(path).exists() or bool(glob(path.replace(ANY, "*")))


stores = click.option(
    "--store",
    "stores",
    cls=Listed,
    separate=_stores_in,
    envvar="CHOREO_STORE",
    default=_default,
    metavar="PATH",
    help="A participant's SQLite database, a folder with several (*.db), or postgresql://HOST/DATABASE; may "
    "be repeated, and CHOREO_STORE may hold one a line. Default: the store of [tool.choreo], or *.db in the "
    "working directory. Commands that only read also take exports of `choreo log export`.",
)
"""The option that names the stores that a command works on."""
