"""A participant for each test."""

import pytest

from choreo import Participant
from tests.participant.shop import shopping


@pytest.fixture
def inventory() -> Participant:
    """Return a participant of the shopping saga that has declared nothing yet."""
    return Participant("inventory", sagas=[shopping])
