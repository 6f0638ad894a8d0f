"""``Sources``: the source texts of a project's imported modules, and of the modules in their packages."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from importlib.util import decode_source
from pathlib import Path
from zipimport import zipimporter

from choreo.errors import ConfigurationError
from choreo.events import event_name, is_event
from choreo.participant import Handler, Participant
from choreo.verify.source import Examined, Reader, RegisteredHandler, Source

_OWN = os.path.join(str(Path(__file__).parents[1]), "")


def examine_participant(participant: Participant, base: Path) -> Examined:
    """Examine the source of a participant's handlers; file names are relative to ``base``.

    Raises `ConfigurationError` where a source can't be read or is not Python.
    """
    subjects = [_subject(handler) for handler in participant.handlers]
    sources = Sources(base, {subject.module for subject in subjects})
    reader, events = _reader(sources)
    return reader.examine(subjects, {**events, **_named(participant.events)})


class Sources(Mapping[str, Source]):
    """The sources of modules by dotted name: those that the project imported, and those beside handlers.

    Two are equal where they have the same files, none of which was written since.
    """

    def __init__(self, base: Path, modules: Iterable[str]) -> None:
        self._base = base
        self._files = dict(_imported(str(base), len(sys.modules)))
        for name in modules:
            file = _file_of(name)
            if file:
                self._files = {**_beside(name, Path(file)), name: file, **self._files}

        self._state = frozenset((name, file, _modified(file)) for name, file in self._files.items())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sources) and (self._base, self._state) == (other._base, other._state)

    def __hash__(self) -> int:
        return hash((self._base, self._state))

    def __getitem__(self, name: str) -> Source:
        file = self._files[name]
        return Source(name, relative_name(file, self._base), _text(file, _modified(file)))

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def __contains__(self, name: object) -> bool:
        return name in self._files


def relative_name(file: str | Path, base: Path) -> str:
    """Return a file's name relative to ``base``, so that it is the same on every machine."""
    return Path(os.path.relpath(os.path.realpath(file), os.path.realpath(base))).as_posix()


def _subject(handler: Handler) -> RegisteredHandler:
    failures = tuple(event_name(cls) for cls in handler.fails)
    module = getattr(handler.function, "__module__", "") or ""
    inside = not handler.is_outside
    return RegisteredHandler(
        handler.name, handler.task, module, handler.place.line, inside, tuple(handler.emits), failures
    )


@lru_cache(maxsize=4)
def _reader(sources: Sources) -> tuple[Reader, dict[str, str]]:
    """Return what reads the sources, and the events of their modules: once for all participants in them."""
    modules = (sys.modules.get(name) for name in sources)
    classes = (value for module in modules if module for value in vars(module).values() if is_event(value))
    return Reader(sources), _named(classes)


def _named(classes: Iterable[type]) -> dict[str, str]:
    """Return the names of events, by the dotted names of their classes."""
    return {f"{cls.__module__}.{cls.__qualname__}": event_name(cls) for cls in classes}


@lru_cache(maxsize=8)
def _imported(base: str, _count: int) -> dict[str, str]:
    """Return the files of the project's imported modules; cached until more have been imported."""
    files = ((name, _file_of(name)) for name in list(sys.modules))
    return {name: file for name, file in files if file and _is_of_project(file, base)}


def _file_of(name: str) -> str:
    file = getattr(sys.modules.get(name), "__file__", None)
    is_source = file and file.endswith(".py") and (os.path.isfile(file) or _archive_of(file))
    return str(file) if is_source else ""


def _beside(name: str, file: Path) -> dict[str, str]:
    """Return the modules of the same package, imported or not."""
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    if not package:
        return {}
    others = (each for each in sorted(file.parent.glob("*.py")) if each.stem.isidentifier())
    return {f"{package}.{each.stem}": str(each) for each in others if each.name != "__init__.py"}


def _is_of_project(file: str, base: str) -> bool:
    """Whether a file is the project's own: neither installed, nor choreo's."""
    own = file.startswith(_OWN) and not file.startswith(os.path.join(_OWN, "examples", ""))
    return file.startswith(os.path.join(base, "")) and "site-packages" not in file and not own


@lru_cache(maxsize=4096)
def _text(file: str, modified: int) -> str:
    """Return a source as Python reads it: with a byte order mark, or in the encoding that it declares."""
    try:
        archive = None if modified else _archive_of(file)
        return decode_source(archive.get_data(file) if archive else Path(file).read_bytes())
    except (OSError, SyntaxError, UnicodeDecodeError, LookupError) as error:
        hint = "can Python import it? The encoding must be the one that its first lines declare"
        raise ConfigurationError(f"{file}: can't be read: {error}", hint=hint) from None


def _archive_of(file: str) -> zipimporter | None:
    """Return what reads the archive that a file is in; None for a file of a folder."""
    archives = _archives(len(sys.path_importer_cache))
    return next((each for start, each in archives if file.startswith(start)), None)


@lru_cache(maxsize=1)
def _archives(_count: int) -> list[tuple[str, zipimporter]]:
    """Return the archives on the path, and how names of their files begin; cached until others are read."""
    found = (each for each in sys.path_importer_cache.values() if isinstance(each, zipimporter))
    return [(os.path.join(each.archive, ""), each) for each in found]


def _modified(file: str) -> int:
    """Return when a file was written; 0 for a file of an archive."""
    return 0 if _archive_of(file) else os.stat(file).st_mtime_ns
