"""``[tool.choreo]`` of the nearest ``pyproject.toml``: read, and refused where it can't be right."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from choreo.errors import ConfigurationError

_TEXT: Final = ((str,), "a text")
_COUNT: Final = ((int,), "a whole number")

KEYS: Final[Mapping[str, tuple[tuple[type, ...], str]]] = {
    "store": _TEXT,
    "bootstrap": _TEXT,
    "embedded": ((bool,), "true or false"),
    "from": ((str, datetime), "a text or a time"),
    "schemas": _TEXT,
    "lock": _TEXT,
    "partitions": _COUNT,
    "replication": _COUNT,
    "modules": ((list,), "a list of texts"),
    "rules": ((dict,), "a table of levels, each a text"),
    "kafka": ((dict,), "a table of librdkafka settings"),
}
"""The keys that are known, the types of their values, and what to call those in a message."""

_PATHS: Final = ("store", "schemas", "lock")


class Project(NamedTuple):
    """The settings of a project; ``file`` is None where there is no ``pyproject.toml``."""

    file: Path | None
    settings: Mapping[str, Any]

    def get(self, key: str) -> Any:
        """Give a setting, or None; a path is relative to the folder of the file."""
        value = self.settings.get(key)
        if value is not None and key in _PATHS and self.file:
            return os.path.relpath(self.file.parent / value)
        return value


def nearest_project() -> Project:
    """Find ``pyproject.toml`` upwards from the working directory, and read it.

    Raises `ConfigurationError` for TOML that can't be read, an unknown key, a value of a wrong type.
    """
    here = Path.cwd()
    for folder in (here, *here.parents):
        file = folder / "pyproject.toml"
        if file.is_file():
            return Project(file, _read(file, file.stat().st_mtime_ns))
    return Project(None, {})


def project_folder() -> Path:
    """Give the folder of ``pyproject.toml``, or the working directory."""
    file = nearest_project().file
    return file.parent if file else Path.cwd()


def schemas_folder() -> Path:
    """Give the project's folder of schemas."""
    return Path(nearest_project().get("schemas") or "schemas")


@lru_cache(maxsize=1)
def _read(file: Path, _modified: int) -> Mapping[str, Any]:
    import tomllib

    where = os.path.relpath(file)
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise ConfigurationError(f"{where} can't be read: {error}", hint="correct the file") from None
    settings = content.get("tool", {}).get("choreo", {})
    if not isinstance(settings, dict):
        raise ConfigurationError(f"{where}: tool.choreo must be a table", hint="write it as [tool.choreo]")
    for key, value in settings.items():
        _check(f"{where}: [tool.choreo] {key}", key, value)
    return settings


def _check(where: str, key: str, value: Any) -> None:
    if key not in KEYS:
        close = get_close_matches(key, KEYS, n=1, cutoff=0.75)
        hint = f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(KEYS)}"
        raise ConfigurationError(f"{where}: no such setting", hint=hint)
    types, called = KEYS[key]
    parts = value if isinstance(value, list) else value.values() if isinstance(value, dict) else ()
    right = type(value) in types and all(_is_plain(key, part) for part in parts)
    if not right:
        raise ConfigurationError(f"{where} must be {called}, not {value!r}", hint="correct the value")


def _is_plain(key: str, part: Any) -> bool:
    return isinstance(part, str) or (key == "kafka" and isinstance(part, (int, float, bool)))


if TYPE_CHECKING:
    from choreo.verify import Levels

LEVELS = ("error", "warning", "off")


def levels_set() -> Levels:
    """Give the levels that the project sets, by rule.

    Raises `ConfigurationError` for an unknown rule or level.
    """
    given = nearest_project().get("rules") or {}
    if given:
        _refuse_unknown(given)
    return cast("Levels", {rule.upper(): level for rule, level in given.items()})


def _refuse_unknown(given: dict[str, str]) -> None:
    from choreo.verify.rules import RULES

    known = [rule.id for rule in RULES]
    for rule, level in given.items():
        if rule.upper() not in known:
            close = get_close_matches(rule.upper(), known, 1)
            hint = f"did you mean {close[0]}?" if close else "`choreo rule` lists all"
            raise ConfigurationError(f"[tool.choreo.rules] {rule}: there is no such rule", hint=hint)
        if level not in LEVELS:
            raise ConfigurationError(
                f"[tool.choreo.rules] {rule}: {level!r} is no level", hint=f"one of {', '.join(LEVELS)}"
            )
