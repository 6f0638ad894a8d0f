"""``KafkaProducer``: the idempotent producer of the log, which keeps the order of each key."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from choreo.errors import LogError
from choreo.kafka.errors import cause, is_final, refused
from choreo.ports import Publication

REPORT_DEADLINE: Final = 1.0
"""Seconds to wait for the report of a publication that caused a fatal error."""

_log = logging.getLogger("choreo.kafka")

_RAISED: Final = (KafkaException, SystemError)
"""The exceptions of the client for a fatal error; `SystemError` where it calls a delivery report while an
exception is set."""

_CONSEQUENCES: Final = {
    KafkaError._FATAL,
    KafkaError._GAPLESS_GUARANTEE,
    KafkaError._PURGE_QUEUE,
    KafkaError._PURGE_INFLIGHT,
}
"""Errors that follow from an earlier one: a fatal error drops queued publications, whose reports may come
before its own."""


class KafkaProducer:
    """Publishes in order; not thread-safe.

    After the first publication that can't be delivered, the queued ones are dropped, so that the order is
    kept, and every later call raises the same `LogError`. The worker then stops; its outbox keeps the
    unacknowledged publications in order.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        """Create the producer. Raises `KafkaException` for a setting that librdkafka doesn't know."""
        self._producer = Producer({**settings, "error_cb": self._take_error})
        self._waiting: deque[Publication] = deque()
        self._acknowledged: list[int] = []
        self._refused: list[tuple[str, KafkaError]] = []
        self._failure: LogError | None = None
        self._fatal: KafkaError | None = None
        self._last = ""

    def cluster_id(self, deadline: float) -> str:
        """Return the cluster's id. Raises `LogError` where none comes within ``deadline`` seconds."""
        reason = "no answer"
        try:
            if found := self._producer.cluster_id(timeout=deadline):
                return found
        except KafkaException as error:
            reason = cause(error).str()
        self._serve(0)  # raises a more specific error that was reported meanwhile
        raise self._unreachable(reason)

    def publish(self, publications: Iterable[Publication]) -> None:
        """Queue publications, which wait here while librdkafka's queue is full."""
        self._waiting.extend(publications)
        self._hand_over()
        self._check()

    def acknowledged(self) -> list[int]:
        """Return the ``seq`` of publications acknowledged since the last call. Raises `LogError`."""
        self._serve(0)
        if self._waiting:
            self._hand_over()
        self._check()
        acknowledged = self._acknowledged.copy()
        self._acknowledged.clear()  # the list is not replaced, as pending delivery reports refer to it
        return acknowledged

    def flush(self, wait: float) -> list[int]:
        """Wait up to ``wait`` seconds for publications in flight, then return `acknowledged`."""
        deadline = time.monotonic() + wait
        while (len(self._producer) or self._waiting) and self._failure is None:
            self._hand_over()
            left = deadline - time.monotonic()
            self._serve(max(0.0, left))
            if left <= 0:
                break
        return self.acknowledged()

    def close(self) -> None:
        """Drop publications in flight."""
        self._waiting.clear()
        self._producer.purge(blocking=False)
        with suppress(*_RAISED):
            self._producer.poll(0)

    def _serve(self, wait: float) -> None:
        """Serve delivery reports and errors; with ``wait``, until everything is delivered."""
        try:
            self._producer.flush(wait) if wait else self._producer.poll(0)
        except _RAISED as error:
            self._stop("could not publish", _raised(error))
        self._take_refusal()
        if self._fatal is not None:
            self._stop("could not publish", self._fatal)

    def _take_refusal(self) -> None:
        """Fail for the publication that was refused, not for those that were dropped after it."""
        if self._refused and self._failure is None:
            topic, error = self._await_refusal() or self._refused[0]
            self._fail(f"could not publish to {topic}", error)

    def _stop(self, doing: str, error: KafkaError) -> None:
        """Fail for an error that confluent-kafka raised instead of reporting it.

        A fatal error doesn't name its cause; the report of the publication that caused it comes next.
        """
        if self._failure is None and error.code() in _CONSEQUENCES:
            self._await_refusal()
        self._take_refusal()
        self._fail(doing, error)

    def _await_refusal(self) -> tuple[str, KafkaError] | None:
        """Return the report of the publication that caused the failure, or None where none comes."""
        deadline = time.monotonic() + REPORT_DEADLINE
        while True:
            for refusal in self._refused:
                if refusal[1].code() not in _CONSEQUENCES:
                    return refusal
            if time.monotonic() > deadline:
                return None
            with suppress(*_RAISED):
                self._producer.poll(0.05)

    def _hand_over(self) -> None:
        produce, waiting = self._producer.produce, self._waiting
        try:
            while waiting and self._failure is None:
                seq, topic, key, headers, value = waiting[0]
                produce(topic, value, key, on_delivery=self._report(seq, topic), headers=headers)  # type: ignore[arg-type]
                waiting.popleft()
        except BufferError:
            pass  # the queue is full: `acknowledged` continues
        except _RAISED as error:
            self._stop(f"could not publish to {waiting[0].topic}", _raised(error))

    def _report(self, seq: int, topic: str) -> Callable[[KafkaError | None, Message], None]:
        """Return the callback for the delivery report of one publication; a closure is the fastest.

        It only appends to lists, since the client may call it while an exception is set, where most other
        calls of C functions fail.
        """
        acknowledged, refused = self._acknowledged, self._refused

        def report(error: KafkaError | None, _: Message) -> None:
            if error is None:
                acknowledged.append(seq)
            else:
                refused.append((topic, error))

        return report

    def _fail(self, doing: str, error: KafkaError) -> None:
        """Keep the first failure, and drop the queued publications."""
        if self._failure is None:
            self._failure = refused(doing, error)
            self._producer.purge(blocking=False)

    def _take_error(self, error: KafkaError) -> None:
        if error.code() != KafkaError._ALL_BROKERS_DOWN:
            self._last = error.str()
        if error.fatal():
            self._fatal = error  # its cause may be reported after it
        else:
            _log.log(logging.WARNING if is_final(error) else logging.INFO, "writing: %s", error.str())

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _unreachable(self, reason: str) -> LogError:
        return LogError(
            f"the Kafka cluster does not answer: {self._last or reason}",
            hint="is the address right, the broker running, and the security settings complete?",
        )


def _raised(error: BaseException | None) -> KafkaError:
    """Return the Kafka error behind what the client raised."""
    while error is not None and not isinstance(error, KafkaException):
        error = error.__cause__
    return cause(error) if error is not None else KafkaError(KafkaError._FATAL)
