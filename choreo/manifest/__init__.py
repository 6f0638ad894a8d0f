"""A manifest: what one participant declares, as data that can be committed, read and compared. No I/O here.

It is made from a `Participant`, or read from text that somebody else wrote; what is read is checked, and
never executed. Files, schemas and versions are handed down by who may look for them.
"""

from choreo.manifest.declared import manifest_of
from choreo.manifest.manifest import (
    Alternatives,
    Emission,
    ExternalEntry,
    HandlerEntry,
    Manifest,
    RetryEntry,
    SagaEntry,
    SchemaEntry,
    Suppression,
)
from choreo.manifest.reading import MAX_BYTES, read_manifest
from choreo.manifest.writing import FORMAT, write_manifest

__all__ = [
    "FORMAT",
    "MAX_BYTES",
    "Alternatives",
    "Emission",
    "ExternalEntry",
    "HandlerEntry",
    "Manifest",
    "RetryEntry",
    "SagaEntry",
    "SchemaEntry",
    "Suppression",
    "manifest_of",
    "read_manifest",
    "write_manifest",
]
