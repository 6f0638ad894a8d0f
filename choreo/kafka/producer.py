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
from choreo.kafka.errors import MISSING, cause, is_final, refused, why
from choreo.kafka.outage import Outage
from choreo.ports import Publication, Refusal

REPORT_DEADLINE: Final = 1.0
"""Seconds to wait for the reports of publications after a fatal error."""

ALONE_DEADLINE: Final = 1.0
"""Seconds to wait in one call for the report of a publication that was sent alone."""

SINGLY_SECONDS: Final = 0.1
"""Seconds in one call for publications that are sent one by one; timers and records wait meanwhile."""

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

_OF_ITS_TOPIC: Final = {*MISSING, KafkaError.TOPIC_EXCEPTION}
"""Errors of publications that were never sent, as their topic can't be found."""

_OF_NO_RECORD: Final = {
    *_CONSEQUENCES,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._TRANSPORT,
    KafkaError._AUTHENTICATION,
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
}
"""Errors that say nothing of the publication that was under way, even if it was alone."""


_UNORDERED: Final = {"enable.gapless.guarantee": False, "enable.idempotence": False}


_Report = tuple[int, str, KafkaError]
"""A publication that was not delivered: its ``seq``, its topic, and the error."""


class KafkaProducer:
    """Publishes in order; not thread-safe.

    A broker refuses a whole batch for one bad record, and librdkafka then can't keep the order in what
    follows. So what was not acknowledged is published again by a new client, and every publication that may
    have been the cause is sent alone: it is acknowledged, or it is refused for good, and what is behind it
    goes on. A failure that no publication caused is raised as `LogError`, by every later call too: the worker
    then stops, and its outbox keeps the unacknowledged publications in order. Nothing is sent unless it
    ``is_open``.
    """

    def __init__(self, settings: Mapping[str, Any], outage: Outage | None = None) -> None:
        """Create the producer. Raises `KafkaException` for a setting that librdkafka doesn't know."""
        self._settings = {**settings, "error_cb": self._take_error}
        self._producer = Producer(self._settings)
        self._single: Producer | None = None
        self._outage = outage or Outage()
        self.is_open = True
        self._waiting: deque[Publication] = deque()
        self._sent: dict[int, Publication] = {}
        self._suspects: set[int] = set()
        self._alone: Publication | None = None
        self._acknowledged: list[int] = []
        self._undelivered: list[_Report] = []
        self._refused: list[Refusal] = []
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
        self._serve(0)
        self._check()  # a more specific error was reported meanwhile
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
        if acknowledged:
            self._outage.answer()
        self._acknowledged.clear()  # the list is not replaced, as pending delivery reports refer to it
        for seq in acknowledged:
            self._sent.pop(seq, None)
        return acknowledged

    def refused(self) -> list[Refusal]:
        """Return the publications refused for good since the last call."""
        found, self._refused = self._refused, []
        return found

    def flush(self, wait: float) -> list[int]:
        """Wait up to ``wait`` seconds for publications in flight, then return `acknowledged`."""
        deadline = time.monotonic() + wait
        while (
            len(self._producer) or (self._waiting and self.is_open) or self._alone
        ) and self._failure is None:
            self._hand_over()
            left = deadline - time.monotonic()
            self._serve(max(0.0, left))
            if left <= 0:
                break
        return self.acknowledged()

    def close(self) -> None:
        """Drop publications in flight."""
        self._waiting.clear()
        for producer in (self._producer, self._single):
            if producer is not None:
                producer.purge(blocking=False)
                with suppress(*_RAISED):
                    producer.poll(0)

    # In order

    def _hand_over(self) -> None:
        if not self.is_open:
            return
        waiting, sent = self._waiting, self._sent
        try:
            if self._suspects and not self._send_singly():
                return
            produce = self._producer.produce
            while waiting and self._failure is None:
                publication = waiting[0]
                seq, topic, key, headers, value = publication
                produce(topic, value, key, on_delivery=self._report(seq, topic), headers=headers)  # type: ignore[arg-type]
                waiting.popleft()
                sent[seq] = publication
        except BufferError:
            pass  # the queue is full: `acknowledged` continues
        except Exception as error:
            self._take_raised(error)

    def _take_raised(self, error: Exception) -> None:
        """Refuse the publication that the client didn't take, or recover where the client can't go on."""
        found = _raised(error)
        if isinstance(error, SystemError) or found.fatal() or found.code() in _CONSEQUENCES:
            self._fatal = self._fatal or found
            self._recover()
            return
        publication = self._waiting.popleft()
        self._suspects.discard(publication.seq)
        self._refuse(publication.seq, publication.topic, found)

    def _serve(self, wait: float) -> None:
        """Serve delivery reports and errors; with ``wait``, until everything is delivered."""
        try:
            self._producer.flush(wait) if wait else self._producer.poll(0)
        except _RAISED as error:
            self._fatal = self._fatal or _raised(error)
        if self._undelivered or self._fatal is not None:
            self._recover()
        if self._alone is not None:
            self._settle_alone(wait)

    def _report(self, seq: int, topic: str) -> Callable[[KafkaError | None, Message], None]:
        """Return the callback for the delivery report of one publication; a closure is the fastest.

        It only appends plain tuples to lists, since the client may call it while an exception is set, where
        most other calls of C functions fail.
        """
        acknowledged, undelivered = self._acknowledged, self._undelivered

        def report(error: KafkaError | None, _: Message) -> None:
            if error is None:
                acknowledged.append(seq)
            else:
                undelivered.append((seq, topic, error))

        return report

    # What was refused

    def _recover(self) -> None:
        """Refuse what never was sent, or begin anew with what may have been the cause of a refusal."""
        if self._fatal is None and all(error.code() in _OF_ITS_TOPIC for _, _, error in self._undelivered):
            for seq, topic, error in self._undelivered:
                self._sent.pop(seq, None)
                self._refuse(seq, topic, error)
            self._undelivered.clear()
            return
        if self._fatal is not None and self._fatal.code() not in _CONSEQUENCES:
            self._fail("could not publish", self._fatal)
            return
        self._await_reports()
        dropped = {seq for seq, _, error in self._undelivered if error.code() in _CONSEQUENCES}
        again = {seq: each for seq, each in self._sent.items() if seq not in set(self._acknowledged)}
        suspects = set(again) - dropped
        if again and not suspects:
            self._fail("could not publish", self._fatal or KafkaError(KafkaError._FATAL))
            return
        self._suspects |= suspects
        self._waiting.extendleft(reversed(again.values()))
        self._sent.clear()
        self._undelivered.clear()
        self._fatal = None
        self._producer = Producer(self._settings)

    def _await_reports(self) -> None:
        """Drop what is queued or under way, and wait for the reports, which tell what was refused."""
        deadline = time.monotonic() + REPORT_DEADLINE
        self._producer.purge(blocking=False)
        while len(self._producer) and time.monotonic() < deadline:
            with suppress(*_RAISED):
                self._producer.poll(0.05)

    def _send_singly(self) -> bool:
        """Send what waits up to the last suspect; return False where that takes more calls."""
        until = time.monotonic() + SINGLY_SECONDS
        while self._suspects and self._waiting and self._failure is None:
            if time.monotonic() > until or not (self._settle_alone() and self._send_next()):
                return False
        return True

    def _send_next(self) -> bool:
        """Send the next publication, a suspect alone; return whether the one after it may follow."""
        each = self._waiting[0]
        if each.seq in self._suspects:
            return self._send_alone(each)
        self._produce(self._producer, each)
        self._sent[each.seq] = self._waiting.popleft()
        return True

    def _send_alone(self, each: Publication) -> bool:
        """Send a publication when nothing else is under way; return whether it was settled."""
        if self._sent.keys() - set(self._acknowledged):
            self._serve(ALONE_DEADLINE)
            if self._sent.keys() - set(self._acknowledged):  # not delivered in time: later calls go on
                return False
            if self._waiting[0] is not each:  # what was under way was refused, and comes before it now
                return True
        if self._single is None:
            # Nothing can overtake what is alone, so this client needs no guarantees of order, which end it
            # at a refusal, and begin with half a second for a producer id.
            self._single = Producer({**self._settings, **_UNORDERED})
        self._produce(self._single, each)
        self._alone = self._waiting.popleft()
        return self._settle_alone()

    def _produce(self, producer: Producer, each: Publication) -> None:
        report, headers = self._report(each.seq, each.topic), list(each.headers)
        producer.produce(each.topic, each.value, each.key, on_delivery=report, headers=headers)  # type: ignore[arg-type]

    def _settle_alone(self, wait: float = ALONE_DEADLINE) -> bool:
        """Return whether the publication that was sent alone, if there is one, has been reported."""
        if self._alone is None or self._single is None:
            return True
        try:
            self._single.flush(wait)
        except _RAISED as error:
            self._fatal = self._fatal or _raised(error)
        for seq, topic, found in self._undelivered:
            if found.code() in _OF_NO_RECORD:
                self._fail(f"could not publish to {topic}", self._fatal or found)
            else:
                self._refuse(seq, topic, found)
        reported = bool(self._undelivered) or self._alone.seq in self._acknowledged
        self._undelivered.clear()
        if reported:
            self._suspects.discard(self._alone.seq)
            self._alone = None
        return reported

    def _refuse(self, seq: int, topic: str, error: KafkaError) -> None:
        self._refused.append(Refusal(seq, f"{topic}: {why(error)}", error.code() in MISSING))

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
        elif is_final(error):
            _log.warning("writing: %s", error.str())
        else:
            self._outage.error(error)

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
    first = error
    while error is not None and not isinstance(error, KafkaException):
        error = error.__cause__
    if error is not None:
        return cause(error)
    if isinstance(first, SystemError):
        return KafkaError(KafkaError._FATAL)
    return KafkaError(KafkaError._INVALID_ARG, str(first))
