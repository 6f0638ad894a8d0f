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
"""The longest reason that is published and kept, in characters."""

ALREADY_GONE = "already gone"
"""The reason of a compensation that found nothing to undo."""

Verdict = Literal["returned", "ignored", "permanent", "transient", "unreadable", "unknown-fingerprint"]


class Attempt(NamedTuple):
    """How an attempt went; ``type`` and ``body`` are those of the event that it returned; where
    an event can't be read, ``type`` is that one's.

    ``at`` is the handler's ``ctx.now`` in milliseconds, so that its row has the same time; 0 where it
    ran outside of the transaction.
    """

    verdict: Verdict
    type: str = ""
    body: bytes = b""
    reason: str = ""
    at: int = 0


def attempt(store: Store, codec: Codec, handler: Handler, binding: Binding, context: Context) -> Attempt:
    """Call a handler; what it wrote stays only if it returned an event that it declares.

    An error's text is kept only where the author of the handler chose it (`Permanent`): any other
    may quote what must not leave the service.
    """
    arguments = prepare(handler, binding, context)
    if isinstance(arguments, Attempt):
        return arguments
    try:
        with store.savepoint():
            return _checked(codec, handler, _call(handler, arguments))
    except StoreError:
        raise  # the turn's transaction is lost: nothing may be decided on it
    except Exception as error:
        return _failed(handler, context, error)


def outcome(
    codec: Codec, handler: Handler, context: Context, result: Any, error: BaseException | None
) -> Attempt:
    """Return the attempt of what a call outside of the transaction returned or raised, as `attempt` does."""
    if error is not None:
        return _failed(handler, context, error)
    try:
        return _checked(codec, handler, result)
    except Exception as wrong:
        return _failed(handler, context, wrong)


def prepare(handler: Handler, binding: Binding, context: Context) -> list[Any] | Attempt:
    """Return a handler's arguments; where an event can't be read, the attempt that has failed by it."""
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
    """Stands for a `StoreError` that a handler raised: that store isn't ours, whose turn can go on."""

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
    """Return an error's text as any database and any schema can hold it: bounded, and valid UTF-8."""
    try:
        text = str(error)
    except Exception:  # what the service's own __str__ does
        return type(error).__name__
    return text[:MAX_REASON].replace("\0", "?").encode(errors="replace").decode()


def _where(error: BaseException) -> str:
    """Return an error's name and line, without its text: the traceback is for the debug log only."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:  # a coroutine that was cancelled before its first step
        return type(error).__name__
    return f"{type(error).__name__} at {frames[-1].filename}:{frames[-1].lineno}"
