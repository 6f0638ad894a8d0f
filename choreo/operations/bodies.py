"""The event of a dead letter as text: decoded by its schema, with its headers."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

from choreo.avro.json_encoding import body_of, text_of
from choreo.errors import ChoreoError, ConfigurationError, StoreError
from choreo.records import DeadLetter
from choreo.worker.bodies import refuse_too_long


def event_text(letter: DeadLetter, folder: Path) -> str:
    """Return the event that the handler would receive, as ``choreo dlq edit`` reads it.

    Raises `BodyError` where it can't be decoded by the schemas in ``folder``.
    """
    return text_of(letter.event_type, letter.value if letter.edited is None else letter.edited, folder)


def given_body(event_type: str, text: str, folder: Path) -> bytes:
    """Return the body of an event that somebody wrote as JSON. Raises `ConfigurationError`."""
    try:
        body = body_of(event_type, text, folder)
        refuse_too_long(event_type, body)
    except ChoreoError as error:
        hint = error.hint or "write it as `choreo dlq show NUMBER --event` prints one"
        raise ConfigurationError(error.message, hint=hint) from None
    return body


def bodies_of(letter: DeadLetter, folder: Path) -> dict[str, Any]:
    """Return its headers and its events decoded by their schemas or, where that fails, in base64."""
    shown: dict[str, Any] = {"headers": headers_of(letter.headers)}
    bodies = (
        ("event", letter.event_type, letter.value),
        ("edited_event", letter.event_type, letter.edited),
        ("result", letter.result_type, letter.result),
    )
    for name, event_type, body in bodies:
        if body is None:
            continue
        try:
            shown[name] = json.loads(text_of(event_type, body, folder))
        except ChoreoError as error:
            shown[f"{name}_base64"] = b64encode(body).decode()
            shown[f"{name}_unreadable"] = str(error)
    return shown


def headers_of(written: str) -> list[list[str | None]]:
    """Return the headers, their values as text. Raises `StoreError` where they can't be read."""

    def text(value: str | None) -> str | None:
        return None if value is None else b64decode(value).decode("utf-8", "backslashreplace")

    try:
        return [[name, text(value)] for name, value in json.loads(written)]
    except (ValueError, TypeError):
        raise StoreError("its headers can't be read", hint="is the store damaged?") from None
