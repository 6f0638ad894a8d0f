"""One attempt of a handler: called inside a savepoint, its result checked and encoded, its error classified.

Change this module for what a handler may return or raise: each way that an attempt can go is a `Verdict`.
What follows from a verdict (an event, another attempt, a dead letter) is decided in `choreo.worker.results`.
"""

from __future__ import annotations

import traceback
from typing import Any, Literal, NamedTuple

from choreo.errors import (
    BodyError,
    DeclarationError,
    Permanent,
    StoreError,
    TransactionControl,
    UndeclaredEvent,
    UnknownFingerprint,
)
from choreo.events import event_name
from choreo.participant import Context, Handler
from choreo.ports import Codec, Store
from choreo.worker.binding import Binding
from choreo.worker.bodies import encode

MAX_REASON = 1_000
"""The greatest length of a reason that is published or stored, in characters."""

ALREADY_GONE = "already gone"
"""The reason of a compensation that raised one of its ``ignore`` exceptions."""

Verdict = Literal["returned", "ignored", "permanent", "transient", "unreadable", "unknown-fingerprint"]


class Attempt(NamedTuple):
    """The result of one attempt.

    ``type`` and ``body`` are of the event that it returned; where an event can't be read, ``type`` is of that
    event. ``at`` is the handler's ``ctx.now`` in milliseconds, which its row has too; 0 where it ran outside
    of the transaction.
    """

    verdict: Verdict
    type: str = ""
    body: bytes = b""
    reason: str = ""
    at: int = 0


def attempt(store: Store, codec: Codec, handler: Handler, binding: Binding, context: Context) -> Attempt:
    """Call a handler; its writes are undone unless it returns an event that it declares.

    Of the errors, only the text of a `Permanent` is stored, as the handler's author wrote it: any other text
    may contain data that must not leave the service.
    """
    arguments = prepare(handler, binding, context)
    if isinstance(arguments, Attempt):
        return arguments
    try:
        with store.savepoint():
            return _checked(codec, handler, _call(handler, arguments))
    except StoreError:
        raise  # the turn's transaction is lost
    except Exception as error:
        return _failed(handler, context, error)


def outcome(
    codec: Codec, handler: Handler, context: Context, result: Any, error: BaseException | None
) -> Attempt:
    """Return the attempt of a call outside of the transaction, from its result or its error."""
    if error is not None:
        return _failed(handler, context, error)
    try:
        return _checked(codec, handler, result)
    except Exception as wrong:
        return _failed(handler, context, wrong)


def prepare(handler: Handler, binding: Binding, context: Context) -> list[Any] | Attempt:
    """Return a handler's arguments, or a failed attempt where an event can't be read."""
    try:
        return binding.arguments(handler, context)
    except UnknownFingerprint as error:
        return Attempt("unknown-fingerprint", error.event_type, reason=str(error))
    except BodyError as error:
        return Attempt("unreadable", error.event_type, reason=str(error))


def _failed(handler: Handler, context: Context, error: BaseException) -> Attempt:
    if isinstance(error, UndeclaredEvent | TransactionControl | BodyError | DeclarationError):
        context.log.error("%s: %s", handler.name, error)
        return Attempt("permanent", reason=type(error).__name__)
    if isinstance(error, handler.ignore):
        return Attempt("ignored", reason=ALREADY_GONE)
    if isinstance(error, Permanent):
        return Attempt("permanent", reason=_text(error) or "failed for good")
    return _transient(handler, context, error)


class _OtherStoreError(Exception):
    """Raised in place of a handler's own `StoreError`, of another store than that of the turn."""

    def __init__(self, cause: StoreError) -> None:
        super().__init__()
        self.cause = cause


def _call(handler: Handler, arguments: list[Any]) -> Any:
    try:
        return handler.function(*arguments)
    except StoreError as error:
        raise _OtherStoreError(error) from None


def _transient(handler: Handler, context: Context, error: BaseException) -> Attempt:
    if isinstance(error, _OtherStoreError):
        error = error.cause
    context.log.warning("%s: attempt %d failed: %s", handler.name, context.attempt, _where(error))
    context.log.debug("%s: attempt %d", handler.name, context.attempt, exc_info=error)
    return Attempt("transient", reason=type(error).__name__)


def _checked(codec: Codec, handler: Handler, result: Any) -> Attempt:
    if handler.task == "observer":
        if result is not None:
            raise UndeclaredEvent(f"{handler.name} is an observer and returned {type(result).__name__}")
        return Attempt("returned")
    name = event_name(type(result)) if result is not None else "None"
    if handler.emits.get(name) is not type(result):
        raise UndeclaredEvent(
            f"{handler.name} returned {name}", hint=f"it declares {', '.join(handler.emits)}"
        )
    return Attempt("returned", name, encode(codec, result))


def _text(error: Exception) -> str:
    """Return an error's text, shortened and as valid UTF-8, so that every database and schema accepts it."""
    try:
        text = str(error)
    except Exception:  # a __str__ of the service may raise anything
        return type(error).__name__
    return text[:MAX_REASON].replace("\0", "?").encode(errors="replace").decode()


def _where(error: BaseException) -> str:
    """Return an error's class and line without its text; the traceback is logged at debug level only."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:  # a coroutine that was cancelled before its first step
        return type(error).__name__
    return f"{type(error).__name__} at {frames[-1].filename}:{frames[-1].lineno}"
