"""Avro: schemas derived from event classes, bodies, and the files of every version.

Importing this package imports fastavro; only what writes or reads bodies or schema files needs it.
"""

from choreo.avro.codec import AvroCodec
from choreo.avro.compatibility import incompatibilities, unreadable
from choreo.avro.definition import Definition, define
from choreo.avro.derivation import schema_of
from choreo.avro.files import Finding, check_schemas, write_schemas
from choreo.avro.resolution import Problem
from choreo.avro.scalars import DecimalOf
from choreo.avro.text import body_of, text_of

__all__ = [
    "AvroCodec",
    "DecimalOf",
    "Definition",
    "Finding",
    "Problem",
    "body_of",
    "check_schemas",
    "define",
    "incompatibilities",
    "schema_of",
    "text_of",
    "unreadable",
    "write_schemas",
]
