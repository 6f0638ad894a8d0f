"""What an exception of a handler means, and what is kept of it."""

from __future__ import annotations

import json

import pytest

from choreo import Permanent
from choreo.errors import Fenced, LogError, StoreError, TurnLost
from choreo.worker.failure import MAX_DETAIL, detail_of, is_ignored, is_of_an_item, permanent_in

PLAIN = ConnectionError("away")
NO = Permanent("no")
GONE = KeyError("gone")


def nested(*errors: Exception) -> ExceptionGroup[Exception]:
    """Return a group in a group."""
    return ExceptionGroup("outer", [ExceptionGroup("inner", list(errors))])


@pytest.mark.parametrize(
    ("error", "permanent", "ignored"),
    [
        (PLAIN, False, False),
        (NO, True, False),
        (GONE, False, True),
        (nested(PLAIN), False, False),
        (nested(PLAIN, NO), True, False),
        (nested(GONE), False, True),
        (nested(GONE, LookupError()), False, True),
        (nested(GONE, PLAIN), False, False),
        (ExceptionGroup("g", [GONE, nested(GONE, NO)]), True, False),
        (BaseExceptionGroup("g", [SystemExit(1), nested(NO)]), True, False),
    ],
)
def test_a_group_is_what_is_in_it(error: BaseException, permanent: bool, ignored: bool) -> None:
    """One `Permanent` is enough; to be ignored takes all of them."""
    assert (permanent_in(error) is NO) is permanent
    assert is_ignored(error, (LookupError,)) is ignored
    assert not is_ignored(error, ())


@pytest.mark.parametrize(
    "text",
    ["", "one line", "two\nlines", "\x1b[31mred", "\ud800", "\0", "x" * 10_000, "\u202eabc\x85\u2028"],
)
@pytest.mark.parametrize("group", [False, True])
def test_what_is_kept_is_one_short_line_that_every_database_takes(text: str, group: bool) -> None:
    """Bounded, without control characters, and UTF-8; nothing of the text where it is redacted."""
    error: BaseException = ValueError(text)
    if group:
        error = ExceptionGroup(text, [ValueError(text), nested(ValueError(text))] * 40)
    detail = detail_of(error)
    assert detail.isprintable()
    assert len(detail) <= MAX_DETAIL
    assert detail.encode()
    assert "ValueError" in detail
    assert "red" not in detail_of(ValueError("red"), redact=True)


def test_the_place_is_of_the_services_own_code() -> None:
    """Not of the library in which it was raised."""
    with pytest.raises(ValueError, match="Expecting") as raised:
        json.loads("{")
    place = detail_of(raised.value, redact=True)
    assert place.startswith("JSONDecodeError (tests/worker/test_failure.py:")


def test_only_what_an_item_did_is_its_fault() -> None:
    """The surroundings are not: a disk, another worker, the cluster."""
    assert all(map(is_of_an_item, (TurnLost("x"), KeyError("x"), TypeError("x"))))
    assert not any(map(is_of_an_item, (StoreError("x"), Fenced("x"), LogError("x"), KeyboardInterrupt())))
