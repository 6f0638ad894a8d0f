"""The errors that choreo raises, with one base class.

Each has a message of one sentence and, where there is something to do about it, a ``hint``.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any


class ChoreoError(Exception):
    """Raised when choreo can't go on; the base class of every error below.

    ``hint`` is what to do about it, or empty. The CLI prints the message and the hint on one line and exits
    with ``exit_code``.

    >>> str(ChoreoError("no such step: ship", hint="steps of shop: reserve, charge"))
    'no such step: ship (hint: steps of shop: reserve, charge)'
    """

    exit_code = 2

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} (hint: {self.hint})" if self.hint else self.message


class DeclarationError(ChoreoError):
    """Raised when an event, a saga or a handler is declared in a way that could not work."""


class ConfigurationError(ChoreoError):
    """Raised when an option, a setting or a command-line argument can't be used."""


def wrong_argument(name: str, value: object, wanted: str, *, hint: str = "") -> ConfigurationError:
    """Return the error for an argument that is not what is ``wanted``.

    >>> print(wrong_argument("saga_id", 7, "a text", hint="str(order.id)"))
    saga_id=7 is not a text (hint: str(order.id))
    """
    return ConfigurationError(f"{name}={value!r:.100} is not {wanted}", hint=hint)


class SchemaError(ChoreoError):
    """Raised when an Avro schema can't be derived from a class, or a schema file can't be used."""


class IncompatibleSchema(SchemaError):
    """Raised when a new version of an event could not be read by, or could not read, an older one."""


class BodyError(ChoreoError):
    """Raised when the body of a record can't be decoded; it becomes a dead letter.

    ``event_type`` names the event, where it is one of several that a handler takes.
    """

    event_type = ""


class PayloadErased(BodyError):
    """Raised when an event is needed whose payload was erased from the saga log."""


class UnknownFingerprint(BodyError):
    """Raised when no known schema has the body's fingerprint; retried, as the writer may be newer."""


class HeadersError(ChoreoError):
    """Raised when the CloudEvents headers of a record can't be read; it becomes a dead letter."""


class UndeclaredEvent(ChoreoError):
    """Raised when a handler returns an event that its declaration doesn't name."""


class TransactionControl(ChoreoError):
    """Raised when a handler commits or rolls back, or uses ``ctx.db`` while it runs outside a transaction."""


class StoreError(ChoreoError):
    """Raised when the store's database can't be opened, is locked, or is of a newer version."""


class StoreUnavailable(StoreError):
    """Raised while the database is locked by another process, or its disk is full or fails: nothing was done.

    The same may be tried again later, as a worker does by itself.
    """


class StoreChanged(StoreUnavailable):
    """Raised at the beginning of a turn where another process has written what this one may have in memory.

    The same may be tried again at once, with what the store holds.
    """


class StoreMismatch(StoreError):
    """Raised when the store and the topic contradict each other, which could lose or repeat effects."""


class StoreGone(StoreError):
    """Raised when the files of an open store were deleted, moved or replaced by others."""


class NestedTransaction(StoreError, TransactionControl):
    """Raised when a transaction is opened inside of another one of the same store, and would wait for it."""


class TurnLost(StoreError):
    """Raised when something that was done inside a turn made the database undo it, or refuse to commit it."""


class SavepointSkipped(TurnLost):
    """Raised where a part of a turn was to be undone alone, for which no savepoint was made."""


class Fenced(StoreError):
    """Raised when another worker has claimed the store, so that this one must stop.

    Where ``partitions`` are named, it is these that another replica has taken over, and this one goes on
    with the others.
    """

    def __init__(self, message: str, *, hint: str = "", partitions: frozenset[Any] = frozenset()) -> None:
        super().__init__(message, hint=hint)
        self.partitions = partitions


class ArchiveError(ChoreoError):
    """Raised when an export of a saga log, or a file of its heads, can't be read, or isn't whole."""


class ReplayError(ChoreoError):
    """Raised when a saga can't be replayed: it isn't known, or its rows can't be read."""


class ReleaseRefused(ChoreoError):
    """Raised at the start of a worker whose declarations lack what sagas in flight still need."""


class LifespanError(ChoreoError):
    """Raised when a participant's lifespan fails at the start of its worker, or ends before the worker."""


class LogError(ChoreoError):
    """Raised when the Kafka cluster can't be reached or refuses what choreo needs."""


class ManifestError(ChoreoError):
    """Raised when a manifest can't be read, or is not a manifest."""


class Permanent(Exception):
    """Raised by a handler where a retry is useless; the step's failure event is published without one.

    >>> raise Permanent("card declined")
    Traceback (most recent call last):
    choreo.errors.Permanent: card declined
    """


def did_you_mean(word: object, known: Iterable[str], otherwise: str) -> str:
    """Return a hint for an unknown word: the most similar known one, else ``otherwise`` and all known ones.

    >>> did_you_mean("timeot", ["fails", "timeout"], "options")
    "did you mean 'timeout'?"
    >>> did_you_mean("colour", ["fails", "timeout"], "options")
    'options: fails, timeout'
    """
    words = list(known)
    close = get_close_matches(str(word), words, n=1)
    return f"did you mean {close[0]!r}?" if close else f"{otherwise}: {', '.join(words) or 'none yet'}"
