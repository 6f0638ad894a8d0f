"""Finds the modules within a package: in folders with and without ``__init__.py``, and in archives."""

from __future__ import annotations

import os
import pkgutil
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import decode_source
from pathlib import Path
from types import ModuleType
from typing import Final, NamedTuple

_TEST_FOLDERS: Final = ("test", "tests")
_NEVER: Final = ("__pycache__", "node_modules", "site-packages")


class Place(NamedTuple):
    """A module within a package; one that is ``left_out`` is no part of it."""

    name: str
    file: str
    left_out: bool

    def text(self) -> str:
        """Return its source, empty where there is none that can be read."""
        with suppress(OSError, SyntaxError, UnicodeDecodeError):
            return decode_source(Path(self.file).read_bytes())
        return ""


def modules_in(module: ModuleType) -> list[Place]:
    """Return the modules within a package in the order of their names; none for a module."""
    found: dict[str, Place] = {}
    for folder in getattr(module, "__path__", ()):
        for place in _below(str(folder), module.__name__, False, frozenset()):
            found.setdefault(place.name, place)
    return [found[name] for name in sorted(found)]


def _below(folder: str, package: str, left_out: bool, above: frozenset[str]) -> Iterator[Place]:
    """Yield the modules below a folder; a symbolic link that leads back to a folder above is not followed."""
    real = os.path.realpath(folder)
    if real in above:
        return
    inside = [(each.name, each.ispkg) for each in pkgutil.iter_modules([folder])]
    named = {name for name, _ in inside}
    inside += [
        (name, True)
        for name in _folders(folder)
        if name not in named and holds_python(os.path.join(folder, name))
    ]
    for name, is_package in inside:
        out = left_out or not name.isidentifier() or _is_aside(name, is_package)
        path = os.path.join(folder, name)
        file = os.path.join(path, "__init__.py") if is_package else f"{path}.py"
        yield Place(f"{package}.{name}", file, out)
        if is_package:
            yield from _below(path, f"{package}.{name}", out, above | {real})


def _is_aside(name: str, is_package: bool) -> bool:
    """Whether a name is that of a program or of tests."""
    if name == "__main__":
        return True
    if is_package:
        return name in _TEST_FOLDERS
    return name == "conftest" or name.startswith("test_") or name.endswith("_test")


def _folders(folder: str) -> Iterable[str]:
    """Return the folders in a folder, or in a folder of an archive."""
    if os.path.isdir(folder):
        with os.scandir(folder) as entries:
            return sorted(each.name for each in entries if each.is_dir() and _may_hold(each.path, each.name))
    return _folders_of_archive(folder)


def _may_hold(path: str, name: str) -> bool:
    """Whether a folder may be part of a package: it is neither hidden nor made by a tool."""
    return name not in _NEVER and "." not in name and not os.path.exists(os.path.join(path, "pyvenv.cfg"))


def holds_python(folder: str | Path) -> bool:
    """Whether there is a module in a folder or in the folders within it; of an archive's, always."""
    if not os.path.isdir(folder):
        return True
    files = (file for _, _, files in os.walk(folder) for file in files)
    return any(file.endswith((".py", ".pyc", *EXTENSION_SUFFIXES)) for file in files)


def _folders_of_archive(folder: str) -> list[str]:
    """Return the folders that an archive names; others can't be imported from it."""
    archive = next((each for each in Path(folder).parents if each.is_file()), None)
    if archive is None:
        return []
    inside = f"{Path(folder).relative_to(archive).as_posix()}/"
    with suppress(OSError, zipfile.BadZipFile), zipfile.ZipFile(archive) as content:
        names = (each.removeprefix(inside) for each in content.namelist() if each.startswith(inside))
        return sorted(each[:-1] for each in names if each.count("/") == 1 and each.endswith("/"))
    return []
