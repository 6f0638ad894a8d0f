"""What a topic must be like: every setting of the kind, own or inherited, alone and together."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from choreo.participant.topics import TopicNeed
from choreo.ports.topics import MAX_RECORD, TopicState, differences, settings_for

SPAN = timedelta(hours=1)
HOUR = 3_600_000

BAD: dict[str, dict[str, bool]] = {
    "cleanup.policy": {"compact": True, "compact,delete": True, "delete,compact": True},
    "retention.ms": {"0": False, str(HOUR - 1): False, "1": False},
    "retention.bytes": {"0": False, "1073741824": False},
    "max.message.bytes": {"200000": False, str(MAX_RECORD - 1): False},
    "message.max.bytes": {"1000": False},
    "min.insync.replicas": {"1": False, "4": False},
    "unclean.leader.election.enable": {"true": False},
    "message.timestamp.type": {"CreateTime": False},
}
"""Values that are told, and whether they lose events."""

GOOD: dict[str, list[str]] = {
    "cleanup.policy": ["delete", ""],
    "retention.ms": ["-1", str(HOUR), str(HOUR * 1000)],
    "retention.bytes": ["-1"],
    "max.message.bytes": [str(MAX_RECORD), "1048588"],
    "message.max.bytes": ["1000000"],
    "min.insync.replicas": ["2", "3"],
    "unclean.leader.election.enable": ["false"],
    "message.timestamp.type": ["LogAppendTime"],
    "message.timestamp.after.max.ms": ["0"],  # of no consequence with LogAppendTime
}


@given(st.data())
def test_exactly_the_bad_settings_are_told(data: st.DataObject) -> None:
    """In any combination; what loses events comes first."""
    bad = data.draw(st.lists(st.sampled_from(sorted(BAD)), unique=True))
    settings = {name: data.draw(st.sampled_from(values)) for name, values in GOOD.items()}
    if data.draw(st.booleans()):  # a broker that doesn't tell all
        settings = {name: settings[name] for name in sorted(settings)[::2]}
    losses = 0
    for name in bad:
        settings[name] = data.draw(st.sampled_from(sorted(BAD[name])))
        losses += BAD[name][settings[name]]
    if settings.get("cleanup.policy") == "" and {"retention.ms", "retention.bytes"} & {*bad}:
        settings["cleanup.policy"] = "delete"
    if settings.get("cleanup.policy") == "compact":  # nothing is deleted by age or size then
        bad = [name for name in bad if not name.startswith("retention")]
    found = differences(TopicState("t", "id", 12, 3, settings), TopicNeed("t", span=SPAN))
    known = [each for each in found if each.setting != "message.timestamp.after.max.ms"]
    assert sorted(each.setting for each in known) == sorted(bad)
    assert [each.is_loss for each in found] == sorted((each.is_loss for each in found), reverse=True)
    assert sum(each.is_loss for each in found) == losses


@given(st.integers(1, 7), st.timedeltas(timedelta(), timedelta(days=400)))
def test_what_is_set_at_creation_is_what_is_required(replicas: int, span: timedelta) -> None:
    """The two agree by construction; one replica is one, whatever is set."""
    need = TopicNeed("t", span=span)
    found = differences(TopicState("t", "id", 1, replicas, settings_for(need, replicas)), need)
    assert [each.setting for each in found] == (["replication factor"] if replicas == 1 else [])


@pytest.mark.parametrize(
    ("margin", "value", "is_told"),
    [("before", "3600000", True), ("before", "9223372036854775807", False), ("after", "1000", True)],
)
def test_the_margins_of_times_matter_where_producers_stamp(margin: str, value: str, is_told: bool) -> None:
    """They refuse events that waited for the end of an outage."""
    setting = f"message.timestamp.{margin}.max.ms"
    state = TopicState("t", "id", 1, 3, {"message.timestamp.type": "CreateTime", setting: value})
    assert (setting in [each.setting for each in differences(state, TopicNeed("t"))]) == is_told


def test_topics_of_others_are_their_business() -> None:
    """A compacted import may miss what was replaced; an export may be compacted as its readers like."""
    state = TopicState("t", "id", 1, 3, {"cleanup.policy": "compact", "message.timestamp.type": "CreateTime"})
    (compacted,) = differences(state, TopicNeed("t", "import"))
    assert (compacted.setting, compacted.is_loss) == ("cleanup.policy", False)
    assert differences(state, TopicNeed("t", "export")) == []
    (import_,) = differences(TopicState("t"), TopicNeed("t", "import"))
    (export,) = differences(TopicState("t"), TopicNeed("t", "export"))
    assert (import_.is_loss, export.is_loss) == (True, False)
    assert str(export) == "t: topic is missing, not there: its events can't be published"


def test_settings_that_may_not_be_read_are_told() -> None:
    """Whether the topic is compacted, say, isn't known then."""
    (unknown,) = differences(TopicState("t", "id", 1, 3, {}, "no access"), TopicNeed("t"))
    assert "no access" in unknown.why
    (unseen,) = differences(TopicState("t", problem="no access"), TopicNeed("t", "export"))
    assert (unseen.found, unseen.is_loss) == ("out of sight (no access)", False)
