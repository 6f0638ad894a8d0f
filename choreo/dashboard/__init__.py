"""The page on which a choreography is worked with: what needs a person, sagas, graphs, participants."""

from choreo.dashboard.application import app

__all__ = ["app"]
