"""What a worker logs about a saga: a line for each transition, and never a payload."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from choreo import Context
from tests.worker.rig import Rig
from tests.worker.services import hotel
from tests.worker.trip import TripRequested

SECRET = "4711-secret"


def test_each_transition_has_a_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It names saga, step, both states, event and participant, and agrees with the saga log."""
    rig = Rig(hotel(), tmp_path)
    with caplog.at_level(logging.DEBUG, "choreo.saga"):
        rig.open()
        rig.feed(TripRequested(trip=SECRET))
    lines = [vars(each) for each in caplog.records if each.name == "choreo.saga"]
    logged = [
        (
            each["saga_id"],
            each["saga_type"],
            each["step"],
            each["old_state"],
            each["new_state"],
            each["event_id"],
        )
        for each in lines
    ]
    moved = [each for each in rig.history() if each.old_state != each.new_state]
    assert logged == [
        (each.saga_id, each.saga_type, each.step, each.old_state, each.new_state, each.event_id)
        for each in moved
    ]
    assert moved
    assert {each["participant"] for each in lines} == {"hotel"}
    states = f"{moved[0].old_state} → {moved[0].new_state}"
    told = f"hotel: saga_id=s1 step={moved[0].step}: {states}, event_id={moved[0].event_id}"
    assert caplog.messages[0] == told
    rig.close()


def test_no_line_holds_a_payload(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """At no level."""
    rig = Rig(hotel(), tmp_path)
    with caplog.at_level(logging.DEBUG):
        rig.open()
        rig.feed(TripRequested(trip=SECRET))
    assert caplog.records
    assert not [each for each in caplog.records if SECRET in str(vars(each))]
    rig.close()


@pytest.mark.parametrize("saga_id", ["100%", "%s %d", "%(name)s", "50%% off"])
def test_an_id_is_no_format(saga_id: str, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever is logged with it, and from where is told."""
    log = Context(saga_id, "hotel.book", "action", None, 1, 0).log  # type: ignore[arg-type]
    log.warning("plain 5%", extra={"order": 1})
    log.warning("attempt %d: %s", 2, "no room")
    log.error("%(room)s is taken", {"room": 7})
    bound = f"saga_id={saga_id} step=hotel.book"
    assert caplog.messages == [f"{bound} plain 5%", f"{bound} attempt 2: no room", f"{bound} 7 is taken"]
    assert {each.filename for each in caplog.records} == {Path(__file__).name}
    assert vars(caplog.records[0])["order"] == 1
