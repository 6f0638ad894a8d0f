"""Avro: schemas derived from event classes, event bodies, and schema files.

Importing this package imports fastavro, so commands that need neither bodies nor schema files don't.
"""

from choreo.avro.codec import AvroCodec
from choreo.avro.derivation import schema_of
from choreo.avro.resolution import Problem, incompatibilities, logical_changes, resolve, unreadable
from choreo.avro.schema import ParsedSchema, parse_schema
from choreo.avro.schema_files import Finding, check_schemas, other_schemas, write_schemas

__all__ = [
    "AvroCodec",
    "Finding",
    "ParsedSchema",
    "Problem",
    "check_schemas",
    "incompatibilities",
    "logical_changes",
    "other_schemas",
    "parse_schema",
    "resolve",
    "schema_of",
    "unreadable",
    "write_schemas",
]
