"""Trips that went every way there is, their stores left as their workers left them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from choreo.timeline.participant_view import ParticipantView
from tests.scenarios.test_travel import play
from tests.scenarios.trips import Plan, in_memory, travelling
from tests.timeline.travelled import PLANS, views_in
from tests.worker.rig import ManualClock


@pytest.fixture(scope="session")
def travelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the four stores."""
    folder, clock = tmp_path_factory.mktemp("travelled"), ManualClock()
    with travelling(in_memory(clock), folder, "travelled", tuple(PLANS.values()), clock) as trips:
        play(trips)
    return folder


@pytest.fixture(params=list(PLANS))
def plan(request: pytest.FixtureRequest) -> Plan:
    """Return one plan after the other."""
    return PLANS[request.param]


@pytest.fixture
def views(travelled: Path, plan: Plan) -> Sequence[ParticipantView]:
    """Return all views of a trip."""
    return views_in(travelled, plan.trip_id)
