"""A manifest: the declarations of one participant, as data that can be committed and compared. No I/O here.

It is made from a `Participant`, or read from untrusted text, which is checked and never executed. Schemas,
versions and the names of files are passed in by the caller.
"""

from choreo.manifest.declaration import manifest_of
from choreo.manifest.document import MAX_BYTES, Document
from choreo.manifest.fields import Fields
from choreo.manifest.manifest import (
    Emission,
    ExternalEntry,
    HandlerEntry,
    Manifest,
    ModuleEntry,
    RetryEntry,
    SagaEntry,
    SchemaEntry,
    Suppression,
)
from choreo.manifest.reading import read_manifest, saga_from, versions_from
from choreo.manifest.writing import bounds_of, digest_of, is_current, write_manifest

__all__ = [
    "MAX_BYTES",
    "Document",
    "Emission",
    "ExternalEntry",
    "Fields",
    "HandlerEntry",
    "Manifest",
    "ModuleEntry",
    "RetryEntry",
    "SagaEntry",
    "SchemaEntry",
    "Suppression",
    "bounds_of",
    "digest_of",
    "is_current",
    "manifest_of",
    "read_manifest",
    "saga_from",
    "versions_from",
    "write_manifest",
]
