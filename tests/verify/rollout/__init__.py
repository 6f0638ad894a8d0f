"""Tests of `choreo.verify.rollout`."""
