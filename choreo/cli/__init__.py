"""The command line: parse, call, print, exit code.

A command imports Kafka, Avro, SQLite and OpenTelemetry when it runs, not before: ``choreo --help`` must
come at once.
"""

from choreo.cli.root import choreo as main

__all__ = ["main"]
