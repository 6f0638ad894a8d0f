"""How large and how deep what choreo reads may be, where others may have written it; in bytes, if not said.

What is larger is refused in one line. A reader takes no more memory than a small multiple of its limit.
"""

from __future__ import annotations

MEGABYTE = 1024 * 1024

SCHEMA = MEGABYTE
"""A schema file."""
SCHEMA_LEVELS = 64
"""The levels of a schema, with the types in it written out; its JSON may have four times as many."""
SCHEMA_TYPES = 100_000
"""The types of a schema, written out."""

DOCUMENT = 8 * MEGABYTE
"""A manifest, ``choreography.json``, or a run file."""

TRIGGER_TYPES = 10_000
"""The events that a trigger names."""
TRIGGER_LEVELS = 64
"""The joins of a trigger that are nested in each other."""
ALTERNATIVES_TYPES = 200_000
"""The events that a trigger names in the former format, which has a list for each way to meet a join."""

EDITED_TEXT = 4 * MEGABYTE
"""The JSON of an event that ``choreo dlq edit`` takes, in characters."""

EXPORT_ROW = 32 * MEGABYTE
"""A row of an export: a line of JSON, or a block of Avro before and after it is decompressed."""
EXPORT_HEADER = MEGABYTE
"""What an Avro export has before its first block."""

HEADS_LINE = 64 * 1024
"""A line of a file of heads."""

SETTINGS = MEGABYTE
"""``pyproject.toml``."""
