"""``Fields``: a JSON object from outside, each value checked as it is taken."""

from __future__ import annotations

from typing import Any

from choreo.errors import ManifestError

ANEW = "write it anew: choreo manifest MODULE:PARTICIPANT"

_MAX_ITEMS = 10_000
_MAX_TEXT = 2_000


class Fields:
    """The fields of one object; ``where`` says which, for messages.

    Every method raises `ManifestError` where the field is not what it should be.
    """

    def __init__(self, given: Any, where: str) -> None:
        if not isinstance(given, dict):
            raise ManifestError(f"{where}: not an object", hint=ANEW)
        self._given = given
        self._where = where

    def text(self, name: str, choices: tuple[str, ...] = ()) -> str:
        """Take a text, one of ``choices`` where there are any."""
        value = self._given.get(name)
        if not isinstance(value, str) or len(value) > _MAX_TEXT or not value.isprintable():
            raise self.refusal(name, f"a text of at most {_MAX_TEXT} printable characters")
        if choices and value not in choices:
            raise self.refusal(name, f"one of {', '.join(filter(None, choices))}")
        return value

    def count(self, name: str) -> int:
        """Take a whole number that is not negative."""
        value = self._given.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**53:
            raise self.refusal(name, "a whole number")
        return value

    def count_or_none(self, name: str) -> int | None:
        """Take a whole number, or nothing."""
        return None if self._given.get(name) is None else self.count(name)

    def number(self, name: str) -> float:
        """Take a number that is not negative."""
        value = self._given.get(name)
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value < 2**53:
            raise self.refusal(name, "a number")
        return float(value)

    def flag(self, name: str) -> bool:
        """Take true or false."""
        value = self._given.get(name)
        if not isinstance(value, bool):
            raise self.refusal(name, "true or false")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """Take a list of texts."""
        return tuple(Fields({name: each}, self._where).text(name) for each in self.items(name))

    def items(self, name: str) -> list[Any]:
        """Take a list."""
        value = self._given.get(name)
        if not isinstance(value, list) or len(value) > _MAX_ITEMS:
            raise self.refusal(name, f"a list of at most {_MAX_ITEMS}")
        return value

    def each(self, name: str) -> list[Fields]:
        """Take a list of objects."""
        return [Fields(item, f"{self._where}: {name}[{at}]") for at, item in enumerate(self.items(name))]

    def within(self, name: str) -> Fields:
        """Take an object."""
        return Fields(self._given.get(name), f"{self._where}: {name}")

    def named(self, name: str) -> dict[str, Fields]:
        """Take an object whose values are objects."""
        value = self._given.get(name)
        if not isinstance(value, dict) or len(value) > _MAX_ITEMS:
            raise self.refusal(name, f"an object of at most {_MAX_ITEMS} fields")
        return {key: Fields(item, f"{self._where}: {name}.{key}") for key, item in value.items()}

    def anything(self, name: str) -> Any:
        """Take whatever is there, unchecked."""
        return self._given.get(name)

    def has(self, name: str) -> bool:
        """Say whether there is anything."""
        return self._given.get(name) is not None

    def refusal(self, name: str, wanted: str) -> ManifestError:
        """Make the error that a field is not what it should be."""
        return ManifestError(f"{self._where}: {name} is not {wanted}", hint=ANEW)
