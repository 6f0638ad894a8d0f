"""A log of JSON holds an object a line, whatever is logged."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from choreo.cli.output import _Json


class Mute:
    """Can't be told."""

    def __str__(self) -> str:
        raise RuntimeError

    __repr__ = __str__


CIRCLE: list[Any] = []
CIRCLE.append(CIRCLE)


def logged(message: object = "paid", *arguments: object, **bound: object) -> dict[str, Any]:
    """Return the line of a record, as a strict reader takes it."""
    given = {"name": "shop", "levelno": 20, "levelname": "INFO", "msg": message, "args": arguments, **bound}
    line = _Json().format(logging.makeLogRecord(given))
    assert "\n" not in line
    read: dict[str, Any] = json.loads(line, parse_constant=lambda word: pytest.fail(word))
    return read


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (float("nan"), "nan"),
        ([1.0, float("inf")], "[1.0, inf]"),
        ({("a", 1): 2}, "{('a', 1): 2}"),
        (CIRCLE, "[[...]]"),
        (Mute(), "<Mute>"),
        (10**5_000, "<int>"),
        (b"\xff", "b'\\xff'"),
        ("\ud800\n\u202e", "\ud800\n\u202e"),
        ({"a": [1, None]}, {"a": [1, None]}),
    ],
    ids=["nan", "infinity", "a key", "a circle", "mute", "long", "bytes", "text", "plain"],
)
def test_what_json_has_no_word_for_is_a_text(value: object, told: object) -> None:
    """It costs its own field, and not the line."""
    assert logged(amount=value, order=7)["amount"] == told
    assert logged(amount=value, order=7)["order"] == 7


def test_a_message_that_does_not_fit_is_told_as_it_is() -> None:
    """Python's logging would write a traceback beside the lines, with all that was given."""
    assert logged("%d lamps", "two")["message"] == "%d lamps"
    assert logged(Mute())["message"] == "<Mute>"


def test_where_it_was_logged_is_kept() -> None:
    assert logged(stack_info="Stack:\n here")["stack"] == "Stack:\n here"
