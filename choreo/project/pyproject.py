"""Reads ``[tool.choreo]`` of the nearest ``pyproject.toml``, and refuses wrong keys and values."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from datetime import datetime
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from choreo.errors import ConfigurationError
from choreo.limits import SETTINGS

_TEXT: Final = ((str,), "a text")
_COUNT: Final = ((int,), "a whole number")

KEYS: Final[Mapping[str, tuple[tuple[type, ...], str]]] = {
    "store": _TEXT,
    "bootstrap": _TEXT,
    "embedded": ((bool,), "true or false"),
    "from": ((str, datetime), "a text or a time"),
    "schemas": _TEXT,
    "lock": _TEXT,
    "calls": _COUNT,
    "drain": ((int, float), "a number of seconds"),
    "partitions": _COUNT,
    "replication": _COUNT,
    "modules": ((list,), "a list of texts"),
    "rules": ((dict,), "a table of levels, each a text"),
    "kafka": ((dict,), "a table of librdkafka settings"),
}
"""The known keys, the types of their values, and what a message calls these."""

_KAFKA_HINT: Final = (
    "write each value as a text, a number, or true or false, and a key with dots in quotes: "
    '"sasl.password" = …'
)

_LONGEST: Final = 200
"""The length beyond which a project's name is not used."""

_PATHS: Final = ("store", "schemas", "lock")


class Project(NamedTuple):
    """The settings of a project; ``file`` is None where there is no ``pyproject.toml``, ``name`` its name."""

    file: Path | None
    settings: Mapping[str, Any]
    name: str = ""

    def get(self, key: str) -> Any:
        """Return a setting, or None; a path in the file is relative to its folder."""
        value = self.settings.get(key)
        if value is not None and key in _PATHS and self.file:
            return os.path.relpath(self.file.parent / value)
        return value


def nearest_project() -> Project:
    """Return the project of the nearest ``pyproject.toml``, upwards from the working directory.

    Raises `ConfigurationError` for TOML that can't be read, an unknown key, a value of a wrong type.
    """
    here = Path.cwd()
    for folder in (here, *here.parents):
        file = folder / "pyproject.toml"
        if file.is_file():
            return Project(file, *_read(file, file.stat().st_mtime_ns))
    return Project(None, {})


def project_folder() -> Path:
    """Return the folder of ``pyproject.toml``, or the working directory."""
    file = nearest_project().file
    return file.parent if file else Path.cwd()


def schemas_folder() -> Path:
    """Return the project's folder of schemas."""
    return Path(nearest_project().get("schemas") or "schemas")


@lru_cache(maxsize=1)
def _read(file: Path, _modified: int) -> tuple[Mapping[str, Any], str]:
    where = os.path.relpath(file)
    try:
        content = tomllib.loads(_text(file))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError, OSError) as error:
        raise ConfigurationError(f"{where} can't be read: {error}", hint="correct the file") from None
    settings = content.get("tool", {}).get("choreo", {})
    if not isinstance(settings, dict):
        raise ConfigurationError(f"{where}: tool.choreo must be a table", hint="write it as [tool.choreo]")
    for key, value in settings.items():
        _check(f"{where}: [tool.choreo] {key}", key, value)
    name = content.get("project", {}).get("name", "") if isinstance(content.get("project", {}), dict) else ""
    return settings, name if isinstance(name, str) and name.isprintable() and len(name) <= _LONGEST else ""


def _text(file: Path) -> str:
    with file.open("rb") as opened:
        content = opened.read(SETTINGS + 1)
    if len(content) > SETTINGS:
        raise ConfigurationError(f"{os.path.relpath(file)} is larger than {SETTINGS} bytes")
    return content.decode()


def _check(where: str, key: str, value: Any) -> None:
    if key not in KEYS:
        close = get_close_matches(key, KEYS, n=1, cutoff=0.75)
        hint = f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(KEYS)}"
        raise ConfigurationError(f"{where}: no such setting", hint=hint)
    types, called = KEYS[key]
    parts = value if isinstance(value, list) else value.values() if isinstance(value, dict) else ()
    right = type(value) in types and all(_is_plain(key, part) for part in parts)
    if not right:
        if key == "kafka":
            raise ConfigurationError(f"{where} must be {called}{_wrong_part(value)}", hint=_KAFKA_HINT)
        raise ConfigurationError(f"{where} must be {called}, not {value!r}", hint="correct the value")


def _wrong_part(table: Any) -> str:
    """Return which of Kafka's settings is wrong, without its value, which may be a secret."""
    if not isinstance(table, dict):
        return ""
    wrong = next(name for name, part in table.items() if not _is_plain("kafka", part))
    return f", and {wrong} is none"


def _is_plain(key: str, part: Any) -> bool:
    return isinstance(part, str) or (key == "kafka" and isinstance(part, (int, float, bool)))
