"""One attempt of a handler: called inside a savepoint, its result checked and encoded, its error classified.

Change this module for what a handler may return or raise: each way that an attempt can go is a `Verdict`.
What follows from a verdict (an event, another attempt, a dead letter) is decided in `choreo.worker.results`.
"""

from __future__ import annotations

import os
from contextlib import nullcontext
from typing import Any, Literal, NamedTuple

from choreo.errors import (
    BodyError,
    DeclarationError,
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
from choreo.worker.failure import detail_of, is_ignored, is_interrupt, name_of, permanent_in, text_of

_NOTHING = nullcontext()

ALREADY_GONE = "already gone"
"""The reason of a compensation that raised one of its ``ignore`` exceptions."""

Verdict = Literal["returned", "ignored", "permanent", "transient", "unreadable", "unknown-fingerprint"]


class Attempt(NamedTuple):
    """The result of one attempt.

    ``type`` and ``body`` are of the event that it returned; where an event can't be read, ``type`` is of that
    event. ``reason`` may be published; ``detail``, what an exception said, never is. ``at`` is the handler's
    ``ctx.now`` in milliseconds, which its row has too; 0 where it ran outside of the transaction. ``by_hand``
    is the note of its row where no handler ran, as somebody did the work. ``error`` is the class of the
    exception that ended it.
    """

    verdict: Verdict
    type: str = ""
    body: bytes = b""
    reason: str = ""
    at: int = 0
    detail: str = ""
    by_hand: str = ""
    error: str = ""


def attempt(
    store: Store,
    codec: Codec,
    handler: Handler,
    binding: Binding,
    context: Context,
    *,
    redact: bool = False,
) -> Attempt:
    """Call a handler; its writes are undone unless it returns an event that it declares.

    Whatever it raises is a failed attempt, also what is no `Exception`, such as the `SystemExit` of a library
    that gives up; only a real interrupt, and the loss of the turn, go on. Of the errors, only the text of a
    `Permanent` is published, as the handler's author wrote it: any other text may contain data that must not
    leave the service, and is in the ``detail`` unless ``redact``.
    """
    arguments = prepare(handler, binding, context, redact=redact)
    if isinstance(arguments, Attempt):
        return arguments
    try:
        with store.savepoint(), context.sessions.scope() if context.sessions else _NOTHING:
            return _checked(codec, handler, _call(handler, arguments), context.time_ms)
    except StoreError:
        raise  # the turn's transaction is lost
    except BaseException as error:
        if is_interrupt(error):
            raise
        return failed(handler, context, error, redact=redact)


def outcome(
    codec: Codec,
    handler: Handler,
    context: Context,
    result: Any,
    error: BaseException | None,
    *,
    redact: bool = False,
) -> Attempt:
    """Return the attempt of a call outside of the transaction, from its result or its error."""
    if error is not None:
        return failed(handler, context, error, redact=redact)
    try:
        return _checked(codec, handler, result)
    except BaseException as wrong:
        if is_interrupt(wrong):
            raise
        return failed(handler, context, wrong, redact=redact)


def prepare(
    handler: Handler, binding: Binding, context: Context, *, redact: bool = False
) -> list[Any] | Attempt:
    """Return a handler's arguments, or a failed attempt where an event can't be read or made."""
    try:
        return binding.arguments(handler, context)
    except UnknownFingerprint as error:
        return Attempt("unknown-fingerprint", error.event_type, reason=str(error), error=name_of(error))
    except BodyError as error:
        return Attempt("unreadable", error.event_type, reason=str(error), error=name_of(error))
    except StoreError:
        raise
    except BaseException as error:  # of an event's own __init__ or __post_init__
        if is_interrupt(error):
            raise
        return failed(handler, context, error, redact=redact)


def failed(handler: Handler, context: Context, error: BaseException, *, redact: bool = False) -> Attempt:
    """Return the attempt that an exception of the handler ended."""
    if isinstance(error, _OtherStoreError):
        error = error.cause
    detail = detail_of(error, redact=redact)
    if isinstance(error, UndeclaredEvent | TransactionControl | BodyError | DeclarationError):
        context.log.error("%s: %s", handler.name, text_of(error))
        return Attempt("permanent", reason=type(error).__name__, detail=detail, error=name_of(error))
    if is_ignored(error, handler.ignore):
        return Attempt("ignored", reason=ALREADY_GONE, detail=detail)
    permanent = permanent_in(error)
    if permanent is not None:
        said = text_of(permanent) or "failed for good"
        return Attempt("permanent", reason=said, detail=detail, error=name_of(error))
    return _transient(handler, context, error, detail)


class _OtherStoreError(Exception):
    """Raised in place of a handler's own `StoreError`, of another store than that of the turn."""

    def __init__(self, cause: StoreError) -> None:
        super().__init__()
        self.cause = cause


def _call(handler: Handler, arguments: list[Any]) -> Any:
    process = os.getpid()
    try:
        return handler.function(*arguments)
    except StoreError as error:
        raise _OtherStoreError(error) from None
    finally:
        end_forked(process)


def end_forked(process: int) -> None:
    """End a process that a handler of ``process`` forked and that leaves the handler: it is no worker."""
    if os.getpid() != process:
        os._exit(FORKED)


FORKED = 70
"""The exit code of a forked process that has left its handler."""


def _transient(handler: Handler, context: Context, error: BaseException, detail: str) -> Attempt:
    where = detail_of(error, redact=True)
    context.log.warning("%s: attempt %d failed: %s", handler.name, context.attempt, where)
    context.log.debug("%s: attempt %d", handler.name, context.attempt, exc_info=error)
    return Attempt("transient", reason=name_of(error), detail=detail, error=name_of(error))


def _checked(codec: Codec, handler: Handler, result: Any, at: int = 0) -> Attempt:
    if handler.task == "observer":
        if result is not None:
            raise UndeclaredEvent(f"{handler.name} is an observer and returned {type(result).__name__}")
        return Attempt("returned", at=at)
    name = event_name(type(result)) if result is not None else "None"
    if handler.emits.get(name) is not type(result):
        raise UndeclaredEvent(
            f"{handler.name} returned {name}", hint=f"it declares {', '.join(handler.emits)}"
        )
    return Attempt("returned", name, encode(codec, result), at=at)
