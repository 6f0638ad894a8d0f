"""schema-incompatible: a reader can't read what a writer of the same event writes.

Why it is bad: every such event becomes a dead letter of the reader.

How to mend it: new fields need a default; types may only be widened. See Apache Avro 1.12, "Schema
Resolution".
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.verify.case import Case
from choreo.verify.finding import Finding


def check(case: Case) -> Iterator[Finding]:
    """Compare the schemas of every event between who writes it and who reads it."""
    schemas = {manifest.participant: manifest.schemas for manifest in case.choreography.manifests}
    for name, (step, _) in sorted(case.graph.outcome.items()):
        writer = case.graph.steps[step].participant if step in case.graph.steps else ""
        written = schemas[writer].get(name) if writer in schemas else None
        if written is None:
            continue
        for handler in case.graph.consumers.get(name, ()):
            reader = handler.name.partition(".")[0]
            read = schemas[reader].get(name)
            if read is None or read.schema == written.schema:
                continue
            problems = case.compare(written.schema, read.schema)
            if problems:
                yield Finding(
                    "CHO501",
                    "schema-incompatible",
                    "error",
                    case.graph.name,
                    f"{reader} can't read the {name} that {writer} writes",
                    handler.place,
                    why=str(problems[0]),
                    help="give new fields a default, and deploy readers first",
                    steps=(reader, name),
                )
