"""A rig for each test, as the worker's tests have it."""

from tests.worker.conftest import make, rig

__all__ = ["make", "rig"]
