"""Tests of `choreo.ports`."""
