"""What is wrong with a cluster for one participant, by what the cluster tells and its store has recorded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from choreo.kafka.facts import ClusterFacts
from choreo.participant.topics import TopicNeed
from choreo.ports import TopicState
from choreo.ports.findings import Finding, Level
from choreo.ports.topics import Difference, differences
from choreo.records import Recorded
from choreo.render.wording import span

_TOLERANCE: Final = 30_000
"""Milliseconds by which two clocks may differ."""

_RIGHTS: Final = {"saga": ("READ", "WRITE", "DESCRIBE"), "import": ("READ", "DESCRIBE"), "export": ("WRITE",)}

_CLOCKS: Final = "timeouts count by both: keep all clocks in step (NTP)"


def cluster_findings(
    participant: str,
    needs: Sequence[TopicNeed],
    facts: ClusterFacts,
    recorded: Recorded | None,
    now: int,
) -> Iterator[Finding]:
    """Yield what is wrong; ``recorded`` is of the participant's store, None where there is none."""
    for state, need in zip(facts.topics, needs, strict=True):
        for each in differences(state, need):
            level: Level = "error" if each.is_loss else "warning"
            text = f"{each.setting} is {each.found}, not {each.wanted}: {each.why}"
            yield Finding(level, f"topic {each.topic}", text, _hint(each, state, need))
        yield from _rights(facts, state, need)
    if facts.group_rights is not None and not facts.group_rights & {"READ", "ALL"}:
        hint = f"grant READ on the group {participant}"
        yield Finding("error", f"group {participant}", "this client may not read with it", hint)
    if facts.newest > now + _TOLERANCE:
        why = f"the newest record of its topics is {span(facts.newest - now)} ahead of this host's clock"
        yield Finding("warning", "clock", why, _CLOCKS)
    for problem in facts.unknown:
        yield Finding("warning", "cluster", f"it does not tell all: {problem}", "grant DESCRIBE, too")
    if recorded is not None:
        yield from _of_store(participant, needs, facts, recorded, now)


def _hint(each: Difference, state: TopicState, need: TopicNeed) -> str:
    if each.setting == "topic":
        made = "`choreo topics create`"
        rights = ", ".join(_RIGHTS[need.use])
        return f"grant {rights} on it, or make it with {made}" if state.problem else f"{made} makes it"
    if each.setting in ("replication factor", "settings"):
        return "see `choreo topics check`"
    return f"kafka-configs --alter --add-config {each.setting}={each.wanted.removesuffix(' or more')}"


def _rights(facts: ClusterFacts, state: TopicState, need: TopicNeed) -> Iterator[Finding]:
    rights = facts.rights.get(state.topic)
    lacking = [] if rights is None else [each for each in _RIGHTS[need.use] if not rights & {each, "ALL"}]
    if lacking:
        why = f"this client may not {' nor '.join(each.lower() for each in lacking)}"
        yield Finding("error", f"topic {need.topic}", why, f"grant {', '.join(lacking)} on it")


def _of_store(
    participant: str, needs: Sequence[TopicNeed], facts: ClusterFacts, recorded: Recorded, now: int
) -> Iterator[Finding]:
    if recorded.cluster and facts.cluster and recorded.cluster != facts.cluster:
        why = f"it belongs to the cluster {recorded.cluster!r}, not to {facts.cluster!r}"
        yield Finding(
            "error",
            f"store of {participant}",
            why,
            "check --bootstrap; another cluster needs a store of its own",
        )
        return
    if facts.holder and recorded.store_id and facts.holder != recorded.store_id:
        why = f"it belongs to the store {facts.holder}, and this one is {recorded.store_id}"
        hint = "use the store that it had; where that one is lost: `choreo store claim`"
        yield Finding("error", f"group {participant}", why, hint)
    for state in facts.topics:
        yield from _of_topic(state, facts, recorded)
    yield from _reach(needs, facts, recorded, now)
    nearest = min(recorded.delays, key=abs, default=0)
    if nearest < -_TOLERANCE:
        why = f"the times of its newest events are {span(-nearest)} ahead of its worker's clock"
        yield Finding("warning", "clock", why, _CLOCKS)


def _of_topic(state: TopicState, facts: ClusterFacts, recorded: Recorded) -> Iterator[Finding]:
    subject, known = f"topic {state.topic}", recorded.topics.get(state.topic, "")
    joined = [each.number for each in recorded.positions if each.topic == state.topic]
    if not joined or not state.partitions:
        return
    if known and state.id and known != state.id:
        why = "it was made anew: its id is not the one that the store has recorded"
        yield Finding("error", subject, why, "the events of before are gone: begin with another --store")
        return
    if state.partitions > max(joined) + 1:
        why = f"it has {state.partitions} partitions, of which the store has joined {max(joined) + 1}"
        hint = "where some were added, events of sagas in flight may lie in two of them, in no order"
        yield Finding("warning", subject, why, hint)
    elif state.partitions <= max(joined):
        why = f"it has {state.partitions} partitions, and the store a position on number {max(joined)}"
        yield Finding("error", subject, why, "was it made anew, or is the cluster another one?")
    for place, at in sorted(recorded.positions.items()):
        if place.topic == state.topic and place in facts.ends:
            yield from _beyond(subject, place.number, at, *facts.ends[place])


def _beyond(subject: str, partition: int, at: int, first: int, following: int) -> Iterator[Finding]:
    if at > following:
        why = f"partition {partition} ends at {following}, before the store's position {at}"
        yield Finding("error", subject, why, "records are lost, or it was made anew")
    elif 0 <= at < first:  # less than that: nobody has begun it yet
        why = f"partition {partition} begins at {first}, behind the store's position {at}"
        hint = "unless only transaction markers were there, events were deleted before they were read"
        yield Finding("warning", subject, why, hint)


def _reach(
    needs: Sequence[TopicNeed], facts: ClusterFacts, recorded: Recorded, now: int
) -> Iterator[Finding]:
    """Yield the topics that keep their events for less long than a saga has been in flight."""
    if recorded.oldest is None:
        return
    saga_id, began = recorded.oldest
    for state, need in zip(facts.topics, needs, strict=True):
        kept = int(state.settings.get("retention.ms", "-1"))
        is_kept = kept < 0 or "delete" not in state.settings.get("cleanup.policy", "delete")
        if need.use == "saga" and not is_kept and now - began > kept:
            why = f"it keeps events for {span(kept)}, and saga {saga_id} is in flight for {span(now - began)}"
            hint = "a lost store, or a new participant, could not fold that saga any more"
            yield Finding("warning", f"topic {need.topic}", why, hint)
