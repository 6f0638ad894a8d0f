"""``Fields``: an untrusted JSON object, each value of which is checked when it is read."""

from __future__ import annotations

from typing import Any

from choreo import limits
from choreo.errors import ManifestError
from choreo.protocol import Trigger

_MAX_ITEMS = 10_000
_MAX_TEXT = 2_000
_MAX_JOIN = 1_000


class Fields:
    """The fields of one object; ``where`` (its place) and ``hint`` are for error messages.

    Every method raises `ManifestError` when the field is not of the type that the method returns.
    """

    def __init__(self, given: Any, where: str, hint: str) -> None:
        if not isinstance(given, dict) or len(given) > _MAX_ITEMS:
            raise ManifestError(f"{where}: not an object of at most {_MAX_ITEMS} fields", hint=hint)
        self._given = given
        self._where = where
        self._hint = hint

    def names(self) -> list[str]:
        """Return the names of all fields."""
        return [self._text(name, name) for name in self._given]

    def text(self, name: str, choices: tuple[str, ...] = ()) -> str:
        """Return a text, which must be one of ``choices`` where there are any."""
        value = self._text(name, self._given.get(name))
        if choices and value not in choices:
            raise self._refusal(name, f"one of {', '.join(filter(None, choices))}")
        return value

    def count(self, name: str) -> int:
        """Return a whole number that is not negative."""
        value = self._given.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**53:
            raise self._refusal(name, "a whole number")
        return value

    def count_or_none(self, name: str) -> int | None:
        """Return a whole number, or None where there is none."""
        return self.count(name) if self.has(name) else None

    def number(self, name: str) -> float:
        """Return a number that is not negative."""
        value = self._given.get(name)
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value < 2**53:
            raise self._refusal(name, "a number")
        return float(value)

    def flag(self, name: str) -> bool:
        """Return a boolean."""
        value = self._given.get(name)
        if not isinstance(value, bool):
            raise self._refusal(name, "true or false")
        return value

    def items(self, name: str) -> list[Any]:
        """Return a list."""
        value = self._given.get(name)
        if not isinstance(value, list) or len(value) > _MAX_ITEMS:
            raise self._refusal(name, f"a list of at most {_MAX_ITEMS}")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of texts."""
        return tuple(self._text(name, each) for each in self.items(name))

    def identifiers(self, name: str) -> tuple[str, ...]:
        """Return a list of texts that may be names in code."""
        values = self.texts(name)
        if not all(map(str.isidentifier, values)):
            raise self._refusal(name, "a list of names")
        return values

    def trigger(self, name: str) -> Trigger:
        """Return a trigger: a list of slots, each a list of alternatives, which are events or joins.

        A join is a list of slots, too.
        """
        slots = self.items(name)
        self._refuse_wide(name, slots)
        return self._join(name, slots)

    def _refuse_wide(self, name: str, slots: list[Any]) -> None:
        left, levels = limits.TRIGGER_TYPES, limits.TRIGGER_LEVELS
        while slots:
            fits = levels > 0 and all(isinstance(slot, list) and slot for slot in slots)
            alternatives = [each for slot in slots for each in slot] if fits else []
            joins = [each for each in alternatives if isinstance(each, list)]
            left, levels = left - len(alternatives), levels - 1
            if not fits or left < 0 or not all(joins):
                raise self._refusal(
                    name,
                    f"a list of slots, of at most {limits.TRIGGER_TYPES:,} alternatives together and in "
                    f"{limits.TRIGGER_LEVELS} levels",
                )
            slots = [slot for join in joins for slot in join]

    def _join(self, name: str, slots: list[list[Any]]) -> Trigger:
        return Trigger.all_of(
            *(
                Trigger.any_of(
                    *(
                        self._join(name, each)
                        if isinstance(each, list)
                        else Trigger.of(self._text(name, each))
                        for each in slot
                    )
                )
                for slot in slots
            )
        )

    def alternatives(self, name: str) -> Trigger:
        """Return a trigger in the former format: a list of sets of events, of which any one is enough."""
        options = self.sets(name)
        if sum(map(len, options)) > limits.ALTERNATIVES_TYPES:
            raise self._refusal(
                name, f"alternatives of at most {limits.ALTERNATIVES_TYPES:,} events together"
            )
        return Trigger.of_alternatives(options)

    def sets(self, name: str) -> tuple[frozenset[str], ...]:
        """Return a list of sets of texts, none of them empty."""
        options = self.items(name)
        for option in options:
            if not isinstance(option, list) or not 0 < len(option) <= _MAX_JOIN:
                raise self._refusal(name, "a list of lists of texts")
        return tuple(frozenset(self._text(name, each) for each in option) for option in options)

    def within(self, name: str) -> Fields:
        """Return an object."""
        return Fields(self._given.get(name), f"{self._where}: {name}", self._hint)

    def each(self, name: str) -> list[Fields]:
        """Return a list of objects."""
        items = enumerate(self.items(name))
        return [Fields(item, f"{self._where}: {name}[{at}]", self._hint) for at, item in items]

    def named(self, name: str) -> dict[str, Fields]:
        """Return an object whose values are objects."""
        inner = self.within(name)
        return {key: inner.within(key) for key in inner.names()}

    def texts_by_name(self, name: str) -> dict[str, str]:
        """Return an object whose values are texts."""
        inner = self.within(name)
        return {key: inner.text(key) for key in inner.names()}

    def anything(self, name: str) -> Any:
        """Return any value, unchecked; None where there is none."""
        return self._given.get(name)

    def has(self, name: str) -> bool:
        """Whether there is a value that is not null."""
        return self._given.get(name) is not None

    def _text(self, name: str, value: Any) -> str:
        if not isinstance(value, str) or len(value) > _MAX_TEXT or not value.isprintable():
            raise self._refusal(name[:80], f"a text of at most {_MAX_TEXT} printable characters")
        return value

    def _refusal(self, name: str, wanted: str) -> ManifestError:
        return ManifestError(f"{self._where}: {name!r} is not {wanted}", hint=self._hint)
