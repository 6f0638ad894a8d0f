"""The settings of librdkafka's clients: those that choreo requires, its defaults, and the user's.

Names and meanings: librdkafka's ``CONFIGURATION.md``.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from choreo.errors import ConfigurationError

Setting = str | int | float | bool

_log = logging.getLogger("choreo.kafka")

_NEEDED_TO_READ: Final[Mapping[str, Setting]] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "enable.partition.eof": True,
    "auto.offset.reset": "error",  # positions come from the store and must never jump
    "isolation.level": "read_committed",
    "check.crcs": True,  # a corrupt record must not be handled
}
_NEEDED_TO_WRITE: Final[Mapping[str, Setting]] = {
    "partitioner": "murmur2_random",  # that of Java's client, so that all producers use the same partition
    "enable.idempotence": True,
    "acks": "all",
    "enable.gapless.guarantee": True,  # no publication may overtake one that failed
    # A broker takes any batch as the first of a producer that it doesn't know on a partition. Were a second
    # one under way when the first is refused (the leader has just moved, or the topic was just created), it
    # would be written, and librdkafka take the first as written, too: lost, and acknowledged (KAFKA-15591).
    "max.in.flight.requests.per.connection": 1,
    "message.timeout.ms": 0,  # an outage is waited out
}
_PREFERRED_TO_READ: Final[Mapping[str, Setting]] = {
    "group.protocol": "classic",
    "queued.max.messages.kbytes": 16_384,
    "queued.min.messages": 10_000,
    "fetch.queue.backoff.ms": 10,
    "allow.auto.create.topics": False,
}
_PREFERRED_TO_WRITE: Final[Mapping[str, Setting]] = {
    "linger.ms": 0,  # the publications of a turn share requests in any case
    "queue.buffering.max.kbytes": 65_536,
    "topic.metadata.propagation.max.ms": 5000,  # how long a topic may be unknown that was just created
}
_PREFERRED: Final[Mapping[str, Setting]] = {"reconnect.backoff.max.ms": 1000}
_EMBEDDED: Final[Mapping[str, Setting]] = {
    "group.protocol": "consumer",  # classic groups take 3 s on the mock cluster
    "fetch.wait.max.ms": 2,  # it answers an empty fetch only when the wait is over
    "allow.auto.create.topics": True,
}
_REFUSED: Final[Mapping[str, str]] = {
    **dict.fromkeys((*_NEEDED_TO_READ, *_NEEDED_TO_WRITE), "choreo's promise depends on it: leave it out"),
    **dict.fromkeys(
        (
            "request.required.acks",
            "delivery.timeout.ms",
            "max.in.flight",
            "enable.auto.offset.reset",
            "delivery.report.only.error",
        ),
        "choreo's promise depends on it: leave it out",
    ),
    **dict.fromkeys(
        ("retries", "message.send.max.retries", "transactional.id"),
        "publications are retried by choreo itself",
    ),
    **dict.fromkeys(("bootstrap.servers", "metadata.broker.list"), "give the address of the cluster instead"),
    "group.id": "it is the name of the participant",
    "group.instance.id": "give the name of the instance instead",
}


_LONG = 4
"""The length from which on a value is also hidden where it isn't in quotes."""


_CHATTER: Final = frozenset(("CONFWARN", "FAIL", "ERROR", "REQTMOUT", "CONNECT", "GETPID", "FATAL"))
"""The facilities of librdkafka whose lines are about settings of the other client, or are repeated at every
attempt to reach a broker (`choreo.kafka.outage` tells of that once), or about what is raised as an error."""


class _Logger:
    """Logs librdkafka's lines as ``choreo.kafka``, its chatter as debug."""

    def __init__(self, settings: Mapping[str, Setting]) -> None:
        self._settings = dict(settings)

    def log(self, level: int, text: str, *arguments: object) -> None:
        """Log one line, without the values of settings; the first argument is its facility."""
        chatter = bool(arguments) and arguments[0] in _CHATTER
        shown = [hidden(each, self._settings) if isinstance(each, str) else each for each in arguments]
        _log.log(logging.DEBUG if chatter else level, hidden(text, self._settings), *shown)


def hidden(text: str, settings: Mapping[str, Setting]) -> str:
    """Return a text of librdkafka's without the values of settings, any of which may be a secret.

    >>> hidden('Invalid value "hunter2" for configuration property "debug"', {"debug": "hunter2"})
    'Invalid value "…" for configuration property "debug"'
    """
    for value in sorted(map(str, settings.values()), key=len, reverse=True):
        text = text.replace(f'"{value}"', '"…"').replace(f"`{value}`", "`…`")
        text = text.replace(value, "…") if len(value) >= _LONG else text
    return text


def unusable(text: str, settings: Mapping[str, Setting]) -> ConfigurationError:
    """Return the error for settings that librdkafka refuses with a text."""
    return ConfigurationError(f"Kafka settings can't be used: {hidden(text, settings)}")


def check(settings: Mapping[str, Setting]) -> None:
    """Raise `ConfigurationError` for a setting that would break choreo's guarantees."""
    for name in settings:
        if name in _REFUSED:
            raise ConfigurationError(f"the Kafka setting {name} can't be used", hint=_REFUSED[name])


def of_consumer(
    bootstrap: str, group: str, instance: str, settings: Mapping[str, Setting], embedded: bool
) -> dict[str, Any]:
    """Return the settings of a participant's consumer, a static member with an ``instance`` (KIP-345)."""
    static = {"group.instance.id": instance} if instance and not embedded else {}
    ours = {**_PREFERRED_TO_READ, **(_EMBEDDED if embedded else {})}
    return {**of_client(bootstrap, {**ours, **settings}), **_NEEDED_TO_READ, **static, "group.id": group}


def of_producer(bootstrap: str, settings: Mapping[str, Setting]) -> dict[str, Any]:
    """Return the settings of a participant's idempotent producer (KIP-98)."""
    return {**of_client(bootstrap, {**_PREFERRED_TO_WRITE, **settings}), **_NEEDED_TO_WRITE}


def of_client(bootstrap: str, settings: Mapping[str, Setting]) -> dict[str, Any]:
    """Return the settings of any client: the address, Python's logging, and the user's own."""
    return {"logger": _Logger(settings), **_PREFERRED, **settings, "bootstrap.servers": bootstrap}
