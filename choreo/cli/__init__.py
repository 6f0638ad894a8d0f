"""The command line: commands parse their options, call a package, print the result, and exit with a code.

A command imports Kafka, Avro, SQLite and OpenTelemetry only when it runs: ``choreo --help`` must be fast.
"""

from choreo.cli.root import choreo as main

__all__ = ["main"]
