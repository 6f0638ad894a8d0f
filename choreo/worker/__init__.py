"""The worker: one loop, one writer, one transaction a turn."""

from choreo.worker.loop import Options, Worker

__all__ = ["Options", "Worker"]
