"""Kafka's errors as errors of choreo, with a hint at what to do."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from confluent_kafka import KafkaError, KafkaException

from choreo.errors import LogError

_TOPIC: Final = "create it with `choreo topics create`"
_ACCESS: Final = "ask the cluster's administrator for access (ACL)"
_LARGE: Final = "keep large data elsewhere and send a reference, or raise the topic's max.message.bytes"
_POSITION: Final = "retention deleted what was not read yet, or the topic was made anew"
_CREDENTIALS: Final = "check the security settings (security.protocol, sasl.*, ssl.*)"
_CLOCK: Final = (
    "set it, or let the broker stamp the records (message.timestamp.type=LogAppendTime, "
    "as `choreo topics create` does)"
)
_POLICY: Final = "ask the cluster's administrator what its policy allows"
_DAMAGED: Final = (
    "a record is damaged, on its way or on the broker's disk: start again, and see the broker's log"
)
_INSTANCE: Final = "another worker runs on the same store: stop one of them"

MISSING: Final = frozenset(
    (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION)
)
"""The errors of a topic that doesn't exist, or that may not be seen."""

_HINTS: Final = {
    **dict.fromkeys(MISSING, _TOPIC),
    KafkaError.TOPIC_AUTHORIZATION_FAILED: _ACCESS,
    KafkaError.GROUP_AUTHORIZATION_FAILED: _ACCESS,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: _ACCESS,
    KafkaError.MSG_SIZE_TOO_LARGE: _LARGE,
    KafkaError.RECORD_LIST_TOO_LARGE: _LARGE,
    KafkaError.INVALID_TIMESTAMP: _CLOCK,
    KafkaError.POLICY_VIOLATION: _POLICY,
    KafkaError.OFFSET_OUT_OF_RANGE: _POSITION,
    KafkaError._AUTO_OFFSET_RESET: _POSITION,
    KafkaError._LOG_TRUNCATION: _POSITION,
    # The client would skip records that it can't unpack.
    KafkaError._BAD_MSG: _DAMAGED,
    KafkaError._BAD_COMPRESSION: _DAMAGED,
    KafkaError._AUTHENTICATION: _CREDENTIALS,
    KafkaError.SASL_AUTHENTICATION_FAILED: _CREDENTIALS,
    KafkaError.FENCED_INSTANCE_ID: _INSTANCE,
    KafkaError.UNRELEASED_INSTANCE_ID: _INSTANCE,
    KafkaError.INCONSISTENT_GROUP_PROTOCOL: "the group's other members use other group settings",
    KafkaError.INVALID_SESSION_TIMEOUT: "session.timeout.ms is not within the broker's limits",
}


_STARTING: Final = frozenset(
    (
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
    )
)


def is_final(error: KafkaError) -> bool:
    """Whether an error is not resolved by waiting, unlike an outage."""
    return error.fatal() or error.code() == KafkaError._FATAL or error.code() in _HINTS


def is_starting(error: KafkaError) -> bool:
    """Whether a broker is about to serve a group, and says so."""
    return error.code() in _STARTING


def is_unreleased(error: KafkaError) -> bool:
    """Whether a member's name still is that of another one, until the session of that one is over."""
    return error.code() == KafkaError.UNRELEASED_INSTANCE_ID or "instance ID is still used" in error.str()


def is_fencing(error: KafkaError) -> bool:
    """Whether a member was put out of its group, since it was silent for too long or was replaced."""
    is_fatal = error.fatal() or error.code() == KafkaError._FATAL
    return error.code() == KafkaError.FENCED_INSTANCE_ID or (is_fatal and "group.instance.id" in error.str())


def refused(doing: str, error: KafkaError) -> LogError:
    """Return the error to raise: the operation, Kafka's text, and a hint."""
    return LogError(f"{doing}: {error.str()} ({error.name()})", hint=_hint(error))


def why(error: KafkaError) -> str:
    """Return why a publication was refused: Kafka's text, and a hint; for a refused time, this host's."""
    text = f"{error.str()} ({error.name()})"
    if error.code() == KafkaError.INVALID_TIMESTAMP:
        return f"{text}; the clock of this host says {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}: {_CLOCK}"
    hint = _hint(error)
    return f"{text}; {hint}" if hint else text


def cause(exception: KafkaException) -> KafkaError:
    """Return the `KafkaError` of an exception of confluent-kafka."""
    error = exception.args[0] if exception.args else None
    return error if isinstance(error, KafkaError) else KafkaError(KafkaError._FAIL, str(exception))


def _hint(error: KafkaError) -> str:
    """Return a hint; a consumer's fatal error is distinguished by its text only."""
    if error.code() == KafkaError._FATAL and "group.instance.id" in error.str():
        return _INSTANCE
    return _HINTS.get(error.code(), "")
