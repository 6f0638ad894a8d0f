"""A rig for each test, as the worker's tests have it."""

from tests.worker.conftest import rig

__all__ = ["rig"]
