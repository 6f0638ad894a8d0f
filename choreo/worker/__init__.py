"""The worker: one loop, one writer, one transaction a turn."""

from choreo.worker.worker import Options, Worker

__all__ = ["Options", "Worker"]
