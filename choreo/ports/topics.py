"""What choreo requires of a topic: the one place that knows it, for the worker and for ``choreo topics``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Final, NamedTuple

from choreo.participant.topics import TopicNeed
from choreo.ports.codec import MAX_BODY

MAX_RECORD: Final = MAX_BODY + 16 * 1024
"""The greatest length of a record in bytes, with its key and headers."""

OUTAGE: Final = timedelta(days=7)
"""How long a participant may be away, beside the longest time that its own work takes."""

_CLEANUP: Final = "cleanup.policy"
_STAMP: Final = "message.timestamp.type"
_RETENTION: Final = "retention.ms"
_SIZE: Final = "retention.bytes"
_LARGEST: Final = "max.message.bytes"
_OWN_LARGEST: Final = "message.max.bytes"
_IN_SYNC: Final = "min.insync.replicas"
_UNCLEAN: Final = "unclean.leader.election.enable"
_MARGINS: Final = {
    "message.timestamp.before.max.ms": timedelta(days=1),
    "message.timestamp.after.max.ms": timedelta(minutes=5),
}


class TopicState(NamedTuple):
    """A topic as its cluster describes it; without ``partitions`` it does not exist, or may not be seen.

    ``id`` is another one for each topic that ever had the name, empty where the cluster gives none.
    ``leaderless`` are the partitions that no broker leads now, so that they can be neither read nor written.
    ``replicas`` are the copies of the partition that has the fewest. ``settings`` are those in effect, set on
    the topic or inherited, and the producer's ``message.max.bytes``; ``problem`` is why
    some of this can't be read.
    """

    topic: str
    id: str = ""
    partitions: int = 0
    replicas: int = 0
    settings: Mapping[str, str] = {}
    problem: str = ""
    leaderless: int = 0


class Difference(NamedTuple):
    """One thing in which a topic differs from what is required; ``is_loss``: events are lost by it."""

    topic: str
    setting: str
    found: str
    wanted: str
    why: str
    is_loss: bool = False

    def __str__(self) -> str:
        return f"{self.topic}: {self.setting} is {self.found}, not {self.wanted}: {self.why}"


def differences(state: TopicState, need: TopicNeed) -> list[Difference]:
    """Return in what a topic differs from what is required, losses first."""
    if not state.partitions:
        why = "its events can't be published" if need.use == "export" else "nothing can be read"
        found = f"out of sight ({state.problem})" if state.problem else "missing"
        return [Difference(need.topic, "topic", found, "there", why, is_loss=need.use != "export")]
    every = [each for rule in _RULES[need.use] for each in rule(state, need)]
    return sorted(every, key=lambda each: not each.is_loss)


def settings_for(need: TopicNeed, replicas: int) -> dict[str, str]:
    """Return the settings to create a topic with; ``replicas`` are its copies, 0 where that is unknown.

    >>> settings_for(TopicNeed("order", span=timedelta(days=3)), replicas=3)["retention.ms"]
    '864000000'
    """
    settings = {_CLEANUP: "delete", _STAMP: "LogAppendTime", _SIZE: "-1", _UNCLEAN: "false"}
    settings[_RETENTION] = str(_milliseconds(need.span + OUTAGE))
    if replicas:
        settings[_IN_SYNC] = str(_least_in_sync(replicas))
    return settings


def _compaction(state: TopicState, need: TopicNeed) -> Iterator[Difference]:
    policy = state.settings.get(_CLEANUP, "")
    if "compact" in policy and need.use == "saga":
        why = "all events of a saga have one key, and compaction deletes all but the last"
        yield Difference(need.topic, _CLEANUP, policy, "delete", why, is_loss=True)
    elif "compact" in policy:
        why = "a record that a later one replaces before it is read is never imported"
        yield Difference(need.topic, _CLEANUP, policy, "delete", why)


def _retention(state: TopicState, need: TopicNeed) -> Iterator[Difference]:
    if "delete" not in state.settings.get(_CLEANUP, "delete"):
        return
    time, size = _number(state, _RETENTION), _number(state, _SIZE)
    least = _milliseconds(need.span)
    if time is not None and 0 <= time < max(least, 1):
        why = f"a step or a deadline of its sagas may take {need.span}, and its events would be gone by then"
        yield Difference(need.topic, _RETENTION, str(time), f"{least} or more", why)
    if size is not None and size >= 0:
        why = "what is deleted to save room may not have been read yet, however young it is"
        yield Difference(need.topic, _SIZE, str(size), "-1", why)


def _length(state: TopicState, need: TopicNeed) -> Iterator[Difference]:
    for setting, whose in ((_LARGEST, "topic"), (_OWN_LARGEST, "producer")):
        limit = _number(state, setting)
        if limit is not None and limit < MAX_RECORD:
            why = f"bodies have up to {MAX_BODY} bytes, and the {whose} refuses the larger ones"
            yield Difference(need.topic, setting, str(limit), f"{MAX_RECORD} or more", why)


def _copies(state: TopicState, need: TopicNeed) -> Iterator[Difference]:
    least, replicas = _number(state, _IN_SYNC), state.replicas
    if replicas == 1:
        why = "the events are lost with the disk of one broker"
        yield Difference(need.topic, "replication factor", "1", "3", why)
    if least is None or not replicas:
        return
    if least > replicas:
        why = f"there are {replicas} replicas, so that nothing can be published"
        yield Difference(need.topic, _IN_SYNC, str(least), str(_least_in_sync(replicas)), why)
    elif least < _least_in_sync(replicas):
        why = "an event that one broker alone has acknowledged is lost with it"
        yield Difference(need.topic, _IN_SYNC, str(least), str(_least_in_sync(replicas)), why)


def _elections(state: TopicState, need: TopicNeed) -> Iterator[Difference]:
    if state.settings.get(_UNCLEAN) == "true":
        why = "a replica that lags behind may become the leader, and what it has not is lost"
        yield Difference(need.topic, _UNCLEAN, "true", "false", why)


def _stamps(state: TopicState, need: TopicNeed) -> Iterator[Difference]:
    found = state.settings.get(_STAMP, "LogAppendTime")
    if found == "LogAppendTime":
        return
    why = "timeouts and deadlines count by the clocks of all producers, one of which may be wrong"
    yield Difference(need.topic, _STAMP, found, "LogAppendTime", why)
    for setting, least in _MARGINS.items():
        limit = _number(state, setting)
        if limit is not None and limit < _milliseconds(least):
            why = "events of a producer whose clock differs more, or that was cut off for longer, are refused"
            yield Difference(need.topic, setting, str(limit), f"{_milliseconds(least)} or more", why)


def _reading(state: TopicState, need: TopicNeed) -> Iterator[Difference]:
    if state.problem:
        why = f"whether the topic keeps its events is not known: {state.problem}"
        yield Difference(need.topic, "settings", "unreadable", "readable (ACL DescribeConfigs)", why)


_Rule = Callable[[TopicState, TopicNeed], Iterator[Difference]]

_RULES: Final[Mapping[str, tuple[_Rule, ...]]] = {
    "saga": (_compaction, _retention, _length, _copies, _elections, _stamps, _reading),
    "import": (_compaction,),  # the rest is the business of whoever owns it
    "export": (_length, _copies, _elections),
}


def _least_in_sync(replicas: int) -> int:
    """Return how many replicas must have an event: all but one, so that one broker may be away."""
    return max(1, replicas - 1)


def _number(state: TopicState, setting: str) -> int | None:
    try:
        return int(state.settings[setting])
    except (KeyError, ValueError):
        return None


def _milliseconds(span: timedelta) -> int:
    return span // timedelta(milliseconds=1)
